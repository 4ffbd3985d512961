//! One enclave, seen from beside: what it was described as, what it last said, whether its port answers, and who is connected to it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cloister_transport::dial;
use metrics::{Gauge, gauge};
use serde::Deserialize;

use crate::enclaves::Described;
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
        }
    }
}

/// The last thing that the enclave said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) phase: Phase,
    pub(crate) detail: Option<String>,
}

/// Why no client should come now.
#[derive(Clone, Debug)]
pub(crate) enum NotReady {
    ParentStopping,
    Silent,
    Said(Said),
    Unreachable(String),
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParentStopping => f.write_str("the parent is stopping"),
            Self::Silent => f.write_str("the enclave has said nothing yet"),
            Self::Said(Said { phase, detail: None }) => write!(f, "the enclave is {}", phase.name()),
            Self::Said(Said { phase, detail: Some(detail) }) => write!(f, "the enclave is {}: {detail}", phase.name()),
            Self::Unreachable(error) => write!(f, "the enclave said that it is ready, but {error}"),
        }
    }
}

/// One enclave, seen from beside.
pub(crate) struct Enclave {
    pub(crate) described: Described,
    said: Mutex<Option<Said>>,
    dialled: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
    draining: AtomicBool,
    relayed: AtomicUsize,
}

impl Enclave {
    pub(crate) fn new(described: Described) -> Self {
        Self {
            described,
            said: Mutex::new(None),
            dialled: tokio::sync::Mutex::new(None),
            draining: AtomicBool::new(false),
            relayed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.described.name
    }

    /// Remembers what it said.
    pub(crate) fn says(&self, said: Said) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    fn said(&self) -> Option<Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// No new client from now on; it is asked to end, and is forgotten when nobody is left.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn drains(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether it said last that it serves. Its port is not asked.
    pub(crate) fn says_ready(&self) -> bool {
        self.said().is_some_and(|said| said.phase == Phase::Ready)
    }

    /// Whether clients may come: it said so last, and its port answers.
    pub(crate) async fn readiness(&self) -> Result<(), NotReady> {
        match self.said() {
            None => Err(NotReady::Silent),
            Some(Said { phase: Phase::Ready, .. }) => self.answers().await.map_err(NotReady::Unreachable),
            Some(said) => Err(NotReady::Said(said)),
        }
    }

    /// Whether it has drained: nobody is connected, and it has ended.
    pub(crate) async fn is_over(&self) -> bool {
        self.drains() && self.relayed() == 0 && self.answers().await.is_err()
    }

    /// One client more, until what is returned is dropped.
    pub(crate) fn open(self: &std::sync::Arc<Self>) -> Open {
        self.relayed.fetch_add(1, Ordering::Relaxed);
        let gauge = gauge!(names::ENCLAVE_CONNECTIONS, "enclave" => self.name().to_owned());
        gauge.increment(1.0);
        Open { enclave: self.clone(), gauge }
    }

    pub(crate) fn relayed(&self) -> usize {
        self.relayed.load(Ordering::Relaxed)
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

/// One client of an enclave's.
pub(crate) struct Open {
    enclave: std::sync::Arc<Enclave>,
    gauge: Gauge,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.enclave.relayed.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1.0);
    }
}
