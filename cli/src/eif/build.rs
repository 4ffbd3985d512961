//! `cloister eif build`.

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use cloister_eif::{
    BuildMetadata, Certificate, Image, Kernel, KeyFile, Metadata, Parts, Signature, Statement, kernel_release, limits,
    ramdisk,
};
use cloister_kms::SignError;
use serde_json::Map;

use super::measurements;
use crate::failure::Failure;
use crate::key_service::{self, KeyService};
use crate::words::{meaning, parse_time, rfc3339};
use crate::{files, output};

/// Names the time of a build where no flag does, in seconds since 1970 (reproducible-builds.org/specs/source-date-epoch).
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// What `cloister eif build` takes.
#[derive(Args)]
pub struct Build {
    /// The kernel: an x86 bzImage.
    #[arg(long, value_name = "BZIMAGE")]
    kernel: PathBuf,
    /// The kernel's configuration file, whose version the metadata name; by default the version that the kernel names itself.
    #[arg(long, value_name = "FILE")]
    kernel_config: Option<PathBuf>,
    /// The kernel's command line.
    #[arg(long, value_name = "STRING")]
    cmdline: String,
    /// The program that starts first: cloister-enclave, linked statically for x86-64.
    #[arg(long, value_name = "FILE")]
    init: PathBuf,
    /// The enclave's configuration, which becomes part of what is measured. What it does not know, the enclave refuses at its start.
    #[arg(long, value_name = "TOML")]
    config: PathBuf,
    /// The image's name, in its metadata.
    #[arg(long)]
    name: String,
    /// The image's version, in its metadata.
    #[arg(long)]
    version: String,
    /// The time of the build, in the metadata; by default SOURCE_DATE_EPOCH of the environment, and else 1970-01-01T00:00:00Z.
    #[arg(long, value_name = "RFC3339", value_parser = parse_time)]
    build_time: Option<SystemTime>,
    /// Sign with this private key on P-384, in PEM.
    #[arg(long, value_name = "PEM", group = "signer", requires = "sign_cert")]
    sign_key: Option<PathBuf>,
    /// Sign with this key of KMS's, of the spec ECC_NIST_P384; a full ARN.
    #[arg(long, value_name = "ARN", group = "signer", requires = "sign_cert")]
    sign_kms: Option<String>,
    /// The certificate of the signing key, in PEM: PCR8 measures it.
    #[arg(long, value_name = "PEM", requires = "signer")]
    sign_cert: Option<PathBuf>,
    #[command(flatten)]
    service: KeyService,
    /// Where the image goes.
    #[arg(long, value_name = "EIF")]
    out: PathBuf,
    /// Where its measurements go, for `cloister policy make --measurements`.
    #[arg(long, value_name = "JSON")]
    measurements: PathBuf,
}

/// Builds one image.
pub fn run(arguments: &Build) -> Result<(), Failure> {
    let image = sign(arguments, unsigned(arguments)?)?;
    let bytes = image.to_bytes();
    let measured = format!("{:#}\n", measurements(&image));
    files::write(&arguments.out, &bytes)?;
    files::write(&arguments.measurements, measured.as_bytes())?;
    output::line(format_args!("wrote {}, {:.1} MB", arguments.out.display(), bytes.len() as f64 / 1e6))?;
    for (index, value) in image.measurements().registers() {
        output::line(format_args!("PCR{index}  {}  {}", hex::encode(value), meaning(index)))?;
    }
    Ok(())
}

