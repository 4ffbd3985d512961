//! Where tests find data that is not in the repository.

#![allow(dead_code)]

use std::{env, fs, path::PathBuf};

/// A file of the shared data. `None`, with the reason on standard error, where there is none and none is required.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = env::var_os("CLOISTER_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(env::var_os("CLOISTER_REQUIRE_DATA").is_none_or(|value| value != "1"), "{} is required", path.display());
    eprintln!("skipped: {} is not there; set CLOISTER_DATA to the folder that holds it", path.display());
    None
}

/// A mammogram of the shared data.
pub(crate) fn image(name: &str) -> Option<ndarray::Array2<u16>> {
    let bytes = fs::read(data(name)?).unwrap();
    Some(cloister_imaging::decode(&bytes, &cloister_imaging::DecodeLimits::default()).unwrap())
}
