//! The enclaves: where they are, what was last proved of each, and verified connections to them.

mod checks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cloister_attest::Policy;
use cloister_client::{ClientCertificate, Credentials, Error as ClientError, Options, Session, Token, connect};
use cloister_transport::Address;
use serde::Serialize;
use tokio::sync::broadcast;
use utoipa::ToSchema;

pub use checks::{Check, CheckId, Outcome};
use checks::{of_failure, of_success};

use crate::config::{self, Config};
use crate::times::{now, rfc3339, words};
use crate::worklist::ModelName;
use crate::{Error, files, metric};

/// What was last found of an enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It proved all that the policy asks for.
    Verified,
    /// It did not. Nothing is sent to it.
    Refused,
    /// It could not be asked.
    Unreachable,
    /// It has not been asked yet.
    Checking,
}

/// An enclave, as the JSON interface shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Enclave {
    /// What people call it.
    pub name: String,
    /// Its parent's relay.
    pub address: String,
    /// What was last found.
    pub state: Standing,
    /// When.
    pub checked_at: Option<String>,
    /// The same in a sentence.
    pub sentence: String,
    /// Whether the policy trusts a simulator's root, which proves the protocol and keeps nothing secret.
    pub simulated: bool,
    /// The policy's entry that it matches.
    pub label: Option<String>,
    /// Its own identifier.
    pub module_id: Option<String>,
    /// When its security module signed the document.
    pub document_time: Option<String>,
    /// Until when the policy accepts it.
    pub policy_until: Option<String>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// The model, as its last answer named it.
    pub model: Option<ModelName>,
}

/// All of them, and whether anything can be sent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Enclaves {
    /// Whether one at least is verified.
    pub can_send: bool,
    /// Each.
    pub enclaves: Vec<Enclave>,
}

/// The enclaves, shared.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    policy: Policy,
    options: Options,
    addresses: Vec<Address>,
    seen: Vec<Mutex<Enclave>>,
    /// Whether each has answered that it has no maps.
    mapless: Vec<AtomicBool>,
    changes: broadcast::Sender<()>,
}

impl Pool {
    /// Reads policy and credentials; asks nobody yet.
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let policy = Policy::from_toml(&files::text(&config.policy)?)?;
        let options = Options { credentials: credentials(&config.credentials)?, ..Options::default() };
        let simulated = !policy.root().is_amazon();
        let unknown = |enclave: &config::Enclave| {
            let address = enclave.address.to_string();
            Mutex::new(Enclave {
                name: enclave.name.clone().unwrap_or_else(|| address.clone()),
                address,
                state: Standing::Checking,
                checked_at: None,
                sentence: "It has not been asked yet.".to_owned(),
                simulated,
                label: None,
                module_id: None,
                document_time: None,
                policy_until: None,
                checks: CheckId::ALL
                    .into_iter()
                    .map(|id| Check { id, outcome: Outcome::NotReached, expected: None, found: None })
                    .collect(),
                model: None,
            })
        };
        let seen = config.enclaves.iter().map(unknown).collect();
        let addresses: Vec<Address> = config.enclaves.iter().map(|enclave| enclave.address.clone()).collect();
        let mapless = addresses.iter().map(|_| AtomicBool::new(false)).collect();
        let (changes, _) = broadcast::channel(16);
        Ok(Self { shared: Arc::new(Shared { policy, options, addresses, seen, mapless, changes }) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.addresses.len()
    }

    /// What they must prove.
    pub(crate) fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// Changes from now on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<()> {
        self.shared.changes.subscribe()
    }

    /// What was last found of all.
    pub(crate) fn all(&self) -> Enclaves {
        let enclaves: Vec<Enclave> = (0..self.len()).filter_map(|index| self.seen(index)).collect();
        Enclaves { can_send: enclaves.iter().any(|enclave| enclave.state == Standing::Verified), enclaves }
    }

    /// Whether one at least is verified.
    pub(crate) fn can_send(&self) -> bool {
        self.all().can_send
    }

