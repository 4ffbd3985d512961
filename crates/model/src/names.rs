//! Which names a package may use.

use crate::{Error, limits};

/// Whether `name` starts with a lower-case letter, is short enough, and has no characters but those that `plain` allows.
pub(crate) fn fits(name: &str, longest: usize, plain: impl Fn(char) -> bool) -> bool {
    name.len() <= longest && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

/// Refuses a file name that could leave the package's folder, hide, or mean something to a file system.
pub(crate) fn check_file(name: &str) -> Result<(), Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let short = name.len() <= limits::MAX_FILE_NAME_BYTES;
    if short && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) {
        Ok(())
    } else {
        Err(Error::FileName(name.to_owned()))
    }
}
