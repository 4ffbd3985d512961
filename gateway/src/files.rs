//! The gateway's own files: read within a bound, made for their owner alone, and on disk before anybody is told.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::{Error, limits};

/// Reads a file of text.
pub(crate) fn text(path: &Path) -> Result<String, Error> {
    bounded_text(path, limits::MAX_TEXT_BYTES)
}

/// Reads a file of text of at most that many bytes.
pub(crate) fn bounded_text(path: &Path, limit: u64) -> Result<String, Error> {
    let mut text = String::new();
    let file = File::open(path).map_err(Error::file(path))?;
    file.take(limit + 1).read_to_string(&mut text).map_err(Error::file(path))?;
    if text.len() as u64 > limit {
        return Err(Error::TooLong { path: path.to_owned(), limit });
    }
    Ok(text)
}

/// Reads a secret, which is wiped when it is dropped.
pub(crate) fn secret(path: &Path) -> Result<Zeroizing<String>, Error> {
    Ok(Zeroizing::new(text(path)?.trim().to_owned()))
}

/// Makes a folder, and those above it, for its owner alone.
pub(crate) fn folder(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(Error::file(path))
}

/// A new file, for its owner alone.
pub(crate) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Has a folder's entries on disk.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

/// Writes a file under a name that nobody looks at, has it on disk, and gives it its own: it is there whole or not at all, and writing
/// it again changes nothing.
pub(crate) fn place(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let partial = folder.join(format!(".{name}.partial"));
    // What a crash left.
    match fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, folder.join(name))?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_placed_whole_and_once_however_often_it_is_placed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".a.partial"), "half of a").unwrap();
        for _ in 0..2 {
            place(folder.path(), "a", b"all of it").unwrap();
        }
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"all of it");
    }
}
