//! How far the enclave has come: starting, waiting for something, ready, or failed for good.

use std::sync::Arc;

use cloister_model::Classifier;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::disclose::{Words, metrics};
use crate::parent::Event;
use crate::serve::Admission;

/// The model that is loaded, as answers and events name it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelIdentity {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// The package's digest, SHA-384, in hexadecimal.
    pub digest: String,
}

/// What serving needs.
pub struct Loaded {
    /// The network.
    pub classifier: Arc<Classifier>,
    /// Its name.
    pub model: ModelIdentity,
    /// Its package's digest, SHA-384.
    pub digest: [u8; 48],
    /// The same for the parent, as the measured configuration says it.
    pub name: Words,
    /// Who may come in, and how many at once.
    pub admission: Arc<Admission>,
}

/// How far the enclave has come.
#[derive(Clone)]
pub enum Phase {
    /// On its way, with what it waits for.
    Starting(Words),
    /// Serving.
    Ready(Arc<Loaded>),
    /// Never to be ready.
    Failed(Words),
}

/// The phase, shared: the boot writes it, every request reads it.
#[derive(Clone)]
pub struct State {
    phase: watch::Sender<Phase>,
    hindrance: watch::Sender<Option<Words>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Starting(Words::of("the boot has begun"))),
            hindrance: watch::Sender::new(None),
        }
    }
}

impl State {
    /// The phase now. What hinders an enclave that is ready makes it wait.
    pub fn phase(&self) -> Phase {
        let phase = self.phase.borrow().clone();
        match (&phase, &*self.hindrance.borrow()) {
            (Phase::Ready(_), Some(reason)) => Phase::Starting(reason.clone()),
            _ => phase,
        }
    }

    /// Keeps the enclave from serving until [`State::unhindered`], whatever its boot has come to.
    pub(crate) fn hinder(&self, reason: Words) {
        self.hindrance.send_replace(Some(reason));
        self.measure();
    }

    /// Takes back what hindered.
    pub(crate) fn unhindered(&self) {
        self.hindrance.send_replace(None);
        self.measure();
    }

    /// What an enclave that serves has to say of itself.
    pub(crate) fn ready_event(&self) -> Option<Event> {
        let Phase::Ready(loaded) = self.phase() else { return None };
        Some(Event::Ready { model: loaded.name.clone(), version: loaded.model.version })
    }

    pub(crate) fn set(&self, phase: Phase) {
        self.phase.send_replace(phase);
        self.measure();
    }

    fn measure(&self) {
        metrics::ready(matches!(self.phase(), Phase::Ready(_)));
    }
}
