//! What other crates' errors come to in [`Words`]: the variant, its numbers, and what to do; never a text that the error carries, for it
//! may be KMS's, the parent's, or a line of the model's manifest.

use std::io;

use cloister_attest::{CONFIGURATION_PCR, MODEL_PCR};
use cloister_kms::{Error as Kms, Obstacle, cms};
use cloister_model::Error as Model;
use cloister_nsm::{Error as Module, Nsm};
use cloister_seal::Error as Seal;
use cloister_transport::Error as Transport;

use super::words::{Pcr, Words, words};
use crate::config::Config;

/// What may be said about something outside of TLS.
pub trait Disclose {
    /// It in words that may leave.
    fn words(&self) -> Words;
}

impl Disclose for Module {
    fn words(&self) -> Words {
        match self {
            Self::InvalidArgument => Words::of("the security module refused an argument as invalid"),
            Self::InvalidIndex => Words::of("the security module has no PCR of this number"),
            Self::InvalidResponse | Self::UnexpectedResponse { .. } => {
                Words::of("the security module's answer does not belong to the request")
            }
            Self::ReadOnlyIndex => Words::of("the PCR is locked"),
            Self::InvalidOperation => Words::of("the security module lacks the capability for this request"),
            Self::BufferTooSmall => Words::of("the security module's answer did not fit into the buffer"),
            Self::InputTooLarge => Words::of("the request is too large for the security module"),
            Self::InternalError => Words::of("the security module failed internally, or its driver refused the call"),
            Self::NoDevice => Words::of("there is no security module: this is not a Nitro Enclave"),
            Self::Open(error) => words!["the security module cannot be opened: ", error.kind()],
        }
    }
}

impl Disclose for Transport {
    fn words(&self) -> Words {
        match self {
            Self::Unreachable { source, .. } | Self::RelayBroken { source, .. } => {
                words!["no connection: ", source.kind()]
            }
            Self::Timeout { after, .. } | Self::RelayIdle { after, .. } => words!["no connection within ", *after],
            Self::HybridRefused { .. } => Words::of("the host's side of the vsock did not connect it"),
            Self::ProxyRefused { status, .. } => words!["the proxy refused with status ", *status],
            Self::ProxyMalformed { .. } => Words::of("what answers at the proxy's address is no proxy"),
            Self::InvalidAddress { .. } | Self::Unresolved { .. } => Words::of("the address leads nowhere"),
            Self::InUse { .. } | Self::NotASocket { .. } | Self::Bind { .. } => Words::of("the address cannot be used"),
        }
    }
}

impl Disclose for Seal {
    fn words(&self) -> Words {
        match self {
            Self::Io(error) => of_reader(error),
            Self::NotSealed => Words::of("this is not a sealed file"),
            Self::Version(version) => {
                words!["the sealed file is of version ", *version, "; this program reads version 1"]
            }
            Self::Header => Words::of("the sealed file's header is malformed"),
            Self::Limit { part, size, least, most } => {
                words!["the sealed file's ", *part, " is ", *size, "; ", *least, " to ", *most, " are allowed"]
            }
            Self::Purpose { expected, found } => {
                words!["the file was sealed as a ", *found, ", and a ", *expected, " is expected"]
            }
            Self::Truncated => Words::of("the sealed file is cut short"),
            Self::NotAuthentic { chunk } => words![
                "chunk ",
                *chunk,
                " of the sealed file is not authentic: it, its order or the header was altered, the end is missing, or this is not \
                 its key"
            ],
            Self::TrailingBytes => Words::of("the sealed file has bytes after its last chunk"),
            Self::EmptyLastChunk => Words::of("the sealed file ends in an empty chunk behind others"),
            Self::TooLong => Words::of("the sealed file's content is too long"),
            Self::Failed => Words::of("the sealed stream failed earlier"),
            Self::KeyLength(length) => words!["a data key has 32 bytes; this one has ", *length],
            Self::Crypto => Words::of("the cryptographic library failed"),
        }
    }
}

