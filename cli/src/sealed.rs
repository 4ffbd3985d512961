//! `cloister sealed`: what a sealed file says of itself, and what is in an image or a result, for the owner of its key.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Subcommand};
use cloister_client::{Classification, Map, receipt};
use cloister_kms::context;
use cloister_receipt::Unverified;
use cloister_seal::{DataKey, Error, Header, Purpose, Sealed};
use serde_json::json;

use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::key_service::{self, KeyService};
use crate::maps::Picture;
use crate::output;

/// Bytes that sealing adds to each chunk.
const TAG_BYTES: u64 = 16;

/// The verbs of `cloister sealed`.
#[derive(Subcommand)]
pub enum Command {
    /// Show what a sealed file's header says, without believing it.
    Show(Show),
    /// Open a sealed image or result by your own AWS credentials.
    Open(Open),
}

/// What `cloister sealed show` takes.
#[derive(Args)]
pub struct Show {
    /// The sealed file.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `cloister sealed open` takes.
#[derive(Args)]
pub struct Open {
    /// The sealed image or result.
    file: PathBuf,
    /// The KMS key that it must have been sealed under, as a full ARN: under a key of their own anybody can seal anything.
    #[arg(long, value_name = "ARN")]
    key_id: String,
    /// Where to write the content; readable to its owner only, and replaced whole or not at all.
    #[arg(long)]
    out: PathBuf,
    /// Also write a result's receipt into this file, for cloister receipt verify.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Also write a result's map into this file, as an 8-bit greyscale PNG.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    #[command(flatten)]
    service: KeyService,
}

/// Runs one verb.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(arguments),
        Command::Open(arguments) => open(arguments),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("cannot read {}: {error}", arguments.file.display()));
    let file = File::open(&arguments.file).map_err(failed)?;
    let sealed = Sealed::read_header(&file).map_err(|error| unreadable(&arguments.file, &error))?;
    let rest = file.metadata().and_then(|all| Ok(all.len().saturating_sub((&file).stream_position()?)));
    let header = sealed.header();
    let content = content_bytes(rest.map_err(failed)?, header.chunk_size);
    let wrapped = hex::encode(digest(&SHA256, &header.wrapped_key));
    if arguments.json {
        return output::json(&json!({
            "verified": false,
            "purpose": header.purpose.as_str(),
            "key_arn": header.key_arn,
            "context": header.context,
            "wrapped_key_sha256": wrapped,
            "content_bytes": content,
        }));
    }
    output::line("NOT VERIFIED: it is what the file says of itself; opening it shows whether it is so")?;
    output::line(format_args!("  holds       a sealed {}, of {content} bytes", header.purpose))?;
    // Quoted, for these words may be anybody's.
    output::line(format_args!("  key         {:?}", header.key_arn))?;
    for (name, value) in &header.context {
        output::line(format_args!("  context     {name:?} = {value:?}"))?;
    }
    output::line(format_args!("  wrapped key SHA-256 {wrapped}; an image and its results have the same"))
}

/// How much content so many bytes of chunks hold.
fn content_bytes(sealed: u64, chunk_size: u32) -> u64 {
    sealed.saturating_sub(sealed.div_ceil(u64::from(chunk_size) + TAG_BYTES) * TAG_BYTES)
}

fn open(arguments: &Open) -> Result<(), Failure> {
    let bytes = files::read(&arguments.file)?;
    let sealed = Sealed::read_header(bytes.as_slice()).map_err(|error| unreadable(&arguments.file, &error))?;
    let purpose = sealed.header().purpose;
    if (arguments.receipt.is_some() || arguments.map.is_some()) && purpose != Purpose::Result {
        return Err(Failure::usage(format!(
            "{} is a sealed {purpose}, which has no receipt and no map",
            arguments.file.display()
        )));
    }
    check(sealed.header(), arguments)?;
    let key = crate::asynchronous(async {
        let client = arguments.service.client(&arguments.key_id).await?;
        let header = sealed.header();
        let opened =
            cloister_kms::decrypt_data_key(&client, &arguments.key_id, &header.wrapped_key, &header.context).await;
        opened.map_err(key_service::failure)
    })?;
    let content = content(sealed, &key)
        .map_err(|error| Failure::not_verified(format!("{}: {error}", arguments.file.display())))?;
    if purpose == Purpose::Result {
        let (receipt, map) = signed(&content)
            .map_err(|error| Failure::not_verified(format!("{}: {error}", arguments.file.display())))?;
        if let Some(path) = &arguments.receipt {
            files::replace(path, Readers::Owner, |file| std::io::Write::write_all(file, &receipt))?;
        }
        if let Some(path) = &arguments.map {
            let none = || Failure::usage(format!("{} holds no map: none was asked for", arguments.file.display()));
            Picture::from(map.as_ref().ok_or_else(none)?).write(path)?;
        }
    }
    files::replace(&arguments.out, Readers::Owner, |file| std::io::Write::write_all(file, &content))?;
    output::line(format_args!("opened a sealed {purpose} into {}", arguments.out.display()))
}

