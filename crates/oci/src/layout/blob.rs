//! Reading a blob while comparing it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::limits;

/// A blob's bytes, hashed as they are read. What was read may only be used after [`Blob::finish`].
pub struct Blob {
    file: io::Take<File>,
    path: PathBuf,
    digest: Digest,
    size: u64,
    left: u64,
    hasher: Hasher,
}

impl Blob {
    pub(crate) fn new(file: File, path: PathBuf, digest: Digest, size: u64) -> Self {
        Self { file: file.take(size), path, digest, size, left: size, hasher: Hasher::default() }
    }

    /// Reads what is left, and compares the whole.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], [`Error::DigestMismatch`], [`Error::File`].
    pub fn finish(mut self) -> Result<()> {
        let mut chunk = vec![0; limits::CHUNK];
        while self.read(&mut chunk).map_err(Error::file(&self.path))? > 0 {}
        let what = self.path.display().to_string();
        if self.left > 0 {
            return Err(Error::SizeMismatch { what, expected: self.size, found: self.size - self.left });
        }
        let found = self.hasher.finish();
        if found != self.digest {
            return Err(Error::DigestMismatch { what, expected: self.digest, found });
        }
        Ok(())
    }
}

impl Read for Blob {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(to)?;
        self.hasher.update(to.get(..read).unwrap_or_default());
        self.left -= read as u64;
        Ok(read)
    }
}
