//! Why no key was released or made.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};

use crate::cms;
use crate::limits::{CALL_TIMEOUT, KEY_BYTES, MAX_CIPHERTEXT_BYTES, MAX_CODE_BYTES, MAX_TEXT_BYTES, MAX_TRIES};
use crate::recipient::KeyGenerationFailed;

/// What this crate's calls return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why no key was released or made: one variant for each reason, with what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key is not named by its full ARN.
    #[error(
        "{0:?} is not the full ARN of a KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID); an alias or a bare id cannot be pinned"
    )]
    KeyArn(String),
    /// The key is of another region than the client.
    #[error("the key {key_arn} is not in the region {region} that the client was made for")]
    Region {
        /// The key.
        key_arn: String,
        /// The client's region.
        region: String,
    },
    /// The endpoint is not HTTPS.
    #[error("the KMS endpoint {0:?} does not start with https://: without TLS nothing vouches for the answer")]
    Endpoint(String),
    /// The HTTP client could not be made.
    #[error("the connection to KMS cannot be set up: {0}")]
    Http(#[from] cloister_aws_http::Error),
    /// No RSA key pair for KMS's answer.
    #[error(transparent)]
    RecipientKey(#[from] KeyGenerationFailed),
    /// No attestation document from the NSM.
    #[error("no attestation document could be had: {0}")]
    Attestation(#[from] cloister_nsm::Error),

    /// KMS refused by policy.
    #[error("KMS refused {action} with {key_arn}: {advice} KMS said: {message}")]
    AccessDenied {
        /// The action, such as `kms:Decrypt`.
        action: &'static str,
        /// The key.
        key_arn: String,
        /// What was presented, and what to change.
        advice: String,
        /// KMS's words.
        message: String,
    },
    /// The credentials have ended: get fresh ones and try again.
    #[error("the AWS credentials have expired; KMS takes the next call with fresh ones")]
    ExpiredToken,
    /// The credentials, or the clock, are wrong.
    #[error("KMS does not accept the AWS credentials or the time of the request ({code}): {message}")]
    Credentials {
        /// KMS's name for it.
        code: String,
        /// KMS's words.
        message: String,
    },
    /// There is no such key, or it is of another account that does not share it.
    #[error("KMS has no key {0}: check the ARN, its region, and that it was not deleted")]
    KeyNotFound(String),
    /// The key is disabled, pending deletion or otherwise out of use.
    #[error("the key {key_arn} cannot be used now ({code}): enable it, or cancel its deletion")]
    KeyNotUsable {
        /// The key.
        key_arn: String,
        /// KMS's name for it.
        code: String,
    },
    /// The wrapped key was made under another key than the pinned one.
    #[error("the wrapped key was not made under {0}: it was substituted, or the file was sealed under another key")]
    WrappedUnderOtherKey(String),
    /// The wrapped key was changed, or made under another encryption context.
    #[error(
        "KMS cannot open the wrapped key under this encryption context: the key or the context was substituted or changed"
    )]
    WrappedKeyRefused,
    /// KMS does not accept the attestation document.
    #[error("KMS refused the request with its attestation document as invalid: {0}")]
    AttestationRefused(String),
    /// Too many requests, even after the last try.
    #[error("KMS is throttling requests, after {MAX_TRIES} tries; try again later")]
    Throttled,
    /// No answer in time, even after the last try.
    #[error(
        "KMS did not answer within {CALL_TIMEOUT:?}, in {MAX_TRIES} tries at most; check the egress proxy and its allowlist"
    )]
    TimedOut,
    /// KMS cannot be reached.
    #[error("KMS cannot be reached: {said}")]
    Unreachable {
        /// What is in the way.
        obstacle: Obstacle,
        /// The same in words, which name hosts and may quote the proxy.
        said: String,
    },
    /// The answer is not one of KMS's. Nothing of it is quoted: it may hold a key.
    #[error("KMS's answer (HTTP status {status}) cannot be read: it was not used")]
    Unreadable {
        /// The HTTP status.
        status: u16,
    },
    /// Another refusal.
    #[error("KMS refused ({code}): {message}")]
    Refused {
        /// KMS's name for it.
        code: String,
        /// KMS's words.
        message: String,
    },

    /// The plaintext came back in the clear, which it must never do for an enclave.
    #[error("KMS's answer carried the key in the clear although only this enclave was to read it: it was not used")]
    PlaintextReturned,
    /// The answer names another key.
    #[error("KMS answered for the key {returned:?} instead of the pinned {expected}: the answer was not used")]
    OtherKey {
        /// The pinned key.
        expected: String,
        /// What the answer named, if anything.
        returned: Option<String>,
    },
    /// The answer names another algorithm.
    #[error("KMS answered for the algorithm {0:?} instead of SYMMETRIC_DEFAULT: the answer was not used")]
    OtherAlgorithm(Option<String>),
    /// The answer carries nothing for the enclave.
    #[error("KMS's answer carried nothing for this enclave: whoever answered ignored the attestation document")]
    NothingForRecipient,
    /// What the answer carries does not open.
    #[error("KMS's answer does not open: {0}")]
    Cms(#[from] cms::Error),
    /// The key in the answer has another length.
    #[error("the key in KMS's answer is {0} bytes long instead of {KEY_BYTES}")]
    KeyLength(usize),
    /// The wrapped key is empty or longer than KMS makes.
    #[error("the wrapped key is {0} bytes long; KMS's are of 1 to {MAX_CIPHERTEXT_BYTES}")]
    WrappedKeyLength(usize),
    /// The answer lacks a part.
    #[error("KMS's answer lacks its {0}")]
    Incomplete(&'static str),
}

/// What keeps this process from KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// There is no connection to the proxy, or to KMS where there is no proxy.
    Connection,
    /// The proxy refused, with that HTTP status (RFC 9110, section 15).
    Proxy(u16),
    /// TLS: most often a certificate of another name, or of an authority that is not trusted.
    Tls,
    /// No AWS credentials, or none that could be used.
    Credentials,
    /// An answer that is not whole.
    Answer,
    /// The request could not be made.
    Request,
}

