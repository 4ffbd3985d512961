//! Files that are too large for the repository: real mammograms and the reference's numbers.

use std::path::Path;

/// The file's bytes; none, with a word about it, where the data is not at hand and `CLOISTER_REQUIRE_DATA` does not ask for it.
pub(crate) fn read(path: &str) -> Option<Vec<u8>> {
    let near = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("CLOISTER_DATA").map_or(near, Into::into);
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            let wanted = std::env::var("CLOISTER_REQUIRE_DATA").is_ok_and(|value| value == "1");
            assert!(!wanted, "{path} is required and cannot be read: {error}");
            eprintln!("skipped: {path} is not in CLOISTER_DATA or beside the repository ({error})");
            None
        }
    }
}
