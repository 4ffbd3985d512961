//! A client of one region's KMS, over our own transport with TLS ended in this process.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{IdentityCache, Region, StalledStreamProtectionConfig};
use cloister_aws_http::{Egress, Roots};

use crate::arn::region_of;
use crate::error::{Error, Result};
use crate::limits::{CALL_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE, MAX_TRIES};

/// What a client is made from.
pub struct Settings {
    /// The region of the keys.
    pub region: String,
    /// Another endpoint than the region's own, starting with `https://`.
    pub endpoint: Option<String>,
    /// Who calls. Asked anew for each call, so that a provider that rotates is followed at once.
    pub credentials: SharedCredentialsProvider,
    /// The way out.
    pub egress: Egress,
    /// Whose certificates vouch for KMS.
    pub roots: Roots,
}

/// A client of one region's KMS.
#[derive(Clone)]
pub struct KmsClient {
    sdk: aws_sdk_kms::Client,
    region: String,
}

impl KmsClient {
    /// Makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Endpoint`] for an endpoint without TLS, [`Error::Http`] for unusable roots.
    pub fn new(settings: Settings) -> Result<Self> {
        Self::with_timeout(settings, CALL_TIMEOUT)
    }

    /// The same with another bound on each try than [`CALL_TIMEOUT`].
    ///
    /// # Errors
    /// As for [`KmsClient::new`].
    pub fn with_timeout(settings: Settings, timeout: Duration) -> Result<Self> {
        if let Some(endpoint) = settings.endpoint.as_ref().filter(|endpoint| !endpoint.starts_with("https://")) {
            return Err(Error::Endpoint(endpoint.clone()));
        }
        let retries = RetryConfig::standard()
            .with_max_attempts(MAX_TRIES)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let timeouts = TimeoutConfig::builder().connect_timeout(timeout).operation_attempt_timeout(timeout).build();
        let mut config = aws_sdk_kms::Config::builder()
            .region(Region::new(settings.region.clone()))
            .credentials_provider(settings.credentials)
            .identity_cache(IdentityCache::no_cache())
            .http_client(cloister_aws_http::client(settings.egress, settings.roots)?)
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(retries)
            .timeout_config(timeouts);
        config.set_endpoint_url(settings.endpoint);
        Ok(Self { sdk: aws_sdk_kms::Client::from_conf(config.build()), region: settings.region })
    }

    /// The SDK's client, for a key that lies in its region.
    pub(crate) fn for_key(&self, key_arn: &str) -> Result<&aws_sdk_kms::Client> {
        if region_of(key_arn)? != self.region {
            return Err(Error::Region { key_arn: key_arn.to_owned(), region: self.region.clone() });
        }
        Ok(&self.sdk)
    }
}

/// Credentials that are at hand, for [`Settings`].
pub fn credentials(
    access_key_id: &str,
    secret_access_key: &str,
    session_token: Option<&str>,
) -> SharedCredentialsProvider {
    let token = session_token.map(str::to_owned);
    SharedCredentialsProvider::new(Credentials::new(access_key_id, secret_access_key, token, None, "cloister"))
}
