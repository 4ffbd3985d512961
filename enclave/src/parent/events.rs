//! What the enclave tells its parent: a closed list of facts, none of which can carry a pixel, a score or a name.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Error, Parent, request};
use crate::disclose::metrics::{Count, count};
use crate::disclose::{Place, Record, Words, log, timestamp, words};
use crate::drain::Drain;
use crate::limits;

/// One fact about the enclave's own life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The process has started.
    Starting,
    /// Something about the enclave that its owner should know, and that changes nothing.
    Notice(Words),
    /// A step of the boot did not succeed, and will be tried again.
    Waiting {
        /// Why.
        reason: Words,
    },
    /// The model is loaded, measured, and gives its known answers.
    Ready {
        /// Its name, as the measured configuration says it.
        model: Words,
        /// Its version.
        version: u32,
    },
    /// This enclave will never be ready.
    Failed {
        /// Why.
        reason: Words,
    },
    /// The parent asked the enclave to end; it does when its clients have their answers.
    Draining,
    /// The process ends.
    Stopping,
    /// A part of the program panicked, and the process ends at once.
    Panicked {
        /// Where in the program.
        place: Option<Place>,
    },
}

impl Event {
    fn parts(&self) -> (&'static str, Option<Words>) {
        match self {
            Self::Starting => ("starting", None),
            Self::Notice(fact) => ("notice", Some(fact.clone())),
            Self::Waiting { reason } => ("waiting", Some(reason.clone())),
            Self::Ready { model, version } => ("ready", Some(words![model, " version ", *version])),
            Self::Failed { reason } => ("failed", Some(reason.clone())),
            Self::Draining => ("draining", None),
            Self::Stopping => ("stopping", None),
            Self::Panicked { place } => ("panicked", place.as_ref().map(|place| words!["at ", place])),
        }
    }

    fn to_json(&self, at: SystemTime) -> Value {
        let (event, detail) = self.parts();
        match detail {
            Some(detail) => json!({"time": timestamp(at), "event": event, "detail": detail}),
            None => json!({"time": timestamp(at), "event": event}),
        }
    }
}

/// A queue of events on their way to the parent. The last one is told again from time to time, so that a parent that was restarted,
/// or lost it, knows how its enclave is.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Dated>,
}

type Dated = (SystemTime, Event);

impl Events {
    /// Starts the task that delivers them, the last one again after each `repeat`, and that hears it when the parent asks the enclave to
    /// end.
    pub fn start(parent: Parent, drain: Drain, repeat: Duration) -> Self {
        let (queue, waiting) = mpsc::channel(limits::MAX_EVENTS);
        tokio::spawn(deliver(parent, waiting, drain, repeat));
        Self { queue }
    }

    /// Queues one event; a full queue drops it.
    pub fn tell(&self, event: Event) {
        let (name, detail) = event.parts();
        log(Record::Event { name, detail });
        if self.queue.try_send((SystemTime::now(), event)).is_err() {
            count(Count::EventDropped);
        }
    }
}

/// What the parent is to hear: how the enclave is by now, and every notice.
#[derive(Default)]
struct Untold {
    phase: Option<Dated>,
    phase_told: bool,
    notices: VecDeque<Dated>,
}

impl Untold {
    fn add(&mut self, event: Dated) {
        match event.1 {
            Event::Notice(_) if self.notices.len() < limits::MAX_NOTICES => self.notices.push_back(event),
            Event::Notice(_) => count(Count::EventDropped),
            _ => (self.phase, self.phase_told) = (Some(event), false),
        }
    }

    fn next(&self) -> Option<&Dated> {
        self.phase.as_ref().filter(|_| !self.phase_told).or(self.notices.front())
    }

    /// The parent has heard what was next.
    fn told(&mut self) {
        if self.phase_told || self.phase.is_none() {
            self.notices.pop_front();
        }
        self.phase_told = true;
    }

    /// How the enclave is, is to be told again. Its time stays: it says since when.
    fn again(&mut self) {
        self.phase_told = false;
    }
}

