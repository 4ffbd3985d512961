//! `cloister model seal`: a model package sealed under a KMS key that opens for one measured image only.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_kms::{AuditError, KmsClient, context};
use cloister_model::Package;
use cloister_seal::{DataKey, Header, Purpose, Sealer, limits};

use crate::failure::Failure;
use crate::key_service::{self, KeyService};
use crate::{files, output};

/// What `cloister model seal` takes.
#[derive(Args)]
pub struct Seal {
    /// The model package's folder.
    #[arg(long)]
    package: PathBuf,
    #[command(flatten)]
    under: Under,
}

/// The key that a package is sealed under, and where to.
#[derive(Args)]
pub struct Under {
    /// The KMS key, as a full ARN: an alias could be pointed elsewhere.
    #[arg(long, value_name = "ARN")]
    key_id: String,
    /// Where to write the sealed package; readable to its owner only, and replaced whole or not at all.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    service: KeyService,
    /// Seal even when the key policy lets the key be used without an attested enclave. Whoever can then use the key reads the model.
    #[arg(long)]
    allow_unattested_key: bool,
}

/// Seals one package.
pub fn run(seal: &Seal) -> Result<(), Failure> {
    seal.under.seal(&Package::open(&seal.package).map_err(Failure::input)?)
}

impl Under {
    /// Seals a package, and says so.
    pub fn seal(&self, package: &Package) -> Result<(), Failure> {
        let digest = hex::encode(package.digest());
        let context = context::for_model(&package.manifest().name, package.manifest().version, &digest);
        let (key, wrapped_key) = crate::asynchronous(async {
            let client = self.service.client(&self.key_id).await?;
            self.audit(&client).await?;
            cloister_kms::generate_data_key(&client, &self.key_id, &context).await.map_err(key_service::failure)
        })?;
        let header = Header {
            purpose: Purpose::Model,
            key_arn: self.key_id.clone(),
            wrapped_key,
            context,
            chunk_size: limits::DEFAULT_CHUNK,
            salt: None,
        };
        write(&self.out, &header, &key, |writer| package.write_tar(writer).map_err(io::Error::other))?;
        let manifest = package.manifest();
        output::line(format_args!(
            "sealed {} version {} (digest {digest}) under {} into {}",
            manifest.name,
            manifest.version,
            self.key_id,
            self.out.display()
        ))
    }

    /// The KMS that the key is of.
    pub fn service(&self) -> &KeyService {
        &self.service
    }

    /// Refuses a key that opens without an enclave, or says loudly that it does.
    async fn audit(&self, client: &KmsClient) -> Result<(), Failure> {
        let Err(error) = cloister_kms::audit_key_policy(client, &self.key_id).await else { return Ok(()) };
        if self.allow_unattested_key {
            eprintln!("cloister: WARNING: SEALING UNDER A KEY THAT IS NOT BOUND TO AN ENCLAVE: {error}");
            return Ok(());
        }
        match error {
            AuditError::Call(error) => Err(key_service::failure(error)),
            AuditError::Finding(finding) => Err(Failure::not_verified(format!(
                "nothing was sealed: {finding}; or give --allow-unattested-key if the model is no secret"
            ))),
        }
    }
}

/// Writes a sealed file, whole or not at all.
pub fn write(
    out: &Path,
    header: &Header,
    key: &DataKey,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    files::replace(out, files::Readers::Owner, |writer| {
        let mut sealer = Sealer::new(writer, header, key).map_err(io::Error::other)?;
        fill(&mut sealer)?;
        sealer.finish().map_err(io::Error::other)?;
        Ok(())
    })
}
