//! How far the enclave has come: starting, waiting for something, ready, or failed for good.

use std::sync::Arc;

use cloister_model::Classifier;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

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
}

/// How far the enclave has come.
#[derive(Clone)]
pub enum Phase {
    /// On its way, with what it waits for.
    Starting(String),
    /// Serving.
    Ready(Arc<Loaded>),
    /// Never to be ready.
    Failed(String),
}

/// The phase, shared: the boot writes it, every request reads it.
#[derive(Clone)]
pub struct State {
    phase: watch::Sender<Phase>,
}

impl Default for State {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting("the boot has begun".to_owned())) }
    }
}

impl State {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    pub(crate) fn set(&self, phase: Phase) {
        metrics::gauge!("cloister_ready").set(if matches!(phase, Phase::Ready(_)) { 1.0 } else { 0.0 });
        self.phase.send_replace(phase);
    }
}