/// What a reader of the sealed file ended with: this crate's own error from the parent, where it is one.
fn of_reader(error: &io::Error) -> Words {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<crate::parent::Error>());
    ours.map_or_else(|| words!["the sealed file cannot be read: ", error.kind()], Disclose::words)
}

impl Disclose for Model {
    fn words(&self) -> Words {
        match self {
            Self::ReadArchive(error) => match Seal::of(error) {
                Some(seal) => seal.words(),
                None => of_reader(error),
            },
            Self::File { action, source, .. } => words!["cannot ", *action, " a file: ", source.kind()],
            Self::WriteArchive(error) => words!["the package's archive cannot be written: ", error.kind()],
            Self::NotAPlainFile(_) => Words::of("something in the package is not a plain file"),
            Self::FileName(_) => Words::of("a file in the package has a name that is not taken"),
            Self::DuplicateFile(_) => Words::of("a file is in the package twice"),
            Self::UnknownFile(_) => Words::of("a file in the package is not in its manifest"),
            Self::MissingFile(_) => Words::of("a file of the manifest is missing from the package"),
            Self::FileTooLarge { limit, .. } => words!["a file in the package is longer than ", *limit, " bytes"],
            Self::PackageTooLarge(limit) => words!["the package is larger than ", *limit, " bytes"],
            Self::TooManyFiles(limit) => words!["the package has more than ", *limit, " files"],
            Self::TrailingData => Words::of("the package's archive goes on after its end"),
            Self::Manifest(_) => Words::of("the manifest cannot be read"),
            Self::ManifestFormat(format) => words!["the manifest is of format ", *format, ", and format 1 is read"],
            Self::ManifestValue { .. } => Words::of("a value in the manifest is not usable"),
            Self::PreprocessingNumber { field, .. } => {
                words!["the manifest's ", *field, " is not that of the preprocessing revision it names"]
            }
            Self::Digest { .. } => Words::of("the package's digest is not the expected one"),
            Self::Checkpoint(_) => Words::of("the checkpoint cannot be used"),
            Self::NotOnnx { .. } => Words::of("a network is not a usable ONNX file"),
            Self::UnsupportedOperator { .. } => Words::of("a network uses an operator that is not computed here"),
            Self::NumbersElsewhere { .. } => Words::of("a network has numbers in another file"),
            Self::ManyConstants { .. } => Words::of("a network makes many numbers of constants alone"),
            Self::NetworkTooLarge { what, limit, .. } => words!["a network takes more than ", *limit, " ", *what],
            Self::Outputs { .. } => Words::of("a network gives other scores than its manifest has labels"),
            Self::Network { action, .. } => words!["a network cannot be ", *action],
            Self::NetworkShape { what, .. } => {
                words!["a network has ", *what, " of another shape than its manifest needs"]
            }
            Self::NotAProbability { .. } => Words::of("a network gave a score that is not a probability"),
            Self::MapLabel(_) => Words::of("the model scores no label of that name"),
            Self::NoMap { .. } => Words::of("a network has no maps"),
            Self::MapScore { .. } => Words::of("a network's last layers gave another score than the network"),
            // A request can name a view too, so it is not said.
            Self::ViewNotServed(_) => Words::of("the model has no network for this view"),
            Self::NeedsExam => Words::of("the model scores no single image"),
            Self::NeedsViews => Words::of("the model scores no exam as a whole"),
            Self::MissingView(_) => Words::of("the exam lacks a view"),
            Self::KnownExam { index, .. } => words![
                "known exam ",
                *index,
                " is missed: this machine or program does not compute what the model's owner computed"
            ],
            Self::Crops { limit, .. } => words!["at most ", *limit, " crops can be averaged"],
            Self::Image(_) => Words::of("an image cannot be prepared"),
            Self::Threads { threads, .. } => words![*threads, " threads could not be started"],
            Self::KnownAnswer { index, view, .. } => words![
                "known answer ",
                *index,
                " (",
                *view,
                ") is missed: this machine or program does not compute what the model's owner computed"
            ],
        }
    }
}

