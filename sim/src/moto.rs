//! moto's server (<https://docs.getmoto.org>), which stands in for AWS's control planes: installed, started and ended.
//!
//! It keeps accounts apart by access key, and whoever assumes a role of an account gets an access key of that account. It checks no
//! signature and no IAM policy, and forgets everything when it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use http::{Request, header};
use http_body_util::Full;
use hyper::body::Bytes;

use crate::kms::Principal;
use crate::python::{self, EnvironmentError};
use crate::upstream::{Upstream, UpstreamError};

const PINS: &str = include_str!("../moto-requirements.txt");
/// Port 0 takes a free one, which moto then says. It ends when its standard input does, and so with whoever started it, however that ends.
const SCRIPT: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";
/// What it writes before its address, once it listens.
const LISTENS: &str = "Running on http://";
/// Longest that it may take to start; usually it is a second or two.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The region by which STS is asked; roles have none.
const REGION: &str = "us-east-1";

/// Why moto is not there.
#[derive(Debug, thiserror::Error)]
pub enum MotoError {
    /// It is not installed.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// It did not start.
    #[error("moto does not start: {0}")]
    Start(std::io::Error),
    /// It ended, or said nothing of an address in time.
    #[error("moto did not say where it listens; it said:\n{0}")]
    Address(String),
    /// It gave no credentials.
    #[error("moto gave no credentials for {role}: {reason}")]
    AssumeRole {
        /// The role.
        role: String,
        /// What went wrong.
        reason: String,
    },
}

/// A server that runs until this is dropped.
pub struct Moto {
    /// Where it listens, on plain HTTP.
    pub address: SocketAddr,
    child: Child,
}

/// Temporary credentials of a role.
///
/// They have no `Debug`: they are secrets, even if only a simulator's.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's public half.
    pub access_key_id: String,
    /// The access key's secret half.
    pub secret_access_key: String,
    /// The session token that must come with it.
    pub session_token: String,
    /// The session: `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
    pub arn: String,
}

/// The Python that moto runs in, installed in the folder `cache` if it is not there yet; it has boto3 too.
///
/// # Errors
/// An [`EnvironmentError`] when it cannot be installed.
pub fn python(cache: &Path) -> Result<PathBuf, EnvironmentError> {
    python::environment(cache, "moto", PINS)
}

impl Moto {
    /// Installs moto in the folder `cache` if it is not there yet, and starts it. Blocks until it answers.
    ///
    /// # Errors
    /// A [`MotoError`] when it cannot be installed or started.
    pub fn start(cache: &Path) -> Result<Self, MotoError> {
        let mut command = Command::new(python(cache)?);
        command.args(["-u", "-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        // Either would put every request into one account.
        command.env_remove("MOTO_ACCOUNT_ID").env_remove("MOTO_PORT");
        let mut child = command.spawn().map_err(MotoError::Start)?;
        let address = child.stderr.take().ok_or_else(String::new).and_then(address);
        match address {
            Ok(address) => Ok(Self { address, child }),
            Err(said) => {
                end(&mut child);
                Err(MotoError::Address(said))
            }
        }
    }

    /// The endpoint, for clients that take plain HTTP.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Credentials of `arn:aws:iam::ACCOUNT:role/NAME`, which need not exist.
    ///
    /// # Errors
    /// A [`MotoError`] when moto does not answer, or not with credentials.
    pub async fn assume_role(&self, account: &str, role_name: &str) -> Result<Credentials, MotoError> {
        let role = format!("arn:aws:iam::{account}:role/{role_name}");
        let failed = |reason: String| MotoError::AssumeRole { role: role.clone(), reason };
        let body =
            format!("Action=AssumeRole&Version=2011-06-15&RoleSessionName=cloister&RoleArn={}", percent_encoded(&role));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=CLOISTERSIMULATOR000/20260101/{REGION}/sts/aws4_request, SignedHeaders=host, Signature=00"
        );
        let request = Request::post("/")
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::AUTHORIZATION, authorization)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| failed(error.to_string()))?;
        let answer = Upstream::new(self.address).send(request).await;
        let answer = answer.map_err(|error: UpstreamError| failed(error.to_string()))?;
        let text = String::from_utf8_lossy(&answer.body);
        let field = |name| element(&text, name).ok_or_else(|| failed(text.clone().into_owned()));
        Ok(Credentials {
            access_key_id: field("AccessKeyId")?,
            secret_access_key: field("SecretAccessKey")?,
            session_token: field("SessionToken")?,
            arn: field("Arn")?,
        })
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

impl Credentials {
    /// The identity behind them for the simulated KMS, with all of KMS allowed by its own policies.
    pub fn principal(&self) -> Principal {
        Principal {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: Some(self.session_token.clone()),
            expiration: None,
            arn: self.arn.clone(),
            iam_allows: vec!["kms:*".to_owned()],
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself, which is as well.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits for the line that says where it listens, and then reads on, so that it never waits for a reader. Gives what it said otherwise.
fn address(stderr: ChildStderr) -> Result<SocketAddr, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stderr);
        let mut line = String::new();
        while matches!(lines.read_line(&mut line), Ok(read) if read > 0) {
            let listens = line.contains(LISTENS);
            let _ = sender.send(std::mem::take(&mut line));
            if listens {
                break;
            }
        }
        drop(sender);
        let _ = std::io::copy(&mut lines.by_ref(), &mut std::io::sink());
    });
    let mut said = String::new();
    loop {
        match receiver.recv_timeout(START_TIMEOUT) {
            Ok(line) => {
                let found = line.split_once(LISTENS).and_then(|(_, address)| address.trim().parse().ok());
                if let Some(address) = found {
                    return Ok(address);
                }
                said.push_str(&line);
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Err(said),
        }
    }
}

/// The text of the first element of this name: all of XML that the answer of `AssumeRole` takes.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text.to_owned())
}

fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}
