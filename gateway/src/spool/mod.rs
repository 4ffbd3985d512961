//! Images and results on disk: each exam's in a folder of its own, each file on disk before the work list names it.
//!
//! A file comes in under `incoming`, and moves into its exam's folder when it is whole. What a crash leaves is found at the next start,
//! because the work list does not know it, and is deleted.

mod writer;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use writer::{Incoming, NotWritten, Spooled};

use crate::{Error, files, limits};

/// Where incoming files are.
const INCOMING: &str = "incoming";

/// Where exams' folders are.
const EXAMS: &str = "exams";

/// The spool, shared.
#[derive(Clone)]
pub(crate) struct Spool {
    folder: Arc<PathBuf>,
    /// Bytes of files that are coming in.
    incoming: Arc<AtomicU64>,
}

impl Spool {
    /// Opens the folder, and deletes what the work list does not know.
    pub(crate) fn open(folder: &Path, known: &[String]) -> Result<Self, Error> {
        let (incoming, exams) = (folder.join(INCOMING), folder.join(EXAMS));
        for folder in [folder, &incoming, &exams] {
            files::folder(folder)?;
        }
        for entry in entries(&incoming)? {
            fs::remove_file(&entry).map_err(Error::file(&entry))?;
        }
        let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
        for entry in entries(&exams)? {
            let ours = entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| known.contains(name));
            if !ours {
                fs::remove_dir_all(&entry).map_err(Error::file(&entry))?;
            }
        }
        Ok(Self { folder: Arc::new(folder.to_owned()), incoming: Arc::default() })
    }

    /// Bytes that are coming in, and are not on the work list yet.
    pub(crate) fn incoming_bytes(&self) -> u64 {
        self.incoming.load(Ordering::Relaxed)
    }

    fn exam(&self, id: &str) -> PathBuf {
        self.folder.join(EXAMS).join(id)
    }

    /// Moves whole files into an exam's folder, each under its number.
    pub(crate) fn commit(&self, id: &str, incoming: Vec<(u32, Spooled)>) -> Result<(), Error> {
        let folder = self.exam(id);
        files::folder(&folder)?;
        for (number, file) in incoming {
            let there = folder.join(number.to_string());
            file.move_to(&there).map_err(Error::file(&there))?;
        }
        files::sync_folder(&folder).map_err(Error::file(&folder))?;
        let exams = self.folder.join(EXAMS);
        files::sync_folder(&exams).map_err(Error::file(&exams))
    }

    /// One of an exam's images.
    pub(crate) fn image(&self, id: &str, number: u32) -> Result<Vec<u8>, Error> {
        let path = self.exam(id).join(number.to_string());
        let mut bytes = Vec::new();
        let file = File::open(&path).map_err(Error::file(&path))?;
        file.take(limits::MAX_IMAGE_BYTES).read_to_end(&mut bytes).map_err(Error::file(&path))?;
        Ok(bytes)
    }

    /// The same, to be read bit by bit.
    pub(crate) async fn open_image(&self, id: &str, number: u32) -> Result<tokio::fs::File, Error> {
        let path = self.exam(id).join(number.to_string());
        tokio::fs::File::open(&path).await.map_err(Error::file(path))
    }

    /// Keeps one of an exam's results.
    pub(crate) fn keep_result(&self, id: &str, result: &str, bytes: &[u8]) -> Result<(), Error> {
        let folder = self.exam(id);
        files::place(&folder, &format!("result-{result}"), bytes).map_err(Error::file(&folder))
    }

    /// One of an exam's results.
    pub(crate) fn result(&self, id: &str, result: &str) -> Result<Vec<u8>, Error> {
        let path = self.exam(id).join(format!("result-{result}"));
        fs::read(&path).map_err(Error::file(&path))
    }

    fn images(&self, id: &str) -> Result<Vec<PathBuf>, Error> {
        let mut entries = entries(&self.exam(id))?;
        entries.retain(|entry| {
            entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u32>().is_ok())
        });
        Ok(entries)
    }

    /// Whether any of an exam's images is on disk.
    pub(crate) fn has_images(&self, id: &str) -> Result<bool, Error> {
        Ok(!self.images(id)?.is_empty())
    }

    /// Deletes an exam's images, and leaves its results.
    pub(crate) fn delete_images(&self, id: &str) -> Result<(), Error> {
        for image in self.images(id)? {
            gone(fs::remove_file(&image)).map_err(Error::file(&image))?;
        }
        Ok(())
    }

    /// Deletes all of an exam.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Error> {
        let folder = self.exam(id);
        gone(fs::remove_dir_all(&folder)).map_err(Error::file(&folder))
    }
}

/// What is not there need not be deleted.
fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file(folder))?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(Error::file(folder))).collect()
}
