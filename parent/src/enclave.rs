//! One enclave, seen from beside: what it was described as, what it last said, whether its port answers, and who is connected to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cloister_transport::{Stream, dial};
use metrics::{Gauge, gauge};
use serde::Deserialize;

use crate::enclaves::{Described, Value};
use crate::{limits, metrics as names};

/// What the enclave can say about its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Starting,
    Waiting,
    Ready,
    Failed,
    Draining,
    Stopping,
    Panicked,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Panicked => "panicked",
        }
    }
}

/// The last thing that the enclave said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) phase: Phase,
    pub(crate) detail: Option<String>,
    /// When it was heard.
    pub(crate) at: Instant,
}

impl Said {
    /// Whether it shows that the enclave is there and has more to say.
    fn is_of_one_that_goes_on(&self) -> bool {
        !matches!(self.phase, Phase::Stopping | Phase::Panicked) && self.at.elapsed() < limits::DRAIN_SILENCE
    }
}

/// Why no client should come now.
#[derive(Clone, Debug)]
pub(crate) enum NotReady {
    ParentStopping,
    Draining,
    Silent,
    Said(Said),
    Unreachable(String),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentStopping => f.write_str("the parent is stopping"),
            Self::Draining => f.write_str("no enclave is listed that does not drain"),
            Self::Silent => f.write_str("the enclave has said nothing yet"),
            Self::Said(Said { phase, detail: None, .. }) => write!(f, "the enclave is {}", phase.name()),
            Self::Said(Said { phase, detail: Some(detail), .. }) => {
                write!(f, "the enclave is {}: {detail}", phase.name())
            }
            Self::Unreachable(error) => write!(f, "the enclave said that it is ready, but {error}"),
        }
    }
}

/// One enclave, seen from beside.
pub(crate) struct Enclave {
    pub(crate) described: Described,
    said: Mutex<Option<Said>>,
    dialled: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
    set: Mutex<BTreeMap<String, Value>>,
    occupancy: Mutex<Occupancy>,
}

/// Who is connected, and whether anybody may still come.
#[derive(Default)]
struct Occupancy {
    relayed: usize,
    /// Since when it drains.
    draining: Option<Instant>,
    /// How often in a row it did not answer while it drained.
    misses: u32,
}

/// Why an enclave that drained can be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nobody is connected, and it does not answer any more.
    Ended,
    /// Nobody is connected, and it still answers after all of its time.
    Late,
}

impl Enclave {
    pub(crate) fn new(described: Described) -> Self {
        Self {
            set: Mutex::new(described.set.clone()),
            described,
            said: Mutex::new(None),
            dialled: tokio::sync::Mutex::new(None),
            occupancy: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.described.name
    }

    /// Remembers what it said.
    pub(crate) fn says(&self, said: Said) {
        *locked(&self.said) = Some(said);
    }

    fn said(&self) -> Option<Said> {
        locked(&self.said).clone()
    }

    /// What it is to set by now.
    pub(crate) fn set(&self) -> BTreeMap<String, Value> {
        locked(&self.set).clone()
    }

    /// It is to set otherwise from now on. An enclave asks when it boots.
    pub(crate) fn set_anew(&self, set: BTreeMap<String, Value>) {
        *locked(&self.set) = set;
    }

    /// No new client from now on; it is asked to end, and is forgotten when nobody is left.
    pub(crate) fn drain(&self) {
        locked(&self.occupancy).draining.get_or_insert_with(Instant::now);
    }

    /// New clients again; whether it drained.
    pub(crate) fn resume(&self) -> bool {
        let mut occupancy = locked(&self.occupancy);
        occupancy.misses = 0;
        occupancy.draining.take().is_some()
    }

    pub(crate) fn drains(&self) -> bool {
        locked(&self.occupancy).draining.is_some()
    }

    /// Whether it said last that it serves. Its port is not asked.
    pub(crate) fn says_ready(&self) -> bool {
        self.said().is_some_and(|said| said.phase == Phase::Ready)
    }

    /// Whether it said last that it serves, and could be reached when that was last tried.
    pub(crate) fn is_promising(&self) -> bool {
        // While it is being dialled, nothing is known of its port.
        let missed = self.dialled.try_lock().is_ok_and(|dialled| {
            dialled.as_ref().is_some_and(|(at, result)| result.is_err() && at.elapsed() < limits::READINESS_CACHE)
        });
        self.says_ready() && !missed
    }

    /// Whether clients may come: it said so last, and its port answers.
    pub(crate) async fn readiness(&self) -> Result<(), NotReady> {
        match self.said() {
            None => Err(NotReady::Silent),
            Some(Said { phase: Phase::Ready, .. }) => self.answers().await.map_err(NotReady::Unreachable),
            Some(said) => Err(NotReady::Said(said)),
        }
    }

    /// Whether it has drained: nobody is connected, and it has ended or had `longest` to do so. It is taken for ended when it did not
    /// answer [`limits::DRAIN_MISSES`] times, one look after another. While it tells of itself its port is left alone: it ends when nobody
    /// has connected for a while, and a look is a connection.
    pub(crate) async fn is_over(&self, longest: Duration) -> Option<Over> {
        let empty_since = || {
            let occupancy = locked(&self.occupancy);
            occupancy.draining.filter(|_| occupancy.relayed == 0)
        };
        let since = empty_since()?;
        if since.elapsed() >= longest {
            return Some(Over::Late);
        }
        if self.said().is_some_and(|said| said.is_of_one_that_goes_on()) {
            return None;
        }
        let missed = self.answers().await.is_err();
        let mut occupancy = locked(&self.occupancy);
        occupancy.misses = if missed { occupancy.misses + 1 } else { 0 };
        (occupancy.misses >= limits::DRAIN_MISSES).then_some(Over::Ended)
    }

    /// Connects a client to it.
    pub(crate) async fn dial(&self, within: Duration) -> Result<Stream, cloister_transport::Error> {
        let result = dial(&self.described.address, within).await;
        if let Err(error) = &result
            && let Ok(mut dialled) = self.dialled.try_lock()
        {
            *dialled = Some((Instant::now(), Err(error.to_string())));
        }
        result
    }

    /// One client more, until what is returned is dropped; none while it drains.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Open> {
        let mut occupancy = locked(&self.occupancy);
        if occupancy.draining.is_some() {
            return None;
        }
        occupancy.relayed += 1;
        let gauge = gauge!(names::ENCLAVE_CONNECTIONS, "enclave" => self.name().to_owned());
        gauge.increment(1.0);
        Some(Open { enclave: Arc::clone(self), gauge })
    }

