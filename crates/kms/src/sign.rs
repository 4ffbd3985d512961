//! A signature by an asymmetric key of KMS's, which never leaves it: for enclave images.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};

use crate::ber::{INTEGER, Reader, SEQUENCE};
use crate::client::KmsClient;
use crate::cms;
use crate::error::{Call, Error, bounded};
use crate::limits::{COORDINATE_BYTES, DIGEST_BYTES, MAX_CODE_BYTES, SIGNATURE_BYTES};
use crate::release::check_key;

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The call failed, or KMS answered for another key.
    #[error(transparent)]
    Call(#[from] Error),
    /// The answer names another algorithm.
    #[error("KMS signed with the algorithm {0:?} instead of ECDSA_SHA_384: the signature was not used")]
    OtherAlgorithm(Option<String>),
    /// The signature is not one in DER.
    #[error("KMS's signature is not that of a key on P-384: it was not used")]
    Form,
}

/// Has KMS sign a SHA-384 digest with a key on P-384. Returns r and s, 48 bytes each. Whether the key is the right one is told by
/// the signature alone: the caller verifies it.
///
/// # Errors
/// A [`SignError`] for each reason: the call's own, and an answer of another key, another algorithm or another form.
pub async fn sign_digest(
    client: &KmsClient,
    key_arn: &str,
    digest: &[u8; DIGEST_BYTES],
) -> Result<[u8; SIGNATURE_BYTES], SignError> {
    fixed(&sign_digest_der(client, key_arn, digest).await?).map_err(|_| SignError::Form)
}

/// The same, for the signature as KMS gives it: an Ecdsa-Sig-Value in DER (RFC 3279, section 2.2.3).
///
/// # Errors
/// As for [`sign_digest`].
pub async fn sign_digest_der(
    client: &KmsClient,
    key_arn: &str,
    digest: &[u8; DIGEST_BYTES],
) -> Result<Vec<u8>, SignError> {
    let call = || Call {
        action: "kms:Sign",
        key_arn,
        advice: "let the key policy allow it to the role that signs images.".to_owned(),
        attested: false,
    };
    let answer = client
        .for_key(key_arn)?
        .sign()
        .key_id(key_arn)
        .message(Blob::new(*digest))
        .message_type(MessageType::Digest)
        .signing_algorithm(SigningAlgorithmSpec::EcdsaSha384)
        .send()
        .await
        .map_err(|error| call().error(error))?;
    check_key(key_arn, answer.key_id())?;
    if answer.signing_algorithm() != Some(&SigningAlgorithmSpec::EcdsaSha384) {
        let returned = answer.signing_algorithm().map(|algorithm| bounded(algorithm.as_str(), MAX_CODE_BYTES));
        return Err(SignError::OtherAlgorithm(returned));
    }
    let signature = answer.signature.ok_or(Error::Incomplete("signature"))?.into_inner();
    fixed(&signature).map_err(|_| SignError::Form)?;
    Ok(signature)
}

/// Turns an Ecdsa-Sig-Value (RFC 3279, section 2.2.3), a sequence of two positive integers in DER, into both at their full length.
fn fixed(der: &[u8]) -> Result<[u8; SIGNATURE_BYTES], cms::Error> {
    let mut reader = Reader::new(der);
    let scope = reader.enter(SEQUENCE, "signature")?;
    let mut signature = [0; SIGNATURE_BYTES];
    for place in signature.chunks_exact_mut(COORDINATE_BYTES) {
        let refused = cms::Error::Unexpected { what: "number" };
        let number = match reader.primitive(INTEGER, "number")? {
            // A zero stands only before what would else be negative.
            [0, number @ ..] if number.first().is_some_and(|first| first & 0x80 != 0) => number,
            number if number.first().is_some_and(|first| (1..0x80).contains(first)) => number,
            _ => return Err(refused),
        };
        let start = place.len().checked_sub(number.len()).ok_or(refused)?;
        place.get_mut(start..).ok_or(refused)?.copy_from_slice(number);
    }
    reader.leave(scope, "signature")?;
    reader.finish()?;
    Ok(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let integer = |bytes: &[u8]| [&[INTEGER, bytes.len() as u8], bytes].concat();
        let body = [integer(r), integer(s)].concat();
        [&[SEQUENCE, body.len() as u8], &body[..]].concat()
    }

    #[test]
    fn short_and_long_numbers_come_to_their_full_length() {
        let long = [&[0][..], &[0xff; 48]].concat();
        let signature = fixed(&der(&long, &[7])).unwrap();
        assert_eq!(signature[..48], [0xff; 48]);
        assert_eq!(signature[48..], [&[0; 47][..], &[7]].concat());
    }

    #[test]
    fn what_is_no_signature_in_der_is_refused() {
        let whole = der(&[1], &[2]);
        for length in 0..whole.len() {
            assert!(fixed(&whole[..length]).is_err(), "{length}");
        }
        assert!(fixed(&[&whole[..], &[0]].concat()).is_err());
        for number in [&[][..], &[0], &[0, 1], &[0x80], &[1; 49], &[&[0][..], &[0xff; 49]].concat()] {
            assert!(fixed(&der(number, &[1])).is_err(), "{number:?}");
            assert!(fixed(&der(&[1], number)).is_err(), "{number:?}");
        }
    }
}