async fn deliver(parent: Parent, mut waiting: mpsc::Receiver<Dated>, drain: Drain, repeat: Duration) {
    let mut untold = Untold::default();
    loop {
        let pause = match untold.next() {
            None => repeat,
            Some(event) => match parent.post_event(event).await {
                Ok(answer) => {
                    if answer == Answer::End {
                        drain.ask();
                    }
                    untold.told();
                    continue;
                }
                Err(error) if is_final(&error) => {
                    count(Count::EventDropped);
                    untold.told();
                    continue;
                }
                Err(_) => limits::EVENT_RETRY,
            },
        };
        match timeout(pause, waiting.recv()).await {
            Ok(Some(next)) => untold.add(next),
            Ok(None) => return,
            Err(_) => untold.again(),
        }
    }
}

/// What the parent has to say to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Heard,
    /// That the enclave shall end in order. Whoever can stop the enclave may ask for that.
    End,
}

/// Whether the parent would say the same to the same event again.
fn is_final(error: &Error) -> bool {
    let Error::Status { status, .. } = error else { return false };
    status.is_client_error() && ![StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
}

impl Parent {
    /// Tells one event before the process ends, within [`limits::LAST_EVENT_TIMEOUT`]. It blocks, and works on a thread and a runtime of
    /// its own: whatever else this process has may be broken.
    pub fn tell_last(&self, event: Event) {
        let event = (SystemTime::now(), event);
        let parent = self.clone();
        let (told, done) = std::sync::mpsc::channel();
        let tell = move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                // Nobody is left to hear that it was not told.
                let _ = runtime.block_on(parent.post_event(&event));
            }
            let _ = told.send(());
        };
        if std::thread::Builder::new().spawn(tell).is_ok() {
            let _ = done.recv_timeout(limits::LAST_EVENT_TIMEOUT);
        }
    }

    async fn post_event(&self, (at, event): &Dated) -> Result<Answer, Error> {
        const WHAT: &str = "an event";
        let line = format!("{}\n", event.to_json(*at));
        let request = request(Method::POST, "/v1/events")
            .header(header::CONTENT_TYPE, "application/x-ndjson")
            .body(Full::new(Bytes::from(line)))?;
        let answer = self.exchange(WHAT, request, limits::MAX_CREDENTIALS_BYTES).await?;
        match answer.status() {
            StatusCode::RESET_CONTENT => Ok(Answer::End),
            status if status.is_success() => Ok(Answer::Heard),
            status => Err(Error::Status { what: WHAT, status }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(event: Event) -> Dated {
        (SystemTime::UNIX_EPOCH, event)
    }

    #[test]
    fn a_newer_phase_takes_an_older_ones_place_and_no_notice_is_lost() {
        let mut untold = Untold::default();
        let notice = Event::Notice(Words::of("fact"));
        for event in [Event::Starting, notice.clone(), Event::Stopping] {
            untold.add(at(event));
        }
        assert_eq!(untold.next().map(|(_, event)| event), Some(&Event::Stopping));
        untold.told();
        assert_eq!(untold.next().map(|(_, event)| event), Some(&notice));
        untold.told();
        assert_eq!(untold.next(), None);
        untold.again();
        assert_eq!(untold.next().map(|(_, event)| event), Some(&Event::Stopping));
    }

    #[test]
    fn a_last_event_to_nobody_does_not_keep_the_process() {
        let parent = Parent::new("unix:///nonexistent/control".parse().unwrap(), limits::DEFAULT_PARENT_GONE);
        let before = std::time::Instant::now();
        parent.tell_last(Event::Panicked { place: None });
        assert!(before.elapsed() < limits::LAST_EVENT_TIMEOUT * 2);
    }

    #[test]
    fn a_parent_that_does_not_know_an_event_is_not_asked_again_and_a_busy_one_is() {
        let status = |status| Error::Status { what: "an event", status };
        assert!(is_final(&status(StatusCode::BAD_REQUEST)));
        assert!(!is_final(&status(StatusCode::TOO_MANY_REQUESTS)));
        assert!(!is_final(&status(StatusCode::BAD_GATEWAY)));
        assert!(!is_final(&Error::Replaced));
    }
}
