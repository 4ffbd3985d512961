//! AWS credentials for the enclave's calls to KMS, from the default chain, kept until they need to be fetched anew. They open
//! nothing by themselves: the key's policy asks for the enclave's measurement too.

use std::error::Error as _;
use std::time::{Instant, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use metrics::{counter, gauge};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{limits, metrics as names};

/// One set of credentials. It is wiped from memory when the last copy goes, and cannot be printed.
#[derive(Clone)]
pub(crate) struct Credentials(aws_credential_types::Credentials);

impl Credentials {
    /// As the control endpoint gives them. The buffer is large enough from the start, so that growing leaves no copy behind.
    pub(crate) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        #[derive(Serialize)]
        struct Json<'a> {
            access_key_id: &'a str,
            secret_access_key: &'a str,
            session_token: Option<&'a str>,
            expiration: Option<String>,
        }
        let Self(inner) = self;
        let json = Json {
            access_key_id: inner.access_key_id(),
            secret_access_key: inner.secret_access_key(),
            session_token: inner.session_token(),
            expiration: inner.expiry().and_then(|end| OffsetDateTime::from(end).format(&Rfc3339).ok()),
        };
        let given = json.access_key_id.len() + json.secret_access_key.len() + json.session_token.map_or(0, str::len);
        // A character is at most six bytes in JSON.
        let mut bytes = Zeroizing::new(Vec::with_capacity(256 + 6 * given));
        // Strings into memory: there is nothing that can fail.
        serde_json::to_writer(&mut *bytes, &json).ok();
        bytes
    }
}

/// Why there are none. The words are ours alone: those of a provider could quote what it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    NotFound,
    Timeout,
    Configuration,
    Provider,
    Unreadable,
    Expired,
}

impl Unavailable {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::NotFound => {
                "none of the default chain's sources has any: environment, profile, web identity, container, instance metadata"
            }
            Self::Timeout => "the default chain did not answer in time",
            Self::Configuration => "the default chain is not configured properly; the parent's log says more",
            Self::Provider => "a source of the default chain failed; the parent's log says more",
            Self::Unreadable => "a source of the default chain gave something that cannot be read",
            Self::Expired => "those that the default chain gave have expired",
        }
    }
}

impl From<&CredentialsError> for Unavailable {
    fn from(error: &CredentialsError) -> Self {
        match error {
            CredentialsError::CredentialsNotLoaded(_) => Self::NotFound,
            CredentialsError::ProviderTimedOut(_) => Self::Timeout,
            CredentialsError::InvalidConfiguration(_) => Self::Configuration,
            CredentialsError::ProviderError(_) => Self::Provider,
            _ => Self::Unreadable,
        }
    }
}

struct Kept {
    credentials: Credentials,
    refresh_at: SystemTime,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    /// The last try to fetch any, and why it gave none if it did not.
    tried: Option<(Instant, Option<Unavailable>)>,
}

impl State {
    /// Those at hand, while they hold.
    fn holding(&mut self, now: SystemTime) -> Option<&mut Kept> {
        self.kept.take_if(|kept| kept.credentials.0.expiry().is_some_and(|end| end <= now));
        self.kept.as_mut()
    }

    /// What there is without asking a source: those at hand, as long as they do and hold, or why there were none just now.
    fn at_hand(&mut self, freshness: Freshness, now: SystemTime) -> Option<Result<Credentials, Unavailable>> {
        let just_tried = self.tried.filter(|(at, _)| at.elapsed() < limits::RENEWAL_INTERVAL);
        let will_do =
            |kept: &&mut Kept| just_tried.is_some() || (freshness == Freshness::AsKept && now < kept.refresh_at);
        match self.holding(now) {
            Some(kept) => Some(kept).filter(will_do).map(|kept| Ok(kept.credentials.clone())),
            None => just_tried.and_then(|(_, failure)| failure).map(Err),
        }
    }
}

/// Whether those at hand will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As long as they hold.
    AsKept,
    /// They were refused as expired: they are fetched anew, unless that was only just done.
    Anew,
}

/// The default chain, and what it last gave.
pub(crate) struct Source {
    http: SharedHttpClient,
    region: Option<String>,
    state: Mutex<State>,
}

impl Source {
    /// Nothing is fetched yet. The region is needed for web identities alone.
    pub(crate) fn new(http: SharedHttpClient, region: Option<String>) -> Self {
        Self { http, region, state: Mutex::default() }
    }

    /// Credentials that hold now. Whoever comes while they are being fetched waits for the same answer.
    pub(crate) async fn get(&self, freshness: Freshness) -> Result<Credentials, Unavailable> {
        let mut state = self.state.lock().await;
        if let Some(at_hand) = state.at_hand(freshness, SystemTime::now()) {
            return at_hand;
        }
        let fetched = self.fetch().await;
        let now = SystemTime::now();
        state.tried = Some((Instant::now(), fetched.as_ref().err().copied()));
        match fetched {
            Ok(credentials) => {
                let refresh_at = refresh_at(now, credentials.0.expiry());
                state.kept = Some(Kept { credentials: credentials.clone(), refresh_at });
                Ok(credentials)
            }
            Err(unavailable) => {
                counter!(names::CREDENTIALS_FAILURES).increment(1);
                let kept = state.holding(now).ok_or(unavailable)?;
                kept.refresh_at = now + limits::REFRESH_RETRY;
                Ok(kept.credentials.clone())
            }
        }
    }

