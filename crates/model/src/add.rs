//! From ONNX files and a manifest of their owner's to a package.

use std::collections::BTreeMap;

use crate::{Classifier, Error, Manifest, Package, known};

/// Makes a package of networks and the manifest that describes them. Each is read, held against the manifest and run: known answers that the
/// manifest has must be met, and each view without one gets one, or the exam.
///
/// # Errors
/// Files that the manifest does not name, or that are missing or too large; a network that is no ONNX, uses operators that are not computed
/// here, keeps numbers in other files, is too large, or whose input or output does not fit the manifest; a known answer that is missed;
/// scores that are not probabilities.
pub fn add(manifest: &Manifest, networks: BTreeMap<String, Vec<u8>>, threads: usize) -> Result<Package, Error> {
    let package = Package::new(manifest, networks)?;
    let classifier = Classifier::load(&package, threads)?;
    classifier.check_known_answers()?;
    let mut manifest = manifest.clone();
    known::complete(&mut manifest, &classifier)?;
    package.with_manifest(&manifest)
}
