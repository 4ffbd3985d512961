//! KMS as a person at a command line reaches it: by their own AWS credentials, from this machine.

use std::path::PathBuf;

use clap::Args;
use cloister_aws_http::{Egress, Roots};
use cloister_kms::{Error, KmsClient, Settings};

use crate::failure::Failure;
use crate::files;

/// Which KMS, where it is not the one of the key's region.
#[derive(Args)]
pub struct KeyService {
    /// Another KMS endpoint than the region's own, starting with https://.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Certificates in PEM that vouch for the endpoint, instead of the public authorities.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// The key's region; the ARN names it.
    #[arg(long)]
    region: Option<String>,
}

impl KeyService {
    /// A client for one key.
    pub async fn client(&self, key_arn: &str) -> Result<KmsClient, Failure> {
        let region = match &self.region {
            Some(region) => region.clone(),
            None => cloister_kms::region_of(key_arn).map_err(failure)?.to_owned(),
        };
        let roots = self.ca.as_deref().map(files::read_text).transpose()?.map_or(Roots::WebPki, Roots::Pem);
        // The credentials' own services (STS, SSO, metadata) are AWS's even where the KMS endpoint is not.
        let http = cloister_aws_http::client(Egress::Direct, Roots::WebPki).map_err(Failure::unavailable)?;
        let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new(region.clone()))
            .http_client(http)
            .load()
            .await;
        let credentials = aws.credentials_provider();
        let credentials =
            credentials.ok_or_else(|| Failure::unavailable("no AWS credentials: set AWS_PROFILE, or log in"))?;
        let endpoint = self.endpoint.clone();
        KmsClient::new(Settings { region, endpoint, credentials, egress: Egress::Direct, roots }).map_err(failure)
    }
}

/// What a call of KMS that failed comes to.
pub fn failure(error: Error) -> Failure {
    match error {
        Error::KeyArn(_) | Error::Region { .. } | Error::Endpoint(_) => Failure::usage(error),
        Error::OtherKey { .. }
        | Error::OtherAlgorithm(_)
        | Error::KeyLength(_)
        | Error::WrappedKeyLength(_)
        | Error::WrappedUnderOtherKey(_)
        | Error::WrappedKeyRefused
        | Error::Incomplete(_) => Failure::not_verified(error),
        _ => Failure::unavailable(error),
    }
}