/// Why KMS released no key under `arn`, and what to change. `nsm` tells which measurement it was asked with.
pub(crate) fn key_release(error: &Kms, config: &Config, arn: &str, nsm: &dyn Nsm) -> Words {
    let key = || Words::key(config, arn);
    match error {
        Kms::KeyArn(_) | Kms::Region { .. } => words![key(), " is not the full ARN of a KMS key in its region"],
        Kms::Endpoint(_) => Words::of("the KMS endpoint does not start with https://"),
        Kms::Http(_) => Words::of("the connection to KMS cannot be set up: check kms.ca of the measured configuration"),
        Kms::RecipientKey(_) => Words::of("no RSA key pair could be made"),
        Kms::Attestation(error) => error.words(),
        Kms::AccessDenied { action, .. } => words![
            "KMS refused ",
            *action,
            " with ",
            key(),
            ": the key policy does not allow this measurement, role or encryption context. ",
            measurement(nsm),
            " Put what is asked for into the conditions kms:RecipientAttestation:ImageSha384 (PCR0) and kms:RecipientAttestation:PCR<n> \
             of the key policy, or run the image, model and configuration that it names"
        ],
        Kms::ExpiredToken => Words::of("the AWS credentials have expired"),
        Kms::Credentials { code, .. } => {
            words!["KMS does not accept the AWS credentials or the time of the request (", exception(code), ")"]
        }
        Kms::KeyNotFound(_) => words!["KMS has no key ", key()],
        Kms::KeyNotUsable { code, .. } => {
            words!["the key ", key(), " cannot be used now (", exception(code), "): enable it, or cancel its deletion"]
        }
        Kms::WrappedUnderOtherKey(_) => words![
            "the wrapped key was not made under ",
            key(),
            ": it was substituted, or the file was sealed under another key"
        ],
        Kms::WrappedKeyRefused => Words::of(
            "KMS cannot open the wrapped key under this encryption context: the key or the context was substituted or changed",
        ),
        Kms::AttestationRefused(_) => Words::of("KMS refused the request with its attestation document as invalid"),
        Kms::Throttled => Words::of("KMS is throttling requests"),
        Kms::TimedOut => Words::of("KMS did not answer in time; check the egress proxy and its allowlist"),
        Kms::Unreachable { obstacle, .. } => words!["KMS cannot be reached: ", unreachable(*obstacle)],
        Kms::Unreadable { status } => {
            words!["KMS's answer (HTTP status ", *status, ") cannot be read: it was not used"]
        }
        Kms::Refused { code, .. } => words!["KMS refused (", exception(code), ")"],
        Kms::PlaintextReturned => Words::of(
            "KMS's answer carried the key in the clear although only this enclave was to read it: it was not used",
        ),
        Kms::OtherKey { .. } => {
            words!["KMS answered for another key than the pinned ", key(), ": the answer was not used"]
        }
        Kms::OtherAlgorithm(_) => {
            Words::of("KMS answered for another algorithm instead of SYMMETRIC_DEFAULT: the answer was not used")
        }
        Kms::NothingForRecipient => Words::of(
            "KMS's answer carried nothing for this enclave: whoever answered ignored the attestation document",
        ),
        Kms::Cms(error) => words!["KMS's answer does not open: ", opening(*error)],
        Kms::KeyLength(length) => words!["the key in KMS's answer is ", *length, " bytes long"],
        Kms::WrappedKeyLength(length) => words!["the wrapped key is ", *length, " bytes long, which KMS's never are"],
        Kms::Incomplete(part) => words!["KMS's answer lacks its ", *part],
    }
}

