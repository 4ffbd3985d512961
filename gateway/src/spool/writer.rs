//! A file as it comes in: written as it arrives, digested on the way, and gone unless it is taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::io::AsyncWriteExt;

use super::{INCOMING, Spool};
use crate::{Error, files, limits, random};

/// A file that is being written.
pub(crate) struct Incoming {
    file: tokio::fs::File,
    digest: Context,
    spooled: Spooled,
}

/// A file that is whole and on disk, under a name that nobody looks at. It is deleted when it is dropped.
pub(crate) struct Spooled {
    path: Option<PathBuf>,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    counted: Arc<AtomicU64>,
}

/// Why a file is not taken.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// It is longer than an enclave takes.
    TooLarge,
    /// The disk refuses.
    Disk(Error),
}

impl Spool {
    /// Begins a file.
    pub(crate) async fn begin(&self) -> Result<Incoming, Error> {
        let path = self.folder.join(INCOMING).join(random::id()?);
        let file = files::create(&path).map_err(Error::file(&path))?;
        let counted = Arc::clone(&self.incoming);
        let spooled = Spooled { path: Some(path), bytes: 0, sha256: String::new(), counted };
        Ok(Incoming { file: tokio::fs::File::from_std(file), digest: Context::new(&SHA256), spooled })
    }

    /// Takes bytes that are at hand.
    pub(crate) async fn take(&self, bytes: &[u8]) -> Result<Spooled, NotWritten> {
        let mut incoming = self.begin().await.map_err(NotWritten::Disk)?;
        incoming.write(bytes).await?;
        incoming.finish().await
    }
}

impl Incoming {
    /// Takes what has arrived, and returns when the disk has taken it: whoever sends waits as long.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), NotWritten> {
        let length = bytes.len() as u64;
        if self.spooled.bytes + length > limits::MAX_IMAGE_BYTES {
            return Err(NotWritten::TooLarge);
        }
        self.digest.update(bytes);
        self.file.write_all(bytes).await.map_err(|error| self.disk(error))?;
        self.spooled.bytes += length;
        self.spooled.counted.fetch_add(length, Ordering::Relaxed);
        Ok(())
    }

    /// Has all of it on disk.
    pub(crate) async fn finish(mut self) -> Result<Spooled, NotWritten> {
        self.file.flush().await.map_err(|error| self.disk(error))?;
        self.file.sync_all().await.map_err(|error| self.disk(error))?;
        self.spooled.sha256 = hex::encode(self.digest.finish());
        Ok(self.spooled)
    }

    fn disk(&self, error: std::io::Error) -> NotWritten {
        NotWritten::Disk(Error::file(self.spooled.path.as_deref().unwrap_or(Path::new("")))(error))
    }
}

impl Spooled {
    /// Its bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Error> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        std::fs::read(path).map_err(Error::file(path))
    }

    /// Gives it its place.
    pub(super) fn move_to(mut self, there: &Path) -> std::io::Result<()> {
        if let Some(path) = self.path.take() {
            std::fs::rename(path, there)?;
        }
        Ok(())
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.counted.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(path) = &self.path {
            // What stays is found at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}
