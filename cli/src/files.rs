//! Files that a person names on the command line: read within a bound, written whole or not at all.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use crate::failure::Failure;

/// The largest file that a command reads into memory: a mammogram of the largest detectors, uncompressed.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::input(format!("{} is larger than {} MiB", path.display(), MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Reads a file that must be text.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::input(format!("{} is not text", path.display())))
}

/// Writes a file under a temporary name beside it, then renames: nobody sees half of it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot write {}: {error}", path.display()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let mut file = File::create(&partial).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}
