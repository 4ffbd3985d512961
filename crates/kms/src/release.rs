//! Key release: KMS opens a wrapped data key for this enclave and no one else.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_kms::operation::decrypt::DecryptOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{EncryptionAlgorithmSpec, KeyEncryptionMechanism, RecipientInfo};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_seal::DataKey;

use crate::client::KmsClient;
use crate::cms::open_cms;
use crate::error::{Call, Error, Result, bounded};
use crate::limits::{KEY_BYTES, MAX_CIPHERTEXT_BYTES, MAX_CODE_BYTES};
use crate::recipient::RecipientKey;

/// The PCRs that key policies name most: the whole image, kernel, application, role, instance and signing certificate; and once the
/// enclave has measured them, the model and the configuration.
const TELLING_PCRS: [u16; 8] = [0, 1, 2, 3, 4, 8, 16, 17];

/// What is to be released, and to whom.
pub struct Release<'a> {
    /// The module that attests this enclave.
    pub nsm: &'a dyn Nsm,
    /// The pinned key, as a full ARN.
    pub key_arn: &'a str,
    /// The data key as KMS wrapped it.
    pub wrapped_key: &'a [u8],
    /// The encryption context that it was wrapped under.
    pub context: &'a BTreeMap<String, String>,
}

/// Attests with a fresh RSA key, has KMS decrypt the wrapped key for it, and opens the answer.
///
/// The answer is used only if it names the pinned key and the expected algorithm, carries nothing in the clear, and opens to 32 bytes.
/// Throttling, timeouts and KMS's internal errors are tried again, up to [`crate::limits::MAX_TRIES`] times in all; nothing else
/// is. It runs on Tokio; the NSM is called and the RSA key made in place, which together take some hundred milliseconds.
///
/// # Errors
/// An [`Error`] for each reason; [`Error::is_expired_token`] tells the one that fresh credentials mend.
pub async fn release(client: &KmsClient, release: &Release<'_>) -> Result<DataKey> {
    let sdk = client.for_key(release.key_arn)?;
    check_wrapped(release.wrapped_key)?;
    let key = RecipientKey::generate()?;
    let request = AttestRequest { public_key: Some(key.spki_der().to_vec()), ..AttestRequest::default() };
    let document = release.nsm.attest(&request)?;
    let recipient = RecipientInfo::builder()
        .attestation_document(Blob::new(document))
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .build();
    let answer = sdk
        .decrypt()
        .key_id(release.key_arn)
        .ciphertext_blob(Blob::new(release.wrapped_key))
        .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
        .set_encryption_context(Some(to_map(release.context)))
        .recipient(recipient)
        .send()
        .await
        .map_err(|error| release.call().error(error))?;
    open(&answer, release.key_arn, &key)
}

impl<'a> Release<'a> {
    fn call(&self) -> Call<'a> {
        let pcrs = TELLING_PCRS.into_iter().filter_map(|index| {
            let value = self.nsm.describe_pcr(index).ok()?.value;
            value.iter().any(|byte| *byte != 0).then(|| {
                let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("PCR{index} {digits}")
            })
        });
        let pcrs: Vec<String> = pcrs.collect();
        let measured = if pcrs.is_empty() { "no PCR but zeros (debug mode?)".to_owned() } else { pcrs.join(", ") };
        let advice = format!(
            "the key policy does not allow this measurement, role or encryption context. The attestation document carried \
             {measured}; the context was {:?}. Put the measurement into the condition \
             kms:RecipientAttestation:ImageSha384 of the key policy, or run the image that it names.",
            self.context
        );
        Call { action: "kms:Decrypt", key_arn: self.key_arn, advice, attested: true }
    }
}

/// Checks an answer and opens it.
fn open(answer: &DecryptOutput, key_arn: &str, key: &RecipientKey) -> Result<DataKey> {
    if answer.plaintext().is_some_and(|plaintext| !plaintext.as_ref().is_empty()) {
        return Err(Error::PlaintextReturned);
    }
    check_answer(answer, key_arn)?;
    let message = answer.ciphertext_for_recipient().ok_or(Error::NothingForRecipient)?;
    data_key(&open_cms(message.as_ref(), key)?)
}

/// Whether an answer is for the pinned key, and by the one algorithm.
pub(crate) fn check_answer(answer: &DecryptOutput, key_arn: &str) -> Result<()> {
    check_key(key_arn, answer.key_id())?;
    if answer.encryption_algorithm() != Some(&EncryptionAlgorithmSpec::SymmetricDefault) {
        return Err(Error::OtherAlgorithm(
            answer.encryption_algorithm().map(|algorithm| bounded(algorithm.as_str(), MAX_CODE_BYTES)),
        ));
    }
    Ok(())
}

/// Whether KMS could have made a wrapped key of this length.
pub(crate) fn check_wrapped(wrapped_key: &[u8]) -> Result<()> {
    if wrapped_key.is_empty() || wrapped_key.len() > MAX_CIPHERTEXT_BYTES {
        return Err(Error::WrappedKeyLength(wrapped_key.len()));
    }
    Ok(())
}

/// Whether an answer is for the pinned key.
pub(crate) fn check_key(expected: &str, returned: Option<&str>) -> Result<()> {
    if returned == Some(expected) {
        return Ok(());
    }
    Err(Error::OtherKey { expected: expected.to_owned(), returned: returned.map(|arn| bounded(arn, MAX_CODE_BYTES)) })
}

/// Takes exactly 32 bytes as a data key.
pub(crate) fn data_key(bytes: &[u8]) -> Result<DataKey> {
    if bytes.len() != KEY_BYTES {
        return Err(Error::KeyLength(bytes.len()));
    }
    DataKey::from_slice(bytes).map_err(|_| Error::KeyLength(bytes.len()))
}

pub(crate) fn to_map(context: &BTreeMap<String, String>) -> HashMap<String, String> {
    context.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}
