//! `cloister model seal`: a model package sealed under a KMS key that opens for one measured image only.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_aws_http::{Egress, Roots};
use cloister_kms::{AuditError, Error as KmsError, KmsClient, Settings, context};
use cloister_model::Package;
use cloister_seal::{DataKey, Header, Purpose, Sealer, limits};

use crate::failure::Failure;
use crate::files;
use crate::output;

/// What `cloister model seal` takes.
#[derive(Args)]
pub struct Seal {
    /// The model package's folder.
    #[arg(long)]
    package: PathBuf,
    /// The KMS key, as a full ARN: an alias could be pointed elsewhere.
    #[arg(long, value_name = "ARN")]
    key_id: String,
    /// Where to write the sealed package; readable to its owner only, and replaced whole or not at all.
    #[arg(long)]
    out: PathBuf,
    /// Another KMS endpoint than the region's own, starting with https://.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Certificates in PEM that vouch for the endpoint, instead of the public authorities.
    #[arg(long, value_name = "PEM")]
    ca: Option<PathBuf>,
    /// The key's region; the ARN names it.
    #[arg(long)]
    region: Option<String>,
    /// Seal even when the key policy lets the key be used without an attested enclave. Whoever can then use the key reads the model.
    #[arg(long)]
    allow_unattested_key: bool,
}

/// Seals one package.
pub fn run(seal: &Seal) -> Result<(), Failure> {
    let package = Package::open(&seal.package).map_err(Failure::input)?;
    let digest = hex::encode(package.digest());
    let context = context::for_model(&package.manifest().name, package.manifest().version, &digest);
    let (key, wrapped_key) = crate::asynchronous(async {
        let client = client(seal).await?;
        audit(seal, &client).await?;
        cloister_kms::generate_data_key(&client, &seal.key_id, &context).await.map_err(kms_failure)
    })?;
    let header = Header {
        purpose: Purpose::Model,
        key_arn: seal.key_id.clone(),
        wrapped_key,
        context,
        chunk_size: limits::DEFAULT_CHUNK,
    };
    write(&seal.out, &package, &header, &key)?;
    let manifest = package.manifest();
    output::line(format_args!(
        "sealed {} version {} (digest {digest}) under {} into {}",
        manifest.name,
        manifest.version,
        seal.key_id,
        seal.out.display()
    ))
}

async fn client(seal: &Seal) -> Result<KmsClient, Failure> {
    let region = match &seal.region {
        Some(region) => region.clone(),
        None => cloister_kms::region_of(&seal.key_id).map_err(kms_failure)?.to_owned(),
    };
    let roots = seal.ca.as_deref().map(files::read_text).transpose()?.map_or(Roots::WebPki, Roots::Pem);
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
    let endpoint = seal.endpoint.clone();
    KmsClient::new(Settings { region, endpoint, credentials, egress: Egress::Direct, roots }).map_err(kms_failure)
}

/// Refuses a key that opens without an enclave, or says loudly that it does.
async fn audit(seal: &Seal, client: &KmsClient) -> Result<(), Failure> {
    let Err(error) = cloister_kms::audit_key_policy(client, &seal.key_id).await else { return Ok(()) };
    if seal.allow_unattested_key {
        eprintln!("cloister: WARNING: SEALING UNDER A KEY THAT IS NOT BOUND TO AN ENCLAVE: {error}");
        return Ok(());
    }
    match error {
        AuditError::Call(error) => Err(kms_failure(error)),
        AuditError::Finding(finding) => Err(Failure::not_verified(format!(
            "nothing was sealed: {finding}; or give --allow-unattested-key if the model is no secret"
        ))),
    }
}

fn write(out: &Path, package: &Package, header: &Header, key: &DataKey) -> Result<(), Failure> {
    files::replace(out, files::Readers::Owner, |writer| {
        let mut sealer = Sealer::new(writer, header, key).map_err(io::Error::other)?;
        package.write_tar(&mut sealer).map_err(io::Error::other)?;
        sealer.finish().map_err(io::Error::other)?;
        Ok(())
    })
}

fn kms_failure(error: KmsError) -> Failure {
    match error {
        KmsError::KeyArn(_) | KmsError::Region { .. } | KmsError::Endpoint(_) => Failure::usage(error),
        KmsError::OtherKey { .. }
        | KmsError::KeyLength(_)
        | KmsError::WrappedKeyLength(_)
        | KmsError::Incomplete(_) => Failure::not_verified(error),
        _ => Failure::unavailable(error),
    }
}
