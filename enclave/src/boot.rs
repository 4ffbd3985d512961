//! The order of the boot: fetch, attest, release, open, compare, measure, load, known answers. Only then ready.

mod measure;
mod obtain;

use std::fmt;
use std::sync::Arc;

use cloister_model::{Classifier, Package};
use cloister_nsm::Nsm;

use crate::config::{Capacity, Config};
use crate::disclose::{Disclose, Words, words};
use crate::parent::{Event, Events, Parent, backoff};
use crate::serve::Admission;
use crate::state::{Loaded, ModelIdentity, Phase, State};

/// Why the model is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The clock.
    Clock(#[from] crate::clock::Error),
    /// The parent.
    Parent(#[from] crate::parent::Error),
    /// The sealed file.
    Seal(#[from] cloister_seal::Error),
    /// The sealed file holds something else than a model.
    NotAModel(cloister_seal::Purpose),
    /// The sealed file names a key that the measured configuration does not.
    KeyNotAllowed {
        /// Those that it does.
        allowed: Words,
    },
    /// The header's encryption context is not that of a model.
    Context(&'static str),
    /// Another model than the one that this image is for.
    OtherModel {
        /// The name in the measured configuration.
        expected: Words,
    },
    /// A roll-back.
    TooOld {
        /// The version in the sealed file.
        found: u32,
        /// The lowest one allowed.
        minimum: u32,
    },
    /// The key was not released.
    Release(Words),
    /// The package within.
    Package(#[from] cloister_model::Error),
    /// What was opened is not what the header announced.
    Mislabelled(&'static str),
    /// The security module.
    Nsm {
        /// What it was asked.
        what: &'static str,
        /// What it said.
        source: cloister_nsm::Error,
    },
    /// A PCR that must be this enclave's own is taken.
    Measured(u16),
    /// A thread of ours died.
    Thread(#[from] tokio::task::JoinError),
}

impl Disclose for Error {
    fn words(&self) -> Words {
        match self {
            Self::Clock(error) => error.words(),
            Self::Parent(error) => error.words(),
            Self::Seal(error) => words!["the sealed model cannot be opened: ", error.words()],
            Self::NotAModel(purpose) => words!["the sealed file's purpose is ", *purpose, ", not model"],
            Self::KeyNotAllowed { allowed } => {
                words!["the sealed model's key is not among the keys of the measured configuration: ", allowed]
            }
            Self::Context(what) => words!["the sealed model's encryption context lacks or garbles ", *what],
            Self::OtherModel { expected } => {
                words!["the sealed model is named otherwise; this image serves ", expected]
            }
            Self::TooOld { found, minimum } => {
                words!["the sealed model has version ", *found, "; this image takes version ", *minimum, " and later"]
            }
            Self::Release(reason) => words!["the model's key was not released: ", reason],
            Self::Package(error) => words!["the model package cannot be used: ", error.words()],
            Self::Mislabelled(what) => {
                words!["the model package's ", *what, " is not what its sealed header says"]
            }
            Self::Nsm { what, source } => words!["the security module refused to ", *what, ": ", source.words()],
            Self::Measured(index) => {
                words!["PCR", *index, " is locked or not empty before the enclave has measured anything into it"]
            }
            Self::Thread(_) => Words::of("a part of the boot ended unexpectedly"),
        }
    }
}

impl From<crate::release::Error> for Error {
    fn from(error: crate::release::Error) -> Self {
        match error {
            crate::release::Error::Parent(error) => Self::Parent(error),
            other => Self::Release(other.words()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
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
    /// Runs until the enclave is ready, or never can be. What depends on the world outside is tried again without end, because
    /// a key policy, a network or a parent can be mended while the enclave waits.
    pub async fn run(self) {
        self.events.tell(Event::Starting);
        for notice in notices(&self.config) {
            self.events.tell(Event::Notice(notice));
        }
        let mut attempt = 0;
        let (package, capacity) = loop {
            match self.prepare().await {
                Ok(prepared) => break prepared,
                Err(error) => {
                    let reason = error.words();
                    self.state.set(Phase::Starting(reason.clone()));
                    self.events.tell(Event::Waiting { reason });
                    tokio::time::sleep(backoff(attempt)).await;
                    attempt += 1;
                }
            }
        };
        match self.load(package, capacity).await {
            Ok(loaded) => {
                self.state.set(Phase::Ready(Arc::new(loaded)));
                if let Some(event) = self.state.ready_event() {
                    self.events.tell(event);
                }
            }
            Err(error) => {
                let reason = error.words();
                self.state.set(Phase::Failed(reason.clone()));
                self.events.tell(Event::Failed { reason });
            }
        }
    }

    async fn prepare(&self) -> Result<(Package, Capacity), Error> {
        let settings = self.parent.settings(&self.config.launch).await?;
        Ok((self.obtain().await?, self.config.capacity(settings)))
    }

    async fn load(&self, package: Package, capacity: Capacity) -> Result<Loaded, Error> {
        measure::measure(self.nsm.as_ref(), package.digest(), *self.config.digest())?;
        let manifest = package.manifest();
        let model = ModelIdentity {
            name: manifest.name.clone(),
            version: manifest.version,
            digest: hex::encode(package.digest()),
        };
        let digest = package.digest();
        let classifier = tokio::task::spawn_blocking(move || -> Result<Classifier, Error> {
            let classifier = Classifier::load(&package, capacity.threads)?;
            drop(package);
            classifier.check_known_answers()?;
            Ok(classifier)
        })
        .await??;
        let (name, admission) = (Words::model(&self.config), Arc::new(Admission::new(capacity)));
        Ok(Loaded { classifier: Arc::new(classifier), model, digest, name, admission })
    }
}

/// What an owner should know of a configuration before anything depends on it.
fn notices(config: &Config) -> [Words; 2] {
    const OPEN: &str = "open to whoever reaches the port: the measured configuration has no [access]";
    const CLOSED: &str = "open to those alone whom [access] of the measured configuration names";
    let mut launch = Words::of("the parent may set ");
    for (index, setting) in config.launch.parent_may_set.iter().enumerate() {
        launch.add(if index == 0 { "" } else { ", " });
        launch.add(*setting);
    }
    launch.add(if config.launch.parent_may_set.is_empty() { "nothing" } else { "" });
    launch.add(if config.launch.logs { "; log records leave" } else { "; log records do not leave" });
    launch.add(if config.launch.memory_figures { "; memory figures leave" } else { "; memory figures do not leave" });
    [Words::of(if config.access.is_some() { CLOSED } else { OPEN }), launch]
}
