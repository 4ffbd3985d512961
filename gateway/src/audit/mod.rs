//! The audit log: who did what with which exam, as FHIR AuditEvents (R4), one a line, each line chained to the one before.
//!
//! A line is on disk before what it tells of goes on. The chain shows edits, removals and changes of order to whoever has the file; that
//! its end is missing shows against the head, which the work list keeps and the program's log repeats (docs/audit.md).

mod chain;
mod event;

use std::fs::{File, OpenOptions};
use std::io::Write;
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

struct State<F = File> {
    path: PathBuf,
    file: F,
    head: Head,
    /// The length of its whole lines.
    length: u64,
    /// It could not be cut back to whole lines: whatever followed would not be read.
    torn: bool,
}

/// What the log is kept in.
trait Disk: Write {
    /// Has what was written on disk.
    fn sync(&mut self) -> std::io::Result<()>;

    /// Cuts it back to that length, on disk.
    fn cut(&mut self, length: u64) -> std::io::Result<()>;
}

impl Disk for File {
    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        self.set_len(length)?;
        self.sync_all()
    }
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
            file.cut(whole.length).map_err(Error::file(&path))?;
        }
        if let Some(folder) = path.parent() {
            files::sync_folder(folder).map_err(Error::file(folder))?;
        }
        Ok(Self { path, file, head, length: whole.length, torn: false })
    }
}

impl<F: Disk> State<F> {
    fn write(&mut self, event: &Event) -> Result<Head, Error> {
        if self.torn {
            return Err(Error::AuditTorn(self.path.clone()));
        }
        let (line, head) = chain::next(&self.head, &event.to_fhir());
        if let Err(error) = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync()) {
            // Half a line may be there, on which the next would not follow.
            self.torn = self.file.cut(self.length).is_err();
            return Err(Error::file(&self.path)(error));
        }
        self.length += line.len() as u64;
        self.head = head.clone();
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A disk with room for so many bytes.
    struct Full {
        file: File,
        room: usize,
        cuts: bool,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = &bytes[..bytes.len().min(self.room)];
            if fits.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = self.file.write(fits)?;
            self.room -= written;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Full {
        fn sync(&mut self) -> io::Result<()> {
            self.file.sync()
        }

        fn cut(&mut self, length: u64) -> io::Result<()> {
            if self.cuts { self.file.cut(length) } else { Err(io::ErrorKind::Other.into()) }
        }
    }

    fn state(path: &Path, cuts: bool) -> State<Full> {
        let State { path, file, head, length, torn } = State::open(path.to_owned(), Head::default()).unwrap();
        State { path, file: Full { file, room: usize::MAX, cuts }, head, length, torn }
    }

    #[test]
    fn a_disk_that_was_full_for_a_while_leaves_a_log_whose_lines_follow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut log = state(&path, true);
        log.write(&Event::started()).unwrap();
        for room in [0, 1, 100] {
            log.file.room = room;
            assert!(matches!(log.write(&Event::stopped()), Err(Error::File { .. })), "room for {room}");
        }
        log.file.room = usize::MAX;
        let head = log.write(&Event::stopped()).unwrap();
        assert_eq!((head.number, verify(&path, None).unwrap()), (2, head));
    }

    #[test]
    fn a_log_that_cannot_be_mended_takes_no_more_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut log = state(&path, false);
        let head = log.write(&Event::started()).unwrap();
        log.file.room = 100;
        assert!(matches!(log.write(&Event::stopped()), Err(Error::File { .. })));
        log.file.room = usize::MAX;
        assert!(matches!(log.write(&Event::stopped()), Err(Error::AuditTorn(_))));
        drop(log);
        // The next start cuts off the half line.
        assert_eq!(State::open(path.clone(), head.clone()).unwrap().head, head);
        assert_eq!(verify(&path, None).unwrap(), head);
    }
}