    /// What was last found of one.
    pub(crate) fn seen(&self, index: usize) -> Option<Enclave> {
        let seen = self.shared.seen.get(index)?;
        Some(seen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn see(&self, index: usize, change: impl FnOnce(&mut Enclave)) {
        let Some(seen) = self.shared.seen.get(index) else { return };
        {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let before = seen.state;
            change(&mut seen);
            seen.checked_at = Some(rfc3339(now()));
            if before != seen.state {
                metric::enclave(&seen.name, seen.state == Standing::Verified);
                tracing::info!(enclave = %seen.name, state = ?seen.state, "an enclave's standing changed");
            }
        }
        // Nobody may be listening.
        let _ = self.shared.changes.send(());
    }

    /// Opens a connection and verifies the enclave behind it. What is found is noted.
    pub(crate) async fn session(&self, index: usize) -> Result<(Session, Vec<Check>), ClientError> {
        let Shared { policy, options, addresses, .. } = &*self.shared;
        let Some(address) = addresses.get(index) else { return Err(ClientError::Certificate) };
        let opened = async { connect(address, options.clone()).await?.verify(policy, SystemTime::now()).await };
        match opened.await {
            Ok(session) => {
                let checks = of_success(policy, session.attested(), SystemTime::now());
                self.see(index, |seen| seen.verified(policy, &session, checks.clone()));
                Ok((session, checks))
            }
            Err(error) => {
                self.see(index, |seen| seen.not_verified(&error));
                Err(error)
            }
        }
    }

    /// Whether an enclave may be asked for maps.
    pub(crate) fn has_maps(&self, index: usize) -> bool {
        !self.shared.mapless.get(index).is_some_and(|mapless| mapless.load(Ordering::Relaxed))
    }

    /// Notes that an enclave has no maps, until the gateway starts anew.
    pub(crate) fn without_maps(&self, index: usize) {
        if let Some(mapless) = self.shared.mapless.get(index) {
            mapless.store(true, Ordering::Relaxed);
        }
    }

    /// Notes the model that an enclave's answer named.
    pub(crate) fn answered(&self, index: usize, model: ModelName) {
        self.see(index, |seen| seen.model = Some(model));
    }

    /// Notes that an enclave's answer was not to be believed.
    pub(crate) fn distrust(&self, index: usize, error: &ClientError) {
        self.see(index, |seen| {
            seen.state = Standing::Refused;
            seen.sentence = format!("Its last answer was not believed: {error}.");
        });
    }

    /// Verifies one anew, on a connection of its own.
    pub(crate) async fn check(&self, index: usize) {
        drop(self.session(index).await);
    }

    /// Verifies all anew, at once.
    pub(crate) async fn check_all(&self) {
        futures_util::future::join_all((0..self.len()).map(|index| self.check(index))).await;
    }
}

impl Enclave {
    fn verified(&mut self, policy: &Policy, session: &Session, checks: Vec<Check>) {
        let attested = session.attested();
        let entry = policy.accept().iter().find(|entry| entry.label == attested.label);
        self.state = Standing::Verified;
        self.sentence = format!("It proved to be {}.", attested.label);
        self.label = Some(attested.label.clone());
        self.module_id = Some(attested.module_id.clone());
        self.document_time = Some(words(attested.timestamp));
        self.policy_until = entry.and_then(|entry| entry.until).map(words);
        self.checks = checks;
    }

    fn not_verified(&mut self, error: &ClientError) {
        let unproven = error.unproven().is_some() || matches!(error, ClientError::Certificate);
        self.state = if unproven { Standing::Refused } else { Standing::Unreachable };
        self.sentence = format!("{error}.");
        (self.label, self.module_id, self.document_time, self.policy_until) = (None, None, None, None);
        self.checks = of_failure(error);
    }
}

fn credentials(files: &config::Credentials) -> Result<Credentials, Error> {
    let token = files.token_file.as_deref().map(files::secret).transpose()?;
    let token = token.map(|token| Token::parse(&token)).transpose()?;
    let certificate = match (&files.certificate, &files.key) {
        (Some(chain), Some(key)) => {
            let (chain, key) = (files::text(chain)?, files::secret(key)?);
            Some(ClientCertificate::from_pem(chain.as_bytes(), key.as_bytes())?)
        }
        _ => None,
    };
    Ok(Credentials { certificate, token })
}