    pub(crate) fn relayed(&self) -> usize {
        locked(&self.occupancy).relayed
    }

    async fn answers(&self) -> Result<(), String> {
        let mut dialled = self.dialled.lock().await;
        if let Some((at, result)) = &*dialled
            && at.elapsed() < limits::READINESS_CACHE
        {
            return result.clone();
        }
        let address = &self.described.address;
        let result = dial(address, limits::PROBE_TIMEOUT).await.map(drop).map_err(|error| error.to_string());
        *dialled = Some((Instant::now(), result.clone()));
        result
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One client of an enclave's.
pub(crate) struct Open {
    enclave: Arc<Enclave>,
    gauge: Gauge,
}

impl Drop for Open {
    fn drop(&mut self) {
        locked(&self.enclave.occupancy).relayed -= 1;
        self.gauge.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn enclave(address: &str) -> Arc<Enclave> {
        let address = address.parse().unwrap();
        let described =
            Described { name: "it".into(), address, model: "/m".into(), control: None, set: BTreeMap::default() };
        Arc::new(Enclave::new(described))
    }

    #[tokio::test]
    async fn one_that_drains_takes_nobody_and_is_kept_while_somebody_is_connected() {
        let enclave = enclave("unix:///nonexistent/enclave");
        let open = enclave.open().unwrap();
        enclave.drain();
        assert!(enclave.open().is_none());
        assert_eq!(enclave.is_over(Duration::ZERO).await, None);
        drop(open);
        assert_eq!(enclave.relayed(), 0);
        for _ in 1..limits::DRAIN_MISSES {
            assert_eq!(enclave.is_over(HOUR).await, None, "one look is not enough");
        }
        assert_eq!(enclave.is_over(HOUR).await, Some(Over::Ended));
        assert!(enclave.resume() && enclave.open().is_some());
        assert_eq!(enclave.is_over(Duration::ZERO).await, None);
    }

    #[tokio::test]
    async fn one_that_drains_and_tells_of_itself_is_not_connected_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enclave");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let enclave = enclave(&format!("unix://{}", path.display()));
        enclave.drain();
        let says = |phase| enclave.says(Said { phase, detail: None, at: Instant::now() });
        for phase in [Phase::Ready, Phase::Draining] {
            says(phase);
            assert_eq!(enclave.is_over(HOUR).await, None);
            assert!(listener.accept().is_err(), "nobody connected");
        }
        let long_ago = Instant::now().checked_sub(limits::DRAIN_SILENCE).unwrap();
        enclave.says(Said { phase: Phase::Draining, detail: None, at: long_ago });
        assert_eq!(enclave.is_over(HOUR).await, None);
        assert!(listener.accept().is_ok(), "it was looked for in the silence");
        drop(listener);
        says(Phase::Stopping);
        // What the last look found is remembered for a while.
        tokio::time::sleep(limits::READINESS_CACHE).await;
        for _ in 1..limits::DRAIN_MISSES {
            assert_eq!(enclave.is_over(HOUR).await, None);
        }
        assert_eq!(enclave.is_over(HOUR).await, Some(Over::Ended));
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_late_when_its_time_is_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("enclave");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let enclave = enclave(&format!("unix://{}", path.display()));
        enclave.drain();
        for _ in 0..2 * limits::DRAIN_MISSES {
            assert_eq!(enclave.is_over(HOUR).await, None);
        }
        assert_eq!(enclave.is_over(Duration::ZERO).await, Some(Over::Late));
    }
}