    async fn fetch(&self) -> Result<Credentials, Unavailable> {
        // A chain remembers the profile files that it read, and those can be replaced: so each fetch has one of its own.
        let answer = async { self.chain().await.provide_credentials().await };
        let credentials = match timeout(limits::CREDENTIALS_TIMEOUT, answer).await {
            Ok(Ok(credentials)) => credentials,
            Ok(Err(error)) => return Err(told(Unavailable::from(&error), cause(&error))),
            Err(_) => return Err(told(Unavailable::Timeout, None)),
        };
        if credentials.expiry().is_some_and(|end| end <= SystemTime::now()) {
            return Err(told(Unavailable::Expired, None));
        }
        let expires = credentials.expiry().and_then(|end| OffsetDateTime::from(end).format(&Rfc3339).ok());
        tracing::info!(expires, "got AWS credentials");
        Ok(Credentials(credentials))
    }

    async fn chain(&self) -> DefaultCredentialsChain {
        let config = ProviderConfig::default().with_http_client(self.http.clone());
        // With a region given, even none, the chain does not ask the instance's metadata for one first.
        let region = self.region.clone().map(Region::new);
        DefaultCredentialsChain::builder().configure(config).region(region).build().await
    }

    /// Sets the gauge that says how long the credentials at hand still hold. While others are being fetched it stays as it is.
    pub(crate) fn measure(&self) {
        if let Ok(state) = self.state.try_lock()
            && let Some(kept) = &state.kept
        {
            let left = kept.credentials.0.expiry().map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
            gauge!(names::CREDENTIALS_EXPIRY).set(left.map_or(f64::INFINITY, |left| left.as_secs_f64()));
        }
    }
}

fn told(unavailable: Unavailable, cause: Option<String>) -> Unavailable {
    tracing::warn!(cause, "no AWS credentials: {}", unavailable.reason());
    unavailable
}

/// When to fetch anew what was fetched at `now`.
fn refresh_at(now: SystemTime, expires: Option<SystemTime>) -> SystemTime {
    let Some(expires) = expires else { return now + limits::RECHECK_AFTER };
    let early = expires.checked_sub(limits::REFRESH_BEFORE).unwrap_or(now);
    early.max(now + limits::REFRESH_RETRY).min(expires)
}

/// What is known of a source's failure, for the log. The SDK's own sentences quote whole answers, so that nothing of them is
/// taken but what our HTTP client says, and the status that the instance's metadata answered with.
fn cause(error: &CredentialsError) -> Option<String> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<cloister_aws_http::Error>() {
            return Some(ours.to_string());
        }
        if let Some(ImdsError::ErrorResponse(refused)) = error.downcast_ref() {
            return Some(format!("the instance's metadata answered with status {}", refused.response().status()));
        }
        source = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn credentials_are_fetched_anew_before_they_expire() {
        assert_eq!(refresh_at(NOW, Some(NOW + HOUR)), NOW + HOUR - limits::REFRESH_BEFORE);
        assert_eq!(refresh_at(NOW, None), NOW + limits::RECHECK_AFTER);
    }

    #[test]
    fn those_about_to_expire_are_neither_fetched_at_each_request_nor_kept_past_their_end() {
        assert_eq!(refresh_at(NOW, Some(NOW + limits::REFRESH_BEFORE)), NOW + limits::REFRESH_RETRY);
        let soon = NOW + Duration::from_secs(3);
        assert_eq!(refresh_at(NOW, Some(soon)), soon);
    }

    #[test]
    fn the_json_is_the_contract() {
        let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let secret = "\"\u{1}/+".repeat(50);
        let given =
            aws_credential_types::Credentials::new("AKID", secret.as_str(), Some("t".into()), Some(end), "test");
        let value: serde_json::Value = serde_json::from_slice(&Credentials(given).to_json()).unwrap();
        let expected = serde_json::json!({
            "access_key_id": "AKID", "secret_access_key": secret, "session_token": "t", "expiration": "2027-01-15T08:00:00Z",
        });
        assert_eq!(value, expected);
        let unending = aws_credential_types::Credentials::new("AKID", "s", None, None, "test");
        let value: serde_json::Value = serde_json::from_slice(&Credentials(unending).to_json()).unwrap();
        assert!(value["session_token"].is_null() && value["expiration"].is_null());
    }

    #[test]
    fn a_cause_is_what_our_client_says_and_nothing_that_a_source_says() {
        assert_eq!(cause(&CredentialsError::provider_error("secret")), None);
        let ours = cloister_aws_http::Error::Plain { host: "example.com".to_owned() };
        let said = ours.to_string();
        assert_eq!(cause(&CredentialsError::provider_error(ours)), Some(said));
    }
}