/// The receipt in a result, and its map where it has one. The receipt must claim what the result shows: whoever may make a data key can seal any answer, with the true receipt of
/// another.
fn signed(content: &[u8]) -> Result<(Vec<u8>, Option<Map>), String> {
    let answer: Classification =
        serde_json::from_slice(content).map_err(|_| "it holds no answer of an enclave's".to_owned())?;
    let receipt = answer.receipt.clone().ok_or("it holds no receipt")?.0;
    let claims = Unverified::parse(&receipt).map_err(|error| error.to_string())?;
    receipt::agrees(&answer, claims.claims()).map_err(|error| format!("it is not to be trusted: {error}"))?;
    Ok((receipt, answer.map))
}

/// Whether the header is that of an image or its result under the key that the owner names.
fn check(header: &Header, arguments: &Open) -> Result<(), Failure> {
    let file = arguments.file.display();
    if header.purpose == Purpose::Model {
        return Err(Failure::input(format!("{file} is a sealed model: only an enclave opens it")));
    }
    if header.key_arn != arguments.key_id {
        let found = &header.key_arn;
        return Err(Failure::not_verified(format!(
            "{file} says that it was sealed under {found:?}, another key than --key-id, so it was not opened"
        )));
    }
    if context::view_of_image(&header.context).is_none() {
        return Err(Failure::input(format!("{file} has another encryption context than an image")));
    }
    Ok(())
}

fn content(sealed: Sealed<&[u8]>, key: &DataKey) -> Result<Vec<u8>, Error> {
    let purpose = sealed.header().purpose;
    let mut content = Vec::new();
    sealed.open(key, purpose)?.read_to_end(&mut content)?;
    Ok(content)
}

fn unreadable(path: &Path, error: &Error) -> Failure {
    Failure::input(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use cloister_receipt::SigningKey;

    use super::*;

    #[test]
    fn an_answer_with_a_true_receipt_of_another_is_refused() {
        let receipt = cloister_test_data::receipt().sign(&SigningKey::generate().unwrap(), b"a document").unwrap();
        let answer = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut answer = json!({
                "view": "L-CC", "window": [1, 2, 3, 4], "best_center": [5, 6], "malignant": 0.5, "crops": 1,
                "model": {"name": "m", "version": 1, "digest": hex::encode([3; 48])},
                "receipt": STANDARD.encode(&receipt),
            });
            change(&mut answer);
            signed(answer.to_string().as_bytes()).map(|(receipt, _)| receipt)
        };
        assert_eq!(answer(&|_| {}).unwrap(), receipt);
        for (member, value) in [
            ("malignant", json!(0.01)),
            ("benign", json!(0.5)),
            ("view", json!("R-CC")),
            ("window", json!([1, 2, 3, 5])),
            ("best_center", json!([5, 7])),
            ("crops", json!(2)),
            ("map", json!({"label": "malignant", "rows": 1, "columns": 3, "values": "AP8Q"})),
            ("model", json!({"name": "m", "version": 2, "digest": hex::encode([3; 48])})),
        ] {
            let refused = answer(&|answer| answer[member] = value.clone()).unwrap_err();
            assert!(refused.contains("not to be trusted"), "{member}: {refused}");
        }
        assert!(answer(&|answer| answer["receipt"] = json!("AAAA")).is_err());
        assert!(signed(b"{}").is_err());
    }

    #[test]
    fn the_length_of_the_content_is_that_of_the_file_without_the_tags() {
        assert_eq!(content_bytes(16, 64), 0);
        assert_eq!(content_bytes(80, 64), 64);
        assert_eq!(content_bytes(80 + 17, 64), 65);
        assert_eq!(content_bytes(3, 64), 0, "cut within a tag");
    }
}
