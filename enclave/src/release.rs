//! Key release by the credentials that the parent gives: of the model's key at boot, and of an image's whenever a sealed one comes in.

use std::fmt;
use std::sync::Arc;

use cloister_aws_http::{Egress, Roots};
use cloister_kms::{Error as Kms, KmsClient, Release, Settings};
use cloister_nsm::Nsm;
use cloister_seal::{DataKey, Header};

use crate::config::Config;
use crate::disclose::{Disclose, Words, key_release};
use crate::limits;
use crate::parent::{Credentials, Parent, backoff};

/// Why there is no data key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The parent gave no credentials.
    Parent(#[from] crate::parent::Error),
    /// KMS does not open the wrapped key, and never will: it or its context is not what was sealed.
    WrappedKey(Words),
    /// KMS released none.
    Refused(Words),
}

impl Disclose for Error {
    fn words(&self) -> Words {
        match self {
            Self::Parent(error) => error.words(),
            Self::WrappedKey(reason) | Self::Refused(reason) => reason.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

/// Whoever can ask for keys in this enclave's name.
#[derive(Clone)]
pub struct Releases {
    /// The measured configuration.
    pub config: Arc<Config>,
    /// The security module, which attests.
    pub nsm: Arc<dyn Nsm>,
    /// The parent, which gives credentials.
    pub parent: Parent,
}

impl Releases {
    /// Has KMS release the data key that the header wraps. Whether this key and this context are the right ones, the caller has judged.
    /// Credentials that have expired are asked for anew.
    ///
    /// # Errors
    /// [`Error`], with what to do about it.
    pub async fn data_key(&self, header: &Header) -> Result<DataKey, Error> {
        let refused = |error: Kms| self.refused(&error, &header.key_arn);
        let mut attempt = 1;
        let mut credentials = self.parent.credentials().await?;
        loop {
            let client = self.client(&header.key_arn, &credentials).map_err(refused)?;
            let release = Release {
                nsm: self.nsm.as_ref(),
                key_arn: &header.key_arn,
                wrapped_key: &header.wrapped_key,
                context: &header.context,
            };
            match cloister_kms::release(&client, &release).await {
                Err(error) if error.is_expired_token() && attempt < limits::PARENT_TRIES => {
                    tokio::time::sleep(backoff(attempt)).await;
                    credentials = self.parent.renewed_credentials().await?;
                    attempt += 1;
                }
                other => return other.map_err(refused),
            }
        }
    }

    fn client(&self, key_arn: &str, credentials: &Credentials) -> Result<KmsClient, Kms> {
        let kms = &self.config.kms;
        KmsClient::new(Settings {
            region: cloister_kms::region_of(key_arn)?.to_owned(),
            endpoint: kms.endpoint.clone(),
            credentials: cloister_kms::credentials(
                &credentials.access_key_id,
                &credentials.secret_access_key,
                credentials.session_token.as_deref(),
            ),
            egress: Egress::Proxy(self.config.parent.egress()),
            roots: kms.ca.clone().map_or(Roots::WebPki, Roots::Pem),
        })
    }

    fn refused(&self, error: &Kms, key_arn: &str) -> Error {
        let reason = key_release(error, &self.config, key_arn, self.nsm.as_ref());
        match error {
            Kms::WrappedUnderOtherKey(_) | Kms::WrappedKeyRefused | Kms::WrappedKeyLength(_) => {
                Error::WrappedKey(reason)
            }
            _ => Error::Refused(reason),
        }
    }
}
