//! The audit log: who did what with which exam, as FHIR AuditEvents (R4), one a line, each line chained to the one before.
//!
//! A line is on disk before what it tells of goes on. The chain shows edits, removals and changes of order to whoever has the file; that
//! its end is missing shows against the head, which the work list keeps and the program's log repeats (docs/audit.md).

mod chain;
mod event;

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use chain::{Broken, Head, verify};
pub(crate) use event::{Agent, Event};

use crate::worklist::{Worklist, reading};
use crate::{Error, files};

/// The log's name in the gateway's folder.
pub(crate) const FILE: &str = "audit.ndjson";

/// The log, shared.
#[derive(Clone)]
pub(crate) struct Audit {
    state: Arc<Mutex<State>>,
    worklist: Worklist,
}

struct State {
    path: PathBuf,
    file: File,
    head: Head,
}

impl Audit {
    /// Opens the log, and refuses one that is not what it was.
    pub(crate) async fn open(folder: &Path, worklist: Worklist) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let known = worklist.with(|list| reading::audit_head(list)).await?;
        let state = State::open(path, known.map(|(number, hash)| Head { number, hash }).unwrap_or_default())?;
        let audit = Self { state: Arc::new(Mutex::new(state)), worklist };
        let head = audit.head();
        audit.note(head).await?;
        Ok(audit)
    }

    /// Number and hash of the last event.
    pub(crate) fn head(&self) -> Head {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).head.clone()
    }

    async fn note(&self, head: Head) -> Result<(), Error> {
        self.worklist.with(move |list| reading::set_audit_head(list, head.number, &head.hash)).await
    }

    /// Writes an event down. It is on disk when this returns.
    pub(crate) async fn write(&self, event: Event) -> Result<(), Error> {
        let state = Arc::clone(&self.state);
        let written = tokio::task::spawn_blocking(move || {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.write(&event)
        });
        let head = written.await.map_err(|_| Error::Worker)??;
        self.note(head).await
    }
}

impl State {
    fn open(path: PathBuf, known: Head) -> Result<Self, Error> {
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = opened.map_err(Error::file(&path))?;
        let broken = |problem| Error::Audit { path: path.clone(), problem };
        let whole = chain::read(&mut file, &path)?;
        let head = whole.head.map_err(broken)?;
        if head.number < known.number || (head.number == known.number && head.hash != known.hash) {
            return Err(broken(Broken::Shorter { there: head.number, told: known.number }));
        }
        if head.number > known.number && !chain::holds(&path, &known)? {
            return Err(broken(Broken::Order { line: known.number }));
        }
        if whole.torn > 0 {
            // A power cut in the middle of a line, which nobody was told was written.
            tracing::warn!(bytes = whole.torn, "the audit log ended in half a line, which is cut off");
            file.set_len(whole.length).map_err(Error::file(&path))?;
            file.seek(SeekFrom::End(0)).map_err(Error::file(&path))?;
            file.sync_all().map_err(Error::file(&path))?;
        }
        if let Some(folder) = path.parent() {
            files::sync_folder(folder).map_err(Error::file(folder))?;
        }
        Ok(Self { path, file, head })
    }

    fn write(&mut self, event: &Event) -> Result<Head, Error> {
        let (line, head) = chain::next(&self.head, &event.to_fhir());
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        written.map_err(Error::file(&self.path))?;
        self.head = head.clone();
        Ok(head)
    }
}
