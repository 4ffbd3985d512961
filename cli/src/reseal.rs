//! `cloister model reseal`: a model that an older public workflow sealed, sealed anew under a key that opens for one measured image only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cloister_model::checkpoint::Checkpoint;
use cloister_model::{Package, convert_checkpoint, limits};
use cloister_seal::Older;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::model::{self, Described};
use crate::seal::Under;
use crate::{files, key_service};

/// Bytes of the largest file that is read: base64 makes four letters of three bytes, and the largest checkpoint is in it.
const MAX_FILE_BYTES: u64 = limits::MAX_CHECKPOINT_BYTES / 3 * 4 + 8192;

/// What `cloister model reseal` takes.
#[derive(Args)]
pub struct Reseal {
    /// The file: the wrapped key's length in four bytes, the wrapped key, and a Fernet token.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The KMS key that its key was wrapped under, as a full ARN; the file does not say. Its policy has to let these credentials decrypt.
    #[arg(long, value_name = "ARN")]
    from_key_id: String,
    #[command(flatten)]
    described: Described,
    #[command(flatten)]
    under: Under,
}

/// Opens, converts where it is a checkpoint, and seals. Nothing of it is written in the clear.
pub fn run(arguments: &Reseal) -> Result<(), Failure> {
    let about = |error: &dyn std::fmt::Display| Failure::input(format!("{}: {error}", arguments.from.display()));
    let file = files::read_at_most(&arguments.from, MAX_FILE_BYTES)?;
    let older = Older::read(&file).map_err(|error| about(&error))?;
    let key = crate::asynchronous(async {
        let from = &arguments.from_key_id;
        let client = arguments.under.service().client(from).await?;
        // That workflow bound no encryption context.
        let opened = cloister_kms::decrypt_data_key(&client, from, older.wrapped_key(), &BTreeMap::new()).await;
        opened.map_err(key_service::failure)
    })?;
    let content =
        older.open(&key).map_err(|error| Failure::not_verified(format!("{}: {error}", arguments.from.display())))?;
    arguments.under.seal(&package(content, &arguments.described)?)
}

/// A package is what it says; anything else has to be a checkpoint.
fn package(mut content: Zeroizing<Vec<u8>>, described: &Described) -> Result<Package, Failure> {
    if let Ok(package) = Package::from_tar(content.as_slice()) {
        return Ok(package);
    }
    let checkpoint = Checkpoint::from_bytes(std::mem::take(&mut *content)).map_err(|error| {
        Failure::input(format!(
            "what was sealed is neither a model package nor a PyTorch checkpoint of the screening network: {error}"
        ))
    })?;
    convert_checkpoint(&checkpoint, &described.options()).map_err(model::failure)
}
