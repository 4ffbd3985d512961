//! Given data, found by `CLOISTER_DATA` or beside the repository.

use std::path::{Path, PathBuf};

/// Reads a file of the given data. Without it a test is skipped, and says so, unless `CLOISTER_REQUIRE_DATA=1`.
pub(crate) fn read(name: &str) -> Option<Vec<u8>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("CLOISTER_DATA").map_or_else(beside, PathBuf::from).join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if std::env::var_os("CLOISTER_REQUIRE_DATA").is_some_and(|required| required == "1") => {
            panic!("{} cannot be read: {error}", path.display())
        }
        Err(error) => {
            println!("skipped: {} cannot be read ({error}); set CLOISTER_DATA", path.display());
            None
        }
    }
}

/// Bytes from hexadecimal digits.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

/// One certificate as PEM.
pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}
