//! Files that a person names on the command line: read within a bound, written whole or not at all.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// The largest file that a command reads into memory: a mammogram of the largest detectors, uncompressed.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// The largest key or token that a command reads: a private key in PEM takes a few kilobytes.
const MAX_SECRET_BYTES: usize = 64 * 1024;

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_at_most(path, MAX_BYTES)
}

/// Reads a file of at most that many bytes.
pub fn read_at_most(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Failure::input(format!("{} is larger than {} KiB", path.display(), most >> 10)));
    }
    Ok(bytes)
}

/// Reads a key or a token into memory that is wiped afterwards.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot read {}: {error}", path.display()));
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; MAX_SECRET_BYTES + 1]);
    let mut file = File::open(path).map_err(failed)?;
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..]).map_err(failed)? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    if length > MAX_SECRET_BYTES {
        return Err(Failure::input(format!("{} is larger than {MAX_SECRET_BYTES} bytes", path.display())));
    }
    Ok(bytes)
}

/// Reads a file that must be text.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    read_text_at_most(path, MAX_BYTES)
}

/// Reads a text of at most that many bytes.
pub fn read_text_at_most(path: &Path, most: u64) -> Result<String, Failure> {
    String::from_utf8(read_at_most(path, most)?).map_err(|_| Failure::input(format!("{} is not text", path.display())))
}

/// Who may read a written file.
pub enum Readers {
    /// Its owner alone.
    Owner,
    /// Everyone.
    Everyone,
}

/// Writes a file that everyone may read, whole or not at all.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, Readers::Everyone, |file| file.write_all(bytes))
}

/// Has a file written under a name of its own beside its place, then renames it: nobody sees half of it, and two who write at once
/// do not write into each other. What is not whole is removed again.
pub fn replace(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    partial(path, readers, fill)?.persist(path).map_err(|error| unwritten(path, &error))?;
    Ok(())
}

/// The same for a file that must not be there yet, such as a key that would be lost.
pub fn create(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<(), Failure> {
    partial(path, readers, fill)?.persist_noclobber(path).map_err(|error| unwritten(path, &error))?;
    Ok(())
}

fn unwritten(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::input(format!("cannot write {}: {error}", path.display()))
}

fn partial(
    path: &Path,
    readers: Readers,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> std::io::Result<()>,
) -> Result<NamedTempFile, Failure> {
    let failed = |error: &dyn std::fmt::Display| unwritten(path, error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = match readers {
        Readers::Owner => 0o600,
        Readers::Everyone => 0o666,
    };
    // The mode at creation is subject to the umask, as for any file.
    let partial = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder);
    let mut partial: NamedTempFile = partial.map_err(|error| failed(&error))?;
    let mut writer = BufWriter::new(partial.as_file_mut());
    fill(&mut writer).map_err(|error| failed(&error))?;
    writer.flush().map_err(|error| failed(&error))?;
    drop(writer);
    partial.as_file().sync_all().map_err(|error| failed(&error))?;
    Ok(partial)
}
