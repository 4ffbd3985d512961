//! Data that tests need and the repository does not hold: real mammograms, documents that AWS hardware signed, reference scores.
//!
//! `CLOISTER_DATA` names its folder, by default `../shared/data` beside the checkout. Without it such a test says that it was skipped; with
//! `CLOISTER_REQUIRE_DATA=1` it fails.

use std::path::{Path, PathBuf};

/// Where one file of the data is, or nothing and a word about it on standard error.
pub fn path(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("CLOISTER_DATA").map_or_else(beside, PathBuf::from).join(name);
    if path.is_file() {
        return Some(path);
    }
    let required = std::env::var_os("CLOISTER_REQUIRE_DATA").is_some_and(|value| value == "1");
    assert!(!required, "{} is required and not there", path.display());
    eprintln!("skipped: {} is not there; set CLOISTER_DATA to the folder that holds it", path.display());
    None
}

/// The bytes of one file of the data, or nothing and a word about it.
pub fn read(name: &str) -> Option<Vec<u8>> {
    path(name).map(|path| std::fs::read(path).expect("a file that can be read"))
}
