//! `cloister image`: an image sealed under a key of its owner's, so that it can rest anywhere until an enclave opens it; and what an enclave
//! would find in one.

mod quality;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cloister_imaging::View;
use cloister_kms::context::{self, ImageName};
use cloister_seal::{Header, Purpose, limits};

use crate::failure::Failure;
use crate::key_service::{self, KeyService};
use crate::picture::Picture;
use crate::{files, output, seal as sealing};

/// The verbs of `cloister image`.
#[derive(Subcommand)]
pub enum Command {
    /// Seal an image under a KMS key of its owner's, which opens for the owner and for one measured enclave.
    Seal(Seal),
    /// Say what an enclave would find in an image, or why it would give no score, and what that was measured by. Nothing is sent.
    Quality(quality::Quality),
}

/// What `cloister image seal` takes.
#[derive(Args)]
pub struct Seal {
    /// The mammogram: an 8- or 16-bit greyscale PNG, or a DICOM file.
    #[arg(long)]
    image: PathBuf,
    /// L-CC, R-CC, L-MLO or R-MLO. It is sealed in: the enclave takes the image as no other view. A DICOM file says it itself.
    #[arg(long)]
    view: Option<View>,
    /// The KMS key, as a full ARN: an alias could be pointed elsewhere.
    #[arg(long, value_name = "ARN")]
    key_id: String,
    /// Where to write the sealed image; readable to its owner only, and replaced whole or not at all.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    service: KeyService,
}

/// The largest body that an enclave takes for an image.
const MAX_SEALED_BYTES: usize = 40 * 1024 * 1024;

/// What each chunk of a sealed file has beside its content.
const TAG_BYTES: usize = 16;

/// Runs one verb.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Seal(arguments) => seal(arguments),
        Command::Quality(arguments) => quality::run(arguments),
    }
}

fn seal(seal: &Seal) -> Result<(), Failure> {
    let image = files::read(&seal.image)?;
    // Once it is sealed nobody looks at it before the enclave does.
    let view = Picture::read(&seal.image, &image)?.view(&seal.image, seal.view)?;
    check_length(&seal.image, image.len())?;
    let name = ImageName::random().ok_or_else(|| Failure::unavailable("the system gave no random bytes"))?;
    let context = context::for_image(view.as_str(), &name);
    let (key, wrapped_key) = crate::asynchronous(async {
        let client = seal.service.client(&seal.key_id).await?;
        let made = cloister_kms::generate_data_key(&client, &seal.key_id, &context).await;
        made.map_err(key_service::failure)
    })?;
    let header = Header {
        purpose: Purpose::Image,
        key_arn: seal.key_id.clone(),
        wrapped_key,
        context,
        chunk_size: limits::DEFAULT_CHUNK,
        salt: None,
    };
    sealing::write(&seal.out, &header, &key, |writer| writer.write_all(&image))?;
    output::line(format_args!(
        "sealed {} as {view} under {} into {}",
        seal.image.display(),
        seal.key_id,
        seal.out.display()
    ))
}

/// Refuses what no enclave would take: it counts the sealed file, header and seals among it.
fn check_length(path: &Path, image: usize) -> Result<(), Failure> {
    let chunks = image.div_ceil(limits::DEFAULT_CHUNK as usize);
    let sealed = image + chunks * TAG_BYTES + limits::HEADER;
    if sealed <= MAX_SEALED_BYTES {
        return Ok(());
    }
    let most = MAX_SEALED_BYTES >> 20;
    Err(Failure::input(format!(
        "{}: sealed, it would be larger than the {most} MiB that an enclave takes",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_no_enclave_would_take_is_not_sealed() {
        let path = Path::new("large.png");
        assert!(check_length(path, 39 * 1024 * 1024).is_ok());
        let refused = check_length(path, MAX_SEALED_BYTES - 1).unwrap_err();
        assert_eq!(refused.code(), 65);
        assert!(refused.to_string().contains("40 MiB"), "{refused}");
    }
}
