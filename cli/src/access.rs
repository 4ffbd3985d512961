//! `cloister access`, and the credentials that a front end is given as files.

use std::io::Write;
use std::path::PathBuf;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use cloister_client::{ClientCertificate, Credentials, Token};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::output;

/// 256 bits: nobody guesses them, so that a fast hash of them gives nothing away (unlike one of a password).
const TOKEN_BYTES: usize = 32;

/// Verbs on credentials.
#[derive(Subcommand)]
pub enum Command {
    /// Make a random bearer token, and print the lines that let it in.
    Token(NewToken),
}

/// What `cloister access token` takes.
#[derive(Args)]
pub struct NewToken {
    /// What the token's holder is called in the configuration.
    #[arg(long, value_parser = plain)]
    name: String,
    /// The token's file, readable by its owner alone. One that is there is never replaced.
    #[arg(long)]
    out: PathBuf,
}

/// Who the caller is, for an enclave that does not answer everyone.
#[derive(Args)]
pub struct CredentialFiles {
    /// The caller's certificate, in PEM, with those that it stands under after it.
    #[arg(long, value_name = "PEM", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "PEM", requires = "client_cert")]
    client_key: Option<PathBuf>,
    /// A file with a bearer token, which is sent to a verified enclave alone.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Runs one verb.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Token(NewToken { name, out }) = command;
    let mut random = Zeroizing::new([0; TOKEN_BYTES]);
    rand::fill(random.as_mut_slice()).map_err(|_| Failure::unavailable("the system gave no random bytes"))?;
    let token = Zeroizing::new(URL_SAFE_NO_PAD.encode(random.as_slice()));
    files::create(out, Readers::Owner, |file| writeln!(file, "{}", token.as_str()))?;
    let hash = hex::encode(digest::digest(&digest::SHA256, token.as_bytes()));
    output::line(format_args!("[[access.tokens]]\nname = \"{name}\"\nsha256 = \"{hash}\""))
}

impl CredentialFiles {
    /// Reads the files that were named.
    pub fn read(&self) -> Result<Credentials, Failure> {
        let certificate = match (&self.client_cert, &self.client_key) {
            (Some(certificate), Some(key)) => {
                let pair = ClientCertificate::from_pem(&files::read(certificate)?, &files::read_secret(key)?);
                Some(pair.map_err(Failure::input)?)
            }
            _ => None,
        };
        let token = match &self.token_file {
            Some(path) => {
                let bytes = files::read_secret(path)?;
                let token = Token::parse(std::str::from_utf8(&bytes).unwrap_or_default());
                Some(token.map_err(Failure::input)?)
            }
            None => None,
        };
        Ok(Credentials { certificate, token })
    }
}

/// A name as the measured configuration takes it.
fn plain(name: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if (1..=64).contains(&name.len()) && name.chars().all(known) {
        Ok(name.to_owned())
    } else {
        Err("1 to 64 ASCII letters, digits, dots, hyphens and underscores are taken".to_owned())
    }
}
