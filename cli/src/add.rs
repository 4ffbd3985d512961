//! `cloister model add`: a package of one's own ONNX classifier.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_model::{Manifest, add, limits};

use crate::failure::Failure;
use crate::{files, model};

/// What `cloister model add` takes.
#[derive(Args)]
pub(crate) struct Add {
    /// An ONNX file, under the name that the manifest has for it; again for each where views have networks of their own.
    #[arg(long, required = true, value_name = "FILE")]
    onnx: Vec<PathBuf>,
    /// The manifest, as docs/model-package.md describes it. Known answers that it has are checked, and the others are computed.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The package's folder, which must be empty if it is there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Reads, runs and packages.
pub(crate) fn run(arguments: &Add) -> Result<(), Failure> {
    let text = files::read_text_at_most(&arguments.manifest, limits::MAX_MANIFEST_BYTES)?;
    let manifest = Manifest::from_toml(&text)
        .map_err(|error| model::failure(error).about(&arguments.manifest.display().to_string()))?;
    let named = manifest.networks();
    let mut networks = BTreeMap::new();
    for path in &arguments.onnx {
        let name = file_name(path)?;
        if !named.contains(name) {
            let names = Vec::from_iter(named).join(", ");
            return Err(Failure::input(format!(
                "the manifest names {names}, and no {name:?}: give one the other's name"
            )));
        }
        if networks.insert(name.to_owned(), files::read_at_most(path, limits::MAX_NETWORK_BYTES)?).is_some() {
            return Err(Failure::usage(format!("{name:?} is given twice")));
        }
    }
    if let Some(name) = named.iter().find(|name| !networks.contains_key(**name)) {
        return Err(Failure::input(format!("the manifest names {name:?} too: give it with --onnx")));
    }
    let package = add(&manifest, networks, model::cores()).map_err(model::failure)?;
    package.write_folder(&arguments.out).map_err(model::failure)?;
    model::wrote(&package, &arguments.out)
}

fn file_name(path: &Path) -> Result<&str, Failure> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| Failure::usage(format!("{} names no file", path.display())))
}