impl Error {
    /// Whether fresh credentials are all that is missing.
    pub fn is_expired_token(&self) -> bool {
        matches!(self, Self::ExpiredToken)
    }
}

/// One call, as far as its errors tell of it.
pub(crate) struct Call<'a> {
    pub(crate) action: &'static str,
    pub(crate) key_arn: &'a str,
    /// What was presented and what to change, for a refusal by policy.
    pub(crate) advice: String,
    /// Whether an attestation document went along.
    pub(crate) attested: bool,
}

impl Call<'_> {
    /// Names what the SDK reports.
    pub(crate) fn error<E>(self, error: SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        match &error {
            SdkError::TimeoutError(_) => Error::TimedOut,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Error::TimedOut,
            // A success that the SDK could not read ends here too, without a code.
            SdkError::ServiceError(service) => match service.err().code() {
                Some(code) => {
                    let message = bounded(service.err().message().unwrap_or_default(), MAX_TEXT_BYTES);
                    self.refusal(bounded(code, MAX_CODE_BYTES), message)
                }
                None => Error::Unreadable { status: service.raw().status().as_u16() },
            },
            SdkError::ResponseError(answer) => Error::Unreadable { status: answer.raw().status().as_u16() },
            other => {
                let (obstacle, said) = cause(other);
                Error::Unreachable { obstacle, said: bounded(&said, MAX_TEXT_BYTES) }
            }
        }
    }

    fn refusal(self, code: String, message: String) -> Error {
        let key_arn = self.key_arn.to_owned();
        match code.as_str() {
            "AccessDeniedException" => {
                Error::AccessDenied { action: self.action, key_arn, advice: self.advice, message }
            }
            "ExpiredTokenException" | "ExpiredToken" => Error::ExpiredToken,
            "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "MissingAuthenticationTokenException" => Error::Credentials { code, message },
            "NotFoundException" => Error::KeyNotFound(key_arn),
            "DisabledException" | "KMSInvalidStateException" | "KeyUnavailableException" => {
                Error::KeyNotUsable { key_arn, code }
            }
            "IncorrectKeyException" => Error::WrappedUnderOtherKey(key_arn),
            "InvalidCiphertextException" => Error::WrappedKeyRefused,
            "ValidationException" if self.attested => Error::AttestationRefused(message),
            "ThrottlingException" | "Throttling" | "TooManyRequestsException" => Error::Throttled,
            _ => Error::Refused { code, message },
        }
    }
}

/// Why nothing came back, in words that are ours alone: the SDK's own quote whole answers and requests.
fn cause(error: &(dyn StdError + 'static)) -> (Obstacle, String) {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<cloister_aws_http::Error>() {
            return (obstacle(ours), ours.to_string());
        }
        let said = match error.downcast_ref() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => {
                "there are no AWS credentials to ask with: set AWS_PROFILE, or log in"
            }
            Some(_) => "the AWS credentials to ask with could not be had; log in again",
            None => {
                source = error.source();
                continue;
            }
        };
        return (Obstacle::Credentials, said.to_owned());
    }
    (Obstacle::Request, "the request could not be made or sent".to_owned())
}

fn obstacle(error: &cloister_aws_http::Error) -> Obstacle {
    use cloister_aws_http::Error as Http;
    match error {
        Http::Connect(cloister_transport::Error::ProxyRefused { status, .. }) => Obstacle::Proxy(*status),
        Http::Connect(_) | Http::ConnectTimeout { .. } => Obstacle::Connection,
        Http::Handshake { .. } | Http::Pem(_) | Http::NoRoots | Http::Tls(_) => Obstacle::Tls,
        Http::ReadTimeout { .. } | Http::TooLarge { .. } | Http::Http { .. } => Obstacle::Answer,
        _ => Obstacle::Request,
    }
}

/// What another party said, fit for a log and a terminal: without control characters, and cut.
pub(crate) fn bounded(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if kept.len() + character.len_utf8() > most {
            break;
        }
        kept.push(character);
    }
    kept
}
