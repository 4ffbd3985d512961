//! From a checkpoint of the four-view screening network to a package.

use std::{collections::BTreeMap, path::Path};

use cloister_imaging::{Angle, View};

use crate::{
    Classifier, Error, FORMAT, Manifest, Output, Package, Preprocessing, ScreeningMammogram, ViewNetwork,
    architecture::{self, Family},
    checkpoint::Checkpoint,
    known,
};

/// The published network's windows: height, width.
pub const CC_WINDOW: (usize, usize) = (2677, 1942);
/// See [`CC_WINDOW`].
pub const MLO_WINDOW: (usize, usize) = (2974, 1748);

/// What a checkpoint does not say about a model.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// For whom and for what the scores are meant.
    pub intended_use: String,
    /// Height and width of the craniocaudal networks' input.
    pub cc_window: (usize, usize),
    /// Height and width of the mediolateral oblique networks' input.
    pub mlo_window: (usize, usize),
    /// Whether each network is run on a synthetic image and its scores kept as known answers.
    pub known_answers: bool,
    /// Whether 3 x 3 convolutions may be computed by Winograd's transformation.
    pub winograd: bool,
    /// Threads for the known answers.
    pub threads: usize,
}

impl Default for ConvertOptions {
    /// The published network's windows, known answers, and an intended use that claims nothing.
    fn default() -> Self {
        Self {
            name: "screening-mammogram".to_owned(),
            version: 1,
            intended_use: "Research: benign and malignant findings in screening mammograms. Not for clinical use."
                .to_owned(),
            cc_window: CC_WINDOW,
            mlo_window: MLO_WINDOW,
            known_answers: true,
            winograd: true,
            threads: 1,
        }
    }
}

impl ConvertOptions {
    fn window(&self, angle: Angle) -> (usize, usize) {
        match angle {
            Angle::Cc => self.cc_window,
            Angle::Mlo => self.mlo_window,
        }
    }
}

/// Reads a checkpoint file and writes the package's folder.
///
/// # Errors
/// As [`Checkpoint::open`], [`convert_checkpoint`] and [`Package::write_folder`].
pub fn convert(checkpoint: &Path, out: &Path, options: &ConvertOptions) -> Result<Package, Error> {
    let package = convert_checkpoint(&Checkpoint::open(checkpoint)?, options)?;
    package.write_folder(out)?;
    Ok(package)
}

/// Makes a package of a checkpoint: one network for each view, or one for each angle that looks at both breasts, as the checkpoint has them.
///
/// # Errors
/// Tensors that are missing or of another shape, or of both families; options that no manifest may have; a network that does not run.
pub fn convert_checkpoint(checkpoint: &Checkpoint, options: &ConvertOptions) -> Result<Package, Error> {
    let mut networks = BTreeMap::new();
    let (mut views, mut pairs) = (BTreeMap::new(), BTreeMap::new());
    match architecture::family(checkpoint)? {
        Family::Views => {
            for view in View::ALL {
                let window = options.window(view.angle());
                let network = format!("{}.onnx", view.as_str().to_ascii_lowercase());
                networks.insert(network.clone(), architecture::network(checkpoint, view, window)?);
                views.insert(view, ViewNetwork::new(network, window, Output::LogSoftmaxPairs));
            }
        }
        Family::Pairs => {
            for (angle, network) in [(Angle::Cc, "cc.onnx"), (Angle::Mlo, "mlo.onnx")] {
                let window = options.window(angle);
                networks.insert(network.to_owned(), architecture::pair(checkpoint, angle, window)?);
                pairs.insert(angle, ViewNetwork::new(network.to_owned(), window, Output::LogSoftmaxPairs));
            }
        }
    }
    let mut manifest = Manifest {
        format: FORMAT,
        name: options.name.clone(),
        version: options.version,
        intended_use: options.intended_use.clone(),
        labels: architecture::LABELS.map(str::to_owned).to_vec(),
        preprocessing: Preprocessing::ScreeningMammogram1(ScreeningMammogram::default()),
        views,
        pairs,
        winograd: options.winograd,
        known_answers: vec![],
        known_exams: vec![],
    };
    let package = Package::new(&manifest, networks)?;
    if !options.known_answers {
        return Ok(package);
    }
    known::complete(&mut manifest, &Classifier::load(&package, options.threads)?)?;
    package.with_manifest(&manifest)
}
