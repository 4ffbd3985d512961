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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::Connection;

    use super::*;

    fn list() -> (tempfile::TempDir, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let connection = schema::open(&folder.path().join("list")).unwrap();
        (folder, connection)
    }

    fn file(number: u32, view: &str) -> NewFile {
        NewFile {
            number,
            view: view.parse().ok(),
            media: Media::Png,
            bytes: 1000,
            rows: Some(1),
            columns: Some(1),
            sha256: format!("digest of {view}"),
            instance_uid: None,
        }
    }

    fn exam(id: &str, files: Vec<NewFile>) -> NewExam {
        NewExam {
            id: id.to_owned(),
            source: Source::Api,
            label: "label".to_owned(),
            patient: None,
            study_uid: None,
            by: None,
            missing_allowed: false,
            nonce: [7; 32],
            files,
        }
    }

    fn point() -> OperatingPoint {
        OperatingPoint { label: "malignant".to_owned(), malignant: 0.5, name: "half".to_owned() }
    }

    fn state(list: &Connection, id: &str) -> (State, Option<Reason>) {
        let exam = reading::get(list, id, &point()).unwrap().unwrap();
        (exam.state, exam.reason)
    }

    #[test]
    fn exams_are_taken_up_in_their_order_and_what_a_crash_left_is_among_them() {
        let (_folder, mut list) = list();
        for id in ["a", "b", "c"] {
            work::add(&mut list, &exam(id, vec![file(1, "L-CC")])).unwrap();
        }
        let first = work::next(&mut list, &[]).unwrap().unwrap();
        assert_eq!((first.id.as_str(), first.nonce), ("a", [7; 32]));
        work::moved_on(&mut list, first.number, State::Verified).unwrap();
        work::moved_on(&mut list, first.number, State::Sent).unwrap();
        let second = work::next(&mut list, &[first.number]).unwrap().unwrap();
        assert_eq!(second.id, "b");
        // As after a crash: nobody has the first in hand.
        assert_eq!(work::next(&mut list, &[]).unwrap().unwrap().id, "a");
        assert_eq!(work::waiting(&list).unwrap(), 3);
        assert_eq!(work::kept_bytes(&list).unwrap(), 3000);
    }

    #[test]
    fn an_exam_that_breaks_off_waits_longer_each_time_and_fails_in_the_end() {
        let (_folder, mut list) = list();
        work::add(&mut list, &exam("a", vec![file(1, "L-CC")])).unwrap();
        let number = work::next(&mut list, &[]).unwrap().unwrap().number;
        let reason = Reason::new("connection", "It broke.");
        for attempt in 1..limits::MAX_ATTEMPTS {
            assert!(!work::again(&mut list, number, None, &reason).unwrap());
            assert_eq!(state(&list, "a"), (State::Received, None), "{attempt}");
            assert!(work::next(&mut list, &[]).unwrap().is_none(), "its time has not come");
        }
        assert!(work::again(&mut list, number, None, &reason).unwrap());
        assert_eq!(state(&list, "a"), (State::Failed, Some(reason)));
        assert!(work::retry(&mut list, "a").unwrap() && !work::retry(&mut list, "a").unwrap());
        assert!(work::next(&mut list, &[]).unwrap().is_some());
        assert_eq!(work::backoff(0), limits::FIRST_BACKOFF);
        assert!(work::backoff(1) == 2 * limits::FIRST_BACKOFF && work::backoff(u32::MAX) == limits::LONGEST_BACKOFF);
    }

    #[test]
    fn what_an_enclave_asks_to_wait_only_lengthens_the_wait() {
        let (_folder, mut list) = list();
        work::add(&mut list, &exam("a", vec![file(1, "L-CC")])).unwrap();
        let number = work::next(&mut list, &[]).unwrap().unwrap().number;
        let mut wait = |after| {
            let before = crate::times::now();
            assert!(
                !work::again(&mut list, number, Some(Duration::from_secs(after)), &Reason::new("busy", "B.")).unwrap()
            );
            let sql = "SELECT not_before FROM exam";
            list.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() - before
        };
        assert!(wait(60) >= 60_000, "the first wait would be half a second");
        for _ in 1..9 {
            wait(2);
        }
        assert!(wait(2) >= 256_000, "after nine tries the wait has doubled nine times");
    }

    #[test]
    fn a_file_of_an_exam_that_failed_may_come_again() {
        let (_folder, mut list) = list();
        let gather = |list: &mut Connection, id: &str| {
            gathering::gather(list, "study 1", &exam(id, vec![file(1, "L-CC")])).unwrap()
        };
        gather(&mut list, "a");
        let (number, ..) = gathering::quiet_since(&list, crate::times::now()).unwrap().remove(0);
        work::ended(&mut list, number, State::Failed, &Reason::new("missing-view", "One is missing.")).unwrap();
        assert_eq!(gather(&mut list, "b"), Gathered::Part { id: "b".to_owned(), complete: false });
        assert_eq!(gather(&mut list, "c"), Gathered::Before { id: "b".to_owned() });
    }

    fn answered(targets: Vec<&'static str>) -> Answered {
        let text = String::new;
        let by =
            AnsweredBy { name: text(), label: text(), module_id: text(), document_time: text(), checks: Vec::new() };
        let result = |id: &str, kind| NewResult { id: id.to_owned(), kind, view: None, instance_uid: None };
        Answered {
            answer: text(),
            by,
            report: text(),
            receipt: Vec::new(),
            receipt_name: ReceiptName { digest: text(), key_id: text() },
            maps: Vec::new(),
            results: vec![result("1", ResultKind::CadSr)],
            targets,
        }
    }

    fn stored(list: &Connection, id: &str) -> String {
        list.query_row("SELECT state FROM exam WHERE id = ?1", [id], |row| row.get(0)).unwrap()
    }

    #[test]
    fn nothing_waits_for_a_target_that_is_not_configured_any_more() {
        let (_folder, mut list) = list();
        for (id, targets) in [("a", vec!["folder", "pacs"]), ("b", vec!["pacs"]), ("c", vec!["folder", "pacs"])] {
            work::add(&mut list, &exam(id, vec![file(1, "L-CC")])).unwrap();
            let number = work::next(&mut list, &[]).unwrap().unwrap().number;
            work::answered(&mut list, number, &answered(targets)).unwrap();
        }
        let due = deliveries::due(&list, "folder").unwrap().unwrap();
        assert_eq!(due.exam, "a");
        assert!(!deliveries::delivered(&mut list, &due).unwrap());
        assert_eq!(deliveries::forget_others(&mut list, &["folder", "pacs"]).unwrap(), 0);
        assert_eq!(deliveries::forget_others(&mut list, &["folder"]).unwrap(), 3);
        assert_eq!(["a", "b", "c"].map(|id| stored(&list, id)), ["delivered", "answered", "answered"]);
        assert!(deliveries::due(&list, "pacs").unwrap().is_none());
        assert_eq!(deliveries::due(&list, "folder").unwrap().unwrap().exam, "c");
    }

    #[test]
    fn images_of_an_exam_that_is_to_be_sent_once_more_are_not_deleted() {
        let (_folder, mut list) = list();
        work::add(&mut list, &exam("a", vec![file(1, "L-CC")])).unwrap();
        let number = work::next(&mut list, &[]).unwrap().unwrap().number;
        work::ended(&mut list, number, State::Failed, &Reason::new("x", "X.")).unwrap();
        assert!(work::can_retry(&list, "a").unwrap() && work::retry(&mut list, "a").unwrap());
        assert!(!work::images_gone(&list, "a").unwrap());
        assert!(work::without_images(&list).unwrap().is_empty());
        work::ended(&mut list, number, State::Failed, &Reason::new("x", "X.")).unwrap();
        assert!(work::images_gone(&list, "a").unwrap());
        assert_eq!(work::without_images(&list).unwrap(), ["a"]);
        assert!(!work::can_retry(&list, "a").unwrap() && !work::retry(&mut list, "a").unwrap());
    }

    #[test]
    fn images_gather_by_name_and_the_same_file_comes_once() {
        let (_folder, mut list) = list();
        let mut gather = |name: &str, id: &str, number, view: &str| {
            gathering::gather(&mut list, name, &exam(id, vec![file(number, view)])).unwrap()
        };
        let part = |id: &str, complete| Gathered::Part { id: id.to_owned(), complete };
        assert_eq!(gather("study 1", "a", 1, "L-CC"), part("a", false));
        assert_eq!(gather("study 2", "b", 1, "L-CC"), Gathered::Before { id: "a".to_owned() });
        for (number, view) in [(2, "R-CC"), (3, "L-MLO")] {
            assert_eq!(gather("study 1", "x", number, view), part("a", false));
        }
        assert_eq!(gather("study 1", "x", 4, "R-MLO"), part("a", true));
        // The study goes on: another exam.
        let mut later = exam("c", vec![file(1, "L-CC")]);
        later.files[0].sha256 = "another".to_owned();
        assert_eq!(gathering::gather(&mut list, "study 1", &later).unwrap(), part("c", false));
        later.files[0].sha256 = "a third".to_owned();
        assert_eq!(gathering::gather(&mut list, "study 1", &later).unwrap(), Gathered::Twice);
        assert_eq!(state(&list, "a").0, State::Received);
    }

    #[test]
    fn a_work_list_of_a_later_program_is_left_alone() {
        let (folder, list) = list();
        list.pragma_update(None, "user_version", VERSION + 1).unwrap();
        drop(list);
        let refused = schema::open(&folder.path().join("list")).err();
        assert!(matches!(refused, Some(Error::WorklistVersion(version)) if version == VERSION + 1));
    }
}
