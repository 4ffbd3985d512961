//! Where records go: to standard error, which is the enclave's console and which AWS shows in debug mode alone; and to the parent,
//! where the measured configuration lets them leave.

use std::io::Write;
use std::panic::Location;
use std::sync::OnceLock;
use std::time::SystemTime;

use tokio::sync::mpsc;

use super::metrics::{Count, count};
use super::record::{Place, Record};
use crate::limits;

static OUTLET: OnceLock<mpsc::Sender<String>> = OnceLock::new();

/// Records on their way to the parent, one JSON object each.
pub struct Outlet(mpsc::Receiver<String>);

impl Outlet {
    /// The next records, in order, at most [`limits::MAX_RECORDS_AT_ONCE`]; none when there will be no more.
    pub async fn next(&mut self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let most = limits::MAX_RECORDS_AT_ONCE;
        (self.0.recv_many(&mut lines, most).await > 0).then_some(lines)
    }
}

/// Lets records leave from now on; none when they do already.
pub fn outlet() -> Option<Outlet> {
    let (queue, waiting) = mpsc::channel(limits::MAX_RECORDS);
    OUTLET.set(queue).ok().map(|()| Outlet(waiting))
}

/// Writes one record.
pub fn log(record: Record) {
    let line = record.to_json(SystemTime::now()).to_string();
    write(&line);
    if let Some(outlet) = OUTLET.get()
        && !record.is_told()
        && outlet.try_send(line).is_err()
    {
        count(Count::RecordDropped);
    }
}

/// Says why the process ends before it serves anybody. What it knows by then is its own image and machine, so an error's own
/// words are fit to be said here, and nowhere else.
pub fn complain(error: &anyhow::Error) {
    write(&format!("cloister-enclave: {error:#}"));
}

/// Says that a part of the program panicked, and where. Its message is not said.
pub(crate) fn panicked(location: Option<&Location<'_>>) -> Option<Place> {
    let place = location.map(Place::of);
    log(Record::Panicked(place.clone()));
    place
}

#[expect(clippy::disallowed_methods, reason = "the one place that writes")]
fn write(line: &str) {
    // Nothing is left to report to when the console is gone.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::panic;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn records_leave_in_order_and_a_panic_leaves_its_place_alone() {
        let mut outlet = outlet().unwrap();
        panic::set_hook(Box::new(|panic| {
            panicked(panic.location());
        }));
        let panicked = std::thread::spawn(|| panic!("CANARY")).join();
        // The other tests' panics are to be read.
        drop(panic::take_hook());
        assert!(panicked.is_err());
        let lines = outlet.next().await.unwrap().concat();
        assert!(lines.contains("disclose/log.rs") && !lines.contains("CANARY"), "{lines}");
        log(Record::KeysNotReplaced);
        log(Record::Event { name: "ready", detail: None });
        log(Record::ParentGone { limit: Duration::from_secs(60) });
        let lines = outlet.next().await.unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("keys_not_replaced") && lines[1].contains("parent_gone"), "{lines:?}");
        for _ in 0..limits::MAX_RECORDS + 1 {
            log(Record::KeysNotReplaced);
        }
        let mut waiting = 0;
        while waiting < limits::MAX_RECORDS {
            waiting += outlet.next().await.unwrap().len();
        }
        assert!(futures_util::poll!(std::pin::pin!(outlet.next())).is_pending(), "one was dropped");
    }
}
