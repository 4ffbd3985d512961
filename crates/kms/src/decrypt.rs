//! A wrapped data key opened by ordinary credentials: for the owner of the key, who needs no enclave.

use std::collections::BTreeMap;

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::EncryptionAlgorithmSpec;
use cloister_seal::DataKey;
use zeroize::Zeroizing;

use crate::client::KmsClient;
use crate::error::{Call, Error, Result};
use crate::release::{check_answer, check_wrapped, data_key, to_map};

/// Has KMS decrypt a data key that was wrapped under `key_arn` and bound to `context`, and hand it to whoever holds the client's
/// credentials. An enclave asks by [`crate::release`] instead.
///
/// # Errors
/// An [`Error`] for each reason: the call's own, and an answer of another key, another algorithm or another length.
pub async fn decrypt_data_key(
    client: &KmsClient,
    key_arn: &str,
    wrapped_key: &[u8],
    context: &BTreeMap<String, String>,
) -> Result<DataKey> {
    let sdk = client.for_key(key_arn)?;
    check_wrapped(wrapped_key)?;
    let call = || Call {
        action: "kms:Decrypt",
        key_arn,
        advice: "let the key policy allow it to the role that opens results.".to_owned(),
        attested: false,
    };
    let answer = sdk
        .decrypt()
        .key_id(key_arn)
        .ciphertext_blob(Blob::new(wrapped_key))
        .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
        .set_encryption_context(Some(to_map(context)))
        .send()
        .await
        .map_err(|error| call().error(error))?;
    check_answer(&answer, key_arn)?;
    let plaintext = answer.plaintext.ok_or(Error::Incomplete("data key"))?;
    data_key(&Zeroizing::new(plaintext.into_inner()))
}
