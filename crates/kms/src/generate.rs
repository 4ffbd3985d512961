//! A fresh data key for sealing, by ordinary credentials.

use std::collections::BTreeMap;

use aws_sdk_kms::types::DataKeySpec;
use cloister_seal::DataKey;
use zeroize::Zeroizing;

use crate::client::KmsClient;
use crate::error::{Call, Error, Result};
use crate::release::{check_key, check_wrapped, data_key, to_map};

/// Has KMS make a 32-byte data key under `key_arn`, bound to `context`. Returns it with its wrapped form.
///
/// # Errors
/// An [`Error`] for each reason: the call's own, and an answer for another key or of another length.
pub async fn generate_data_key(
    client: &KmsClient,
    key_arn: &str,
    context: &BTreeMap<String, String>,
) -> Result<(DataKey, Vec<u8>)> {
    let call = || Call {
        action: "kms:GenerateDataKey",
        key_arn,
        advice: "let the key policy allow it to the role that seals.".to_owned(),
        attested: false,
    };
    let answer = client
        .for_key(key_arn)?
        .generate_data_key()
        .key_id(key_arn)
        .key_spec(DataKeySpec::Aes256)
        .set_encryption_context(Some(to_map(context)))
        .send()
        .await
        .map_err(|error| call().error(error))?;
    check_key(key_arn, answer.key_id())?;
    let plaintext = answer.plaintext.ok_or(Error::Incomplete("data key"))?;
    let key = data_key(&Zeroizing::new(plaintext.into_inner()))?;
    let wrapped = answer.ciphertext_blob.ok_or(Error::Incomplete("wrapped data key"))?.into_inner();
    check_wrapped(&wrapped)?;
    Ok((key, wrapped))
}