/// What KMS was shown: the whole image, and the role that key policies may name beside it.
/// The image; and the role, the model and the configuration where they are measured already.
fn measurement(nsm: &dyn Nsm) -> Words {
    let Some(image) = Pcr::read(nsm, 0) else { return Words::of("This enclave's PCR0 is zero, as in debug mode.") };
    let mut words = words!["This enclave is ", image];
    for pcr in [3, MODEL_PCR, CONFIGURATION_PCR].into_iter().filter_map(|index| Pcr::read(nsm, index)) {
        words.add(", ");
        words.add(pcr);
    }
    words.add(".");
    words
}

fn unreachable(obstacle: Obstacle) -> Words {
    match obstacle {
        Obstacle::Connection => Words::of("there is no connection to it; check that the egress proxy runs"),
        Obstacle::Proxy(status) => words!["the egress proxy refused with status ", status, "; check its allowlist"],
        Obstacle::Tls => Words::of("its TLS certificate is not of an authority that the measured configuration trusts"),
        Obstacle::Credentials => Words::of("there are no AWS credentials to ask with"),
        Obstacle::Answer => Words::of("its answer did not arrive whole"),
        Obstacle::Request => Words::of("the request could not be made or sent"),
    }
}

fn opening(error: cms::Error) -> &'static str {
    match error {
        cms::Error::DoesNotOpen => "it was made for another enclave, or changed on its way",
        cms::Error::TooLong(_)
        | cms::Error::Truncated
        | cms::Error::BadLength
        | cms::Error::Unexpected { .. }
        | cms::Error::WrongContentType
        | cms::Error::WrongVersion
        | cms::Error::NotOneRecipient
        | cms::Error::WrongRecipientIdentifier
        | cms::Error::WrongKeyEncryption
        | cms::Error::WrongWrappedKeyLength(_)
        | cms::Error::WrongContentEncryption
        | cms::Error::WrongCiphertextLength(_)
        | cms::Error::TrailingBytes => "it does not have the shape that KMS sends",
    }
}

/// A code of KMS's, where it is one that is known.
fn exception(code: &str) -> &'static str {
    const KNOWN: [&str; 15] = [
        "AccessDeniedException",
        "DependencyTimeoutException",
        "DisabledException",
        "IncompleteSignatureException",
        "InvalidArnException",
        "InvalidClientTokenId",
        "InvalidGrantTokenException",
        "InvalidKeyUsageException",
        "InvalidSignatureException",
        "KMSInternalException",
        "KMSInvalidStateException",
        "KeyUnavailableException",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("a code that is not known here")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARY: &str = "CANARY";

    #[test]
    fn what_a_package_says_of_itself_is_not_said_again() {
        let text = || CANARY.to_owned();
        for error in [
            Model::NotAPlainFile(text()),
            Model::FileName(text()),
            Model::Manifest(text()),
            Model::ManifestValue { field: text(), reason: text() },
            Model::Network { network: text(), action: "read", reason: text() },
            Model::NotAProbability { network: text(), label: text() },
            Model::MapLabel(text()),
            Model::NoMap { network: text(), reason: "none" },
            Model::MapScore { network: text() },
            Model::ReadArchive(io::Error::other(text())),
            Model::Threads { threads: 2, reason: text() },
        ] {
            assert!(!error.words().as_str().contains(CANARY), "{error}");
        }
    }

    #[test]
    fn a_code_that_is_not_kmss_is_not_said_again() {
        assert_eq!(exception("DisabledException"), "DisabledException");
        assert!(!exception(CANARY).contains(CANARY));
    }

    #[test]
    fn a_seal_that_breaks_within_the_package_is_named_as_such() {
        let error = Model::ReadArchive(Seal::NotAuthentic { chunk: 3 }.into());
        assert!(error.words().as_str().starts_with("chunk 3 of the sealed file is not authentic"));
        let error = Model::ReadArchive(Seal::Io(io::Error::other(crate::parent::Error::Replaced)).into());
        assert!(error.words().as_str().contains("replaced"), "{}", error.words());
    }
}
