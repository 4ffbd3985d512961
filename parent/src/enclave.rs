//! What is known of the enclave: what it last said, and whether its port answers.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use cloister_transport::{Address, dial};
use serde::Deserialize;

use crate::limits;

/// What the enclave can say about its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Starting,
    Waiting,
    Ready,
    Failed,
    Stopping,
}

impl Phase {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Ready => "ready",
            Self::Failed => "failed",
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
    address: Address,
    said: Mutex<Option<Said>>,
    dialled: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
    stopping: AtomicBool,
}

impl Enclave {
    pub(crate) fn new(address: Address) -> Self {
        let dialled = tokio::sync::Mutex::new(None);
        Self { address, said: Mutex::new(None), dialled, stopping: AtomicBool::new(false) }
    }

    /// Remembers what it said.
    pub(crate) fn says(&self, said: Said) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
    }

    /// From now on no client should come, whatever the enclave says.
    pub(crate) fn parent_stops(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether clients may come: it said so last, and its port answers.
    pub(crate) async fn readiness(&self) -> Result<(), NotReady> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(NotReady::ParentStopping);
        }
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match said {
            None => Err(NotReady::Silent),
            Some(Said { phase: Phase::Ready, .. }) => self.answers().await.map_err(NotReady::Unreachable),
            Some(said) => Err(NotReady::Said(said)),
        }
    }

    async fn answers(&self) -> Result<(), String> {
        let mut dialled = self.dialled.lock().await;
        if let Some((at, result)) = &*dialled
            && at.elapsed() < limits::READINESS_CACHE
        {
            return result.clone();
        }
        let result = dial(&self.address, limits::PROBE_TIMEOUT).await.map(drop).map_err(|error| error.to_string());
        *dialled = Some((Instant::now(), result.clone()));
        result
    }
}