fn unsigned(arguments: &Build) -> Result<Image, Failure> {
    let of = |path: &Path, error: cloister_eif::Error| Failure::input(format!("{}: {error}", path.display()));
    let kernel_bytes = files::read(&arguments.kernel)?;
    let kernel = Kernel::new(&kernel_bytes).map_err(|error| of(&arguments.kernel, error))?;
    let boot = ramdisk::boot(&files::read_at_most(&arguments.init, limits::INIT as u64)?)
        .map_err(|error| of(&arguments.init, error))?;
    let configuration = files::read(&arguments.config)?;
    let configuration = ramdisk::configuration(&configuration).map_err(|error| of(&arguments.config, error))?;
    let metadata = metadata(arguments, &kernel)?;
    let parts = Parts {
        kernel: &kernel_bytes,
        command_line: &arguments.cmdline,
        metadata: &metadata,
        ramdisks: vec![boot, configuration],
    };
    Image::build(parts).map_err(Failure::input)
}

fn metadata(arguments: &Build, kernel: &Kernel<'_>) -> Result<Metadata, Failure> {
    let (system, release) = match &arguments.kernel_config {
        None => ("Linux".to_owned(), kernel.release().unwrap_or("unknown").to_owned()),
        Some(path) => {
            let text = files::read_text(path)?;
            let (system, release) = kernel_release(&text).ok_or_else(|| {
                Failure::input(format!(
                    "{} does not name a kernel's version as the configuration of one does",
                    path.display()
                ))
            })?;
            (system.to_owned(), release.to_owned())
        }
    };
    Ok(Metadata {
        image_name: arguments.name.clone(),
        image_version: arguments.version.clone(),
        build_metadata: BuildMetadata {
            build_time: rfc3339(build_time(arguments)?),
            build_tool: "cloister".into(),
            build_tool_version: env!("CARGO_PKG_VERSION").into(),
            operating_system: system,
            kernel_version: release,
        },
        docker_info: Map::new(),
        custom_metadata: Map::new(),
    })
}

/// The flag, else the environment, else 1970: never the clock, so that an image can be built again.
fn build_time(arguments: &Build) -> Result<SystemTime, Failure> {
    if let Some(time) = arguments.build_time {
        return Ok(time);
    }
    let Some(seconds) = env::var_os(SOURCE_DATE_EPOCH) else { return Ok(UNIX_EPOCH) };
    let seconds = seconds.to_str().and_then(|seconds| seconds.parse().ok());
    seconds
        .and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .ok_or_else(|| Failure::usage(format!("{SOURCE_DATE_EPOCH} is not a number of seconds since 1970")))
}

fn sign(arguments: &Build, image: Image) -> Result<Image, Failure> {
    let Some(certificate_file) = &arguments.sign_cert else { return Ok(image) };
    let unusable = |error| Failure::input(format!("{}: {error}", certificate_file.display()));
    let certificate = Certificate::from_pem(&files::read(certificate_file)?).map_err(unusable)?;
    certificate.check_validity(SystemTime::now()).map_err(unusable)?;
    let until = rfc3339(certificate.not_after());
    let statement = Statement::new(certificate, &image.measurements().pcr0).map_err(Failure::input)?;
    let signature = match (&arguments.sign_key, &arguments.sign_kms) {
        (Some(key), _) => {
            let unusable = |error| Failure::input(format!("{}: {error}", key.display()));
            KeyFile::from_pem(&files::read_secret(key)?).and_then(|key| key.sign(statement)).map_err(unusable)?
        }
        (None, Some(arn)) => sign_by_kms(&arguments.service, arn, statement)?,
        (None, None) => return Ok(image),
    };
    let image = image.signed(&signature).map_err(Failure::input)?;
    output::line(format_args!("signed; enclaves start from it until {until}, when the certificate ends"))?;
    Ok(image)
}

fn sign_by_kms(service: &KeyService, arn: &str, statement: Statement) -> Result<Signature, Failure> {
    let digest = statement.digest();
    let signature = crate::asynchronous(async {
        let client = service.client(arn).await?;
        cloister_kms::sign_digest(&client, arn, &digest).await.map_err(|error| match error {
            SignError::Call(error) => key_service::failure(error),
            error => Failure::not_verified(error),
        })
    })?;
    statement.signed(&signature).map_err(Failure::input)
}
