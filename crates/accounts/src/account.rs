//! An identity in an account and a region, and clients that act as it.

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use cloister_aws_http::{Egress, Roots};
use cloister_kms::{KmsClient, Settings as KmsSettings};

use crate::error::{Error, Result, reasons, refused};
use crate::limits::{CALL_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE, MAX_TRIES};
use crate::names::AccountId;

/// The variables of AWS's tools that name another endpoint of KMS's than the region's own.
const KMS_ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"];

/// Who is meant to act, and where.
pub struct Settings {
    /// The region; else what the profile or `AWS_REGION` says.
    pub region: Option<String>,
    /// The account that the credentials have to be of.
    pub account: Option<AccountId>,
    /// Whose certificates vouch for AWS.
    pub roots: Roots,
}

/// An identity in an account and a region. Endpoints and credentials are found as AWS's own tools find them (`AWS_PROFILE`,
/// `AWS_ENDPOINT_URL_ECR`, and so on).
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The identity.
    pub arn: String,
    /// The region.
    pub region: String,
    pub(crate) kms: aws_sdk_kms::Client,
    pub(crate) ecr: aws_sdk_ecr::Client,
    pub(crate) iam: aws_sdk_iam::Client,
    attested: KmsClient,
}

impl Account {
    /// Finds credentials and asks STS whose they are. Nothing is changed.
    ///
    /// # Errors
    /// [`Error::NoRegion`], [`Error::NoCredentials`], [`Error::OtherAccount`], or the call's failure.
    pub async fn open(settings: Settings) -> Result<Self> {
        let retries = RetryConfig::standard()
            .with_max_attempts(MAX_TRIES)
            .with_initial_backoff(FIRST_PAUSE)
            .with_max_backoff(LONGEST_PAUSE);
        let timeouts =
            TimeoutConfig::builder().connect_timeout(CALL_TIMEOUT).operation_attempt_timeout(CALL_TIMEOUT).build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(cloister_aws_http::client(Egress::Direct, settings.roots.clone())?)
            .retry_config(retries)
            .timeout_config(timeouts);
        if let Some(region) = settings.region {
            loader = loader.region(Region::new(region));
        }
        let aws = loader.load().await;
        let region = aws.region().map(ToString::to_string).filter(|region| !region.is_empty());
        let region = region.ok_or(Error::NoRegion)?;
        let credentials =
            aws.credentials_provider().ok_or_else(|| Error::NoCredentials("none are configured".to_owned()))?;
        let found = credentials.provide_credentials().await;
        found.map_err(|error| Error::NoCredentials(reasons(&error)))?;

        const CALL: &str = "sts:GetCallerIdentity";
        let identity = aws_sdk_sts::Client::new(&aws).get_caller_identity().send().await.map_err(refused(CALL))?;
        let id: AccountId = identity.account().ok_or(Error::Incomplete { call: CALL, what: "account" })?.parse()?;
        let arn = identity.arn().ok_or(Error::Incomplete { call: CALL, what: "identity" })?.to_owned();
        if !arn.starts_with("arn:aws:") {
            return Err(Error::Partition { arn });
        }
        if let Some(expected) = settings.account.filter(|expected| *expected != id) {
            return Err(Error::OtherAccount { expected: expected.to_string(), found: id.to_string(), arn });
        }

        let endpoint = KMS_ENDPOINTS.iter().find_map(|name| std::env::var(name).ok());
        let kms = KmsSettings {
            region: region.clone(),
            endpoint,
            credentials,
            egress: Egress::Direct,
            roots: settings.roots,
        };
        Ok(Self {
            id,
            arn,
            region,
            kms: aws_sdk_kms::Client::new(&aws),
            ecr: aws_sdk_ecr::Client::new(&aws),
            iam: aws_sdk_iam::Client::new(&aws),
            attested: KmsClient::new(kms).map_err(|error| Error::Conflict(error.to_string()))?,
        })
    }

    /// The same identity's client for data keys and signatures.
    pub fn key_client(&self) -> &KmsClient {
        &self.attested
    }
}
