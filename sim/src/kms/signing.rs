//! What KMS does with keys that sign.

use aws_lc_rs::digest::{SHA384, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

use super::limits::MAX_PLAINTEXT;
use super::operations::{Call, ForKey, Operations, authorised_key, bytes, missing, parse, required};
use crate::exception::Exception;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sign {
    key_id: Option<String>,
    message: Option<String>,
    message_type: Option<String>,
    signing_algorithm: Option<String>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

impl Sign {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Exception> {
        let input: Self = parse(body)?;
        if input.dry_run || !input.grant_tokens.is_empty() {
            return Err(Exception::unsupported("The simulator has no dry run and no grants"));
        }
        Ok(input)
    }

    /// The digest that is to be signed.
    fn digest(&self) -> Result<Vec<u8>, Exception> {
        let message = bytes(&self.message, "message")?;
        if message.is_empty() || message.len() > MAX_PLAINTEXT {
            return Err(Exception::validation(format!("Message has 1 to {MAX_PLAINTEXT} bytes")));
        }
        match self.message_type.as_deref() {
            None | Some("RAW") => Ok(digest(&SHA384, &message).as_ref().to_vec()),
            Some("DIGEST") => Ok(message),
            Some(other) => {
                Err(Exception::validation(format!("The simulator does not sign messages of type {other:?}")))
            }
        }
    }
}

impl Operations {
    pub(super) fn sign(&self, input: &Sign, call: &Call<'_>) -> Result<Value, Exception> {
        let digest = input.digest()?;
        let algorithm = input.signing_algorithm.as_deref().ok_or_else(|| missing("signingAlgorithm"))?;
        let keys = self.keys();
        let key = authorised_key(&keys, required(&input.key_id, "keyId")?, "kms:Sign", call)?;
        key.check_usable()?;
        if algorithm != key.material.spec().algorithm() {
            return Err(key.material.other_usage());
        }
        let signature = BASE64.encode(key.material.sign(&digest)?);
        let answer = json!({ "KeyId": key.arn, "Signature": signature, "SigningAlgorithm": algorithm });
        Ok(call.distorted(answer, None))
    }

    pub(super) fn get_public_key(&self, input: &ForKey, call: &Call<'_>) -> Result<Value, Exception> {
        let keys = self.keys();
        let key = authorised_key(&keys, required(&input.key_id, "keyId")?, "kms:GetPublicKey", call)?;
        key.check_usable()?;
        let (public_key, spec) = (key.material.public_key(&key.arn)?, key.material.spec());
        let mut answer = json!({
            "KeyId": key.arn,
            "PublicKey": BASE64.encode(public_key),
            "CustomerMasterKeySpec": spec.name(),
            "KeySpec": spec.name(),
            "KeyUsage": spec.usage(),
        });
        answer[spec.algorithms()] = json!([spec.algorithm()]);
        Ok(call.distorted(answer, None))
    }
}
