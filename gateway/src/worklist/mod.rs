//! The work list: every exam, how far it has come, and what is still to be done with it. SQLite, with one writer.
//!
//! What it says is on disk before anybody is told (`synchronous = FULL`), so that a crash or a power cut leaves an exam in the state that
//! it was last told to be in. It holds patients' names, which a reader needs; logs and metrics never repeat any of it.

pub(crate) mod deliveries;
mod exam;
pub(crate) mod gathering;
pub(crate) mod reading;
mod schema;
pub(crate) mod work;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{Notify, broadcast};

pub(crate) use deliveries::{Due, NewResult};
pub use exam::*;
pub(crate) use gathering::{Gathered, NewFile};
pub(crate) use reading::Filter;
pub(crate) use schema::VERSION;
pub(crate) use work::{Answered, NewExam, StoredMap, Work};

use crate::{Error, limits};

/// An exam changed; its identifier.
pub(crate) type Changed = Arc<str>;

/// The work list, shared.
#[derive(Clone)]
pub(crate) struct Worklist {
    connection: Arc<Mutex<Connection>>,
    changes: broadcast::Sender<Changed>,
    work: Arc<Notify>,
    deliveries: Arc<Notify>,
}

impl Worklist {
    /// Opens a work list, made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let connection = schema::open(path)?;
        let (changes, _) = broadcast::channel(limits::EVENTS_BEHIND);
        let connection = Arc::new(Mutex::new(connection));
        Ok(Self { connection, changes, work: Arc::default(), deliveries: Arc::default() })
    }

    /// Does something with it on a thread that may wait for the disk.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let connection = Arc::clone(&self.connection);
        tokio::task::spawn_blocking(move || what(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|_| Error::Worker)?
    }

    /// Changes from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Changed> {
        self.changes.subscribe()
    }

    /// Tells that an exam changed, and whoever may have to do something about it.
    pub(crate) fn announce(&self, id: &str) {
        // Nobody may be listening.
        let _ = self.changes.send(id.into());
        self.work.notify_waiters();
        self.deliveries.notify_waiters();
    }

    /// Until an exam may have to be sent.
    pub(crate) async fn work(&self) {
        let _ = tokio::time::timeout(limits::LOOK_INTERVAL, self.work.notified()).await;
    }

    /// Until something may have to be delivered.
    pub(crate) async fn to_deliver(&self) {
        let _ = tokio::time::timeout(limits::LOOK_INTERVAL, self.deliveries.notified()).await;
    }
}
