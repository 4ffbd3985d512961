//! The measured configuration, as far as one can judge it without the enclave: the enclave refuses at boot what it does not know.

use crate::error::{Error, Result};
use crate::limits;

/// Checks that a configuration is TOML, and not longer than the enclave reads.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let refused = |reason: String| Err(Error::Configuration(reason));
    if bytes.len() > limits::CONFIGURATION {
        return refused(format!("it has more than {} bytes", limits::CONFIGURATION));
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return refused("it is not UTF-8".into()) };
    match text.parse::<toml::Table>() {
        Ok(table) if table.is_empty() => refused("it is empty".into()),
        Ok(_) => Ok(()),
        Err(error) => refused(error.to_string().trim_end().replace('\n', " ")),
    }
}
