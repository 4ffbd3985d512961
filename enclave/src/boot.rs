//! The order of the boot: fetch, attest, release, open, compare, measure, load, known answers. Only then ready.

mod measure;
mod obtain;

use std::sync::Arc;

use cloister_model::Classifier;
use cloister_nsm::Nsm;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::parent::{Event, Events, Parent, backoff};
use crate::state::{Loaded, ModelIdentity, Phase, State};

/// Why the model is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clock.
    #[error(transparent)]
    Clock(#[from] crate::clock::Error),
    /// The parent.
    #[error(transparent)]
    Parent(#[from] crate::parent::Error),
    /// The sealed file.
    #[error("the sealed model cannot be opened: {0}")]
    Seal(#[from] cloister_seal::Error),
    /// The sealed file holds something else than a model.
    #[error("the sealed file's purpose is {0:?}, not a model")]
    NotAModel(cloister_seal::Purpose),
    /// The sealed file names a key that the measured configuration does not.
    #[error("the sealed model's key {0} is not among the keys of the measured configuration")]
    KeyNotAllowed(String),
    /// The header's encryption context is not that of a model.
    #[error("the sealed model's encryption context lacks or garbles {0}")]
    Context(&'static str),
    /// Another model than the one that this image is for.
    #[error("the sealed model is named {found:?}; this image serves {expected:?}")]
    OtherModel {
        /// The name in the sealed file.
        found: String,
        /// The name in the measured configuration.
        expected: String,
    },
    /// A roll-back.
    #[error("the sealed model has version {found}; this image takes version {minimum} and later")]
    TooOld {
        /// The version in the sealed file.
        found: u32,
        /// The lowest one allowed.
        minimum: u32,
    },
    /// The key was not released.
    #[error("the model's key was not released: {0}")]
    Release(#[from] cloister_kms::Error),
    /// The package within.
    #[error("the model package cannot be used: {0}")]
    Package(#[from] cloister_model::Error),
    /// What was opened is not what the header announced.
    #[error("the model package's {0} is not what its sealed header says")]
    Mislabelled(&'static str),
    /// The security module.
    #[error("the security module refused to {what}: {source}")]
    Nsm {
        /// What it was asked.
        what: &'static str,
        /// What it said.
        source: cloister_nsm::Error,
    },
    /// A PCR that must be this enclave's own is taken.
    #[error("PCR{0} is locked or not empty before the enclave has measured anything into it")]
    Measured(u16),
    /// A thread of ours died.
    #[error("a part of the boot ended unexpectedly")]
    Thread(#[from] tokio::task::JoinError),
}

/// What the boot works with.
pub struct Boot {
    /// The measured configuration.
    pub config: Arc<Config>,
    /// The security module.
    pub nsm: Arc<dyn Nsm>,
    /// The parent's control endpoint.
    pub parent: Parent,
    /// Where its events go.
    pub events: Events,
    /// Where its phase shows.
    pub state: State,
}

impl Boot {
    /// Runs the boot, and says so should it end in any other way than its own.
    pub async fn watched(self) {
        let (state, events) = (self.state.clone(), self.events.clone());
        // Aborting the watcher must abort the boot as well.
        let mut boot = JoinSet::new();
        boot.spawn(self.run());
        if let Some(Err(error)) = boot.join_next().await {
            let reason = Error::Thread(error).to_string();
            state.set(Phase::Failed(reason.clone()));
            events.tell(Event::Failed { reason });
        }
    }

    /// Runs until the enclave is ready, or never can be. What depends on the world outside is tried again without end, because
    /// a key policy, a network or a parent can be mended while the enclave waits.
    pub async fn run(self) {
        self.events.tell(Event::Starting);
        let mut attempt = 0;
        let package = loop {
            match self.obtain().await {
                Ok(package) => break package,
                Err(error) => {
                    let reason = error.to_string();
                    self.state.set(Phase::Starting(reason.clone()));
                    self.events.tell(Event::Waiting { reason });
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
            }
        };
        match self.load(package).await {
            Ok(loaded) => {
                self.state.set(Phase::Ready(Arc::new(loaded)));
                if let Some(event) = self.state.ready_event() {
                    self.events.tell(event);
                }
            }
            Err(error) => {
                let reason = error.to_string();
                self.state.set(Phase::Failed(reason.clone()));
                self.events.tell(Event::Failed { reason });
            }
        }
    }

    async fn load(&self, package: cloister_model::Package) -> Result<Loaded, Error> {
        measure::measure(self.nsm.as_ref(), package.digest(), *self.config.digest())?;
        let manifest = package.manifest();
        let model = ModelIdentity {
            name: manifest.name.clone(),
            version: manifest.version,
            digest: hex::encode(package.digest()),
        };
        let digest = package.digest();
        let threads = self.config.threads();
        let classifier = tokio::task::spawn_blocking(move || -> Result<Classifier, Error> {
            let classifier = Classifier::load(&package, threads)?;
            drop(package);
            classifier.check_known_answers()?;
            Ok(classifier)
        })
        .await??;
        Ok(Loaded { classifier: Arc::new(classifier), model, digest })
    }
}
