//! The operations of KMS that Cloister's parties use, with the checks in KMS's order: parameters, key, policy, cryptography.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloister_attest::Root;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::fault::{Fault, Form};
use super::keys::{Key, Keys};
use super::limits::{MAX_CONTEXT, MAX_DATA_KEY, MAX_DESCRIPTION, MAX_PLAINTEXT};
use super::material::{SYMMETRIC_DEFAULT, Spec};
use super::policy::{RequestKeys, Verdict};
use super::principal::Principal;
use super::recipient::{Recipient, RecipientInfo};
use super::signing::Sign;
use crate::exception::Exception;

type Context = BTreeMap<String, String>;

/// The state behind the operations.
pub(crate) struct Operations {
    keys: Mutex<Keys>,
    nsm_root: Root,
    pub(crate) form: Form,
}

/// One authenticated request.
pub(crate) struct Call<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) now: OffsetDateTime,
    pub(crate) fault: Option<&'a Fault>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct CreateKey {
    pub(super) policy: Option<String>,
    description: String,
    key_usage: Option<String>,
    key_spec: Option<String>,
    customer_master_key_spec: Option<String>,
    origin: Option<String>,
    multi_region: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ForKey {
    pub(super) key_id: Option<String>,
    policy_name: Option<String>,
    pub(super) policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Cryptographic {
    key_id: Option<String>,
    plaintext: Option<String>,
    ciphertext_blob: Option<String>,
    encryption_algorithm: Option<String>,
    #[serde(default)]
    encryption_context: Context,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    recipient: Option<RecipientInfo>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    grant_tokens: Vec<String>,
}

impl Operations {
    pub(crate) fn new(keys: Keys, nsm_root: Root) -> Self {
        Self { keys: Mutex::new(keys), nsm_root, form: Form::default() }
    }

    /// Carries out `operation`, the part of `X-Amz-Target` after `TrentService.`.
    pub(crate) fn call(&self, operation: &str, body: &[u8], call: &Call<'_>) -> Result<Value, Exception> {
        match operation {
            "CreateKey" => self.create_key(parse(body)?, call),
            "DescribeKey" => self.describe_key(&parse(body)?, call),
            "GetKeyPolicy" => self.get_key_policy(&parse(body)?, call),
            "PutKeyPolicy" => self.put_key_policy(parse(body)?, call),
            "GetPublicKey" => self.get_public_key(&parse(body)?, call),
            "Sign" => self.sign(&Sign::parse(body)?, call),
            "Encrypt" => self.encrypt(&Cryptographic::parse(body)?, call),
            "GenerateDataKey" => self.generate_data_key(&Cryptographic::parse(body)?, call),
            "Decrypt" => self.decrypt(&Cryptographic::parse(body)?, call),
            other => {
                Err(Exception::new("UnknownOperationException", format!("The simulator has no operation {other:?}")))
            }
        }
    }

    fn create_key(&self, input: CreateKey, call: &Call<'_>) -> Result<Value, Exception> {
        let spec = input.check(call)?;
        let mut keys = self.keys();
        let now = call.now.unix_timestamp();
        let key = keys.create(call.principal.account(), spec, input.description, input.policy, now)?;
        Ok(json!({ "KeyMetadata": metadata(key) }))
    }

    /// A key without a request: for whoever runs the simulator.
    pub(crate) fn create_key_for(
        &self,
        account: &str,
        spec: Spec,
        policy: &str,
        now: i64,
    ) -> Result<String, Exception> {
        let mut keys = self.keys();
        Ok(keys.create(account, spec, String::new(), Some(policy.to_owned()), now)?.arn.clone())
    }

    /// A signing key's public half without a request: for whoever runs the simulator.
    pub(crate) fn public_key_for(&self, key_arn: &str) -> Result<Vec<u8>, Exception> {
        self.keys().find(key_arn, "")?.material.public_key(key_arn)
    }

    /// Another policy without a request: for whoever runs the simulator.
    pub(crate) fn put_key_policy_for(&self, key_arn: &str, policy: &str) -> Result<(), Exception> {
        self.keys().put_policy(key_arn, policy.to_owned())
    }

    fn describe_key(&self, input: &ForKey, call: &Call<'_>) -> Result<Value, Exception> {
        let keys = self.keys();
        let key = authorised_key(&keys, required(&input.key_id, "keyId")?, "kms:DescribeKey", call)?;
        Ok(json!({ "KeyMetadata": metadata(key) }))
    }

    fn get_key_policy(&self, input: &ForKey, call: &Call<'_>) -> Result<Value, Exception> {
        let keys = self.keys();
        let key = authorised_key(&keys, required(&input.key_id, "keyId")?, "kms:GetKeyPolicy", call)?;
        input.check_policy_name()?;
        Ok(json!({ "Policy": key.policy_text, "PolicyName": "default" }))
    }

    fn put_key_policy(&self, input: ForKey, call: &Call<'_>) -> Result<Value, Exception> {
        let mut keys = self.keys();
        let key = authorised_key(&keys, required(&input.key_id, "keyId")?, "kms:PutKeyPolicy", call)?;
        input.check_policy_name()?;
        let arn = key.arn.clone();
        let policy = input.policy.ok_or_else(|| missing("policy"))?;
        keys.put_policy(&arn, policy)?;
        Ok(json!({}))
    }

    fn encrypt(&self, input: &Cryptographic, call: &Call<'_>) -> Result<Value, Exception> {
        let plaintext = bytes(&input.plaintext, "plaintext")?;
        if plaintext.is_empty() || plaintext.len() > MAX_PLAINTEXT {
            return Err(Exception::validation(format!("Plaintext has 1 to {MAX_PLAINTEXT} bytes")));
        }
        let keys = self.keys();
        let key = keys.find(required(&input.key_id, "keyId")?, call.principal.account())?;
        authorise(key, "kms:Encrypt", call, request_keys(call).with_context(&input.encryption_context))?;
        key.check_usable()?;
        let blob = key.encrypt(&plaintext, &input.encryption_context)?;
        let answer = json!({ "KeyId": key.arn, "CiphertextBlob": BASE64.encode(blob), "EncryptionAlgorithm": SYMMETRIC_DEFAULT });
        Ok(call.distorted(answer, None))
    }

    fn generate_data_key(&self, input: &Cryptographic, call: &Call<'_>) -> Result<Value, Exception> {
        let length = match (input.key_spec.as_deref(), input.number_of_bytes) {
            (Some("AES_256"), None) => 32,
            (Some("AES_128"), None) => 16,
            (None, Some(length)) if (1..=MAX_DATA_KEY).contains(&length) => length,
            _ => return Err(Exception::validation("Please specify either number of bytes or key spec.")),
        };
        let recipient = self.recipient(input, call)?;
        let keys = self.keys();
        let key = keys.find(required(&input.key_id, "keyId")?, call.principal.account())?;
        let request = request_keys(call).with_context(&input.encryption_context);
        authorise(key, "kms:GenerateDataKey", call, attested(request, recipient.as_ref()))?;
        key.check_usable()?;
        let mut plaintext = vec![0; length];
        rand::fill(&mut plaintext).map_err(|_| Exception::internal())?;
        let blob = key.encrypt(&plaintext, &input.encryption_context)?;
        let answer = json!({ "KeyId": key.arn, "CiphertextBlob": BASE64.encode(blob) });
        self.answer(answer, &plaintext, recipient.as_ref(), call)
    }

    fn decrypt(&self, input: &Cryptographic, call: &Call<'_>) -> Result<Value, Exception> {
        let recipient = self.recipient(input, call)?;
        let ciphertext = bytes(&input.ciphertext_blob, "ciphertextBlob")?;
        let keys = self.keys();
        let named = input.key_id.as_deref().map(|key_id| keys.find(key_id, call.principal.account())).transpose()?;
        let blob = keys.blob(&ciphertext)?;
        if named.is_some_and(|named| named.arn != blob.key.arn) {
            let message = "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(Exception::new("IncorrectKeyException", message));
        }
        let request = request_keys(call).with_context(&input.encryption_context);
        authorise(blob.key, "kms:Decrypt", call, attested(request, recipient.as_ref()))?;
        blob.key.check_usable()?;
        let plaintext = blob.open(&input.encryption_context)?;
        let answer = json!({ "KeyId": blob.key.arn, "EncryptionAlgorithm": SYMMETRIC_DEFAULT });
        self.answer(answer, &plaintext, recipient.as_ref(), call)
    }

    /// Adds the plaintext: in the clear without a recipient, and otherwise to the recipient alone.
    fn answer(
        &self,
        mut answer: Value,
        plaintext: &[u8],
        recipient: Option<&Recipient>,
        call: &Call<'_>,
    ) -> Result<Value, Exception> {
        let in_clear = BASE64.encode(plaintext);
        match recipient {
            None => answer["Plaintext"] = json!(in_clear),
            Some(recipient) => {
                let instead = call.fault.and_then(|fault| fault.content(plaintext));
                let sealed = recipient.seal(instead.as_deref().unwrap_or(plaintext), self.form.get())?;
                answer["CiphertextForRecipient"] = json!(BASE64.encode(sealed));
            }
        }
        Ok(call.distorted(answer, Some(&in_clear)))
    }

    fn recipient(&self, input: &Cryptographic, call: &Call<'_>) -> Result<Option<Recipient>, Exception> {
        input.recipient.as_ref().map(|recipient| recipient.verify(&self.nsm_root, call.now.into())).transpose()
    }

    pub(crate) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call<'_> {
    pub(super) fn distorted(&self, mut answer: Value, plaintext: Option<&str>) -> Value {
        if let Some(fault) = self.fault {
            fault.distort(&mut answer, plaintext);
        }
        answer
    }
}

impl CreateKey {
    /// What kind of key is asked for, if the caller may have it.
    pub(super) fn check(&self, call: &Call<'_>) -> Result<Spec, Exception> {
        let spec = self.spec().ok_or_else(|| {
            Exception::unsupported(
                "The simulator makes symmetric ENCRYPT_DECRYPT keys and ECC_NIST_P384 SIGN_VERIFY keys of one region, and no others",
            )
        })?;
        if self.description.len() > MAX_DESCRIPTION {
            return Err(Exception::validation(format!("Description has at most {MAX_DESCRIPTION} bytes")));
        }
        authorise_in_account("kms:CreateKey", call)?;
        Ok(spec)
    }

    /// What kind of key is asked for, if it is one that the simulator has.
    fn spec(&self) -> Option<Spec> {
        let named = self.key_spec.as_deref().or(self.customer_master_key_spec.as_deref());
        let spec = Spec::named(named.unwrap_or(SYMMETRIC_DEFAULT))?;
        let usage = self.key_usage.as_deref().unwrap_or("ENCRYPT_DECRYPT");
        let usual = self.origin.as_deref().is_none_or(|origin| origin == "AWS_KMS") && !self.multi_region;
        (usual && usage == spec.usage()).then_some(spec)
    }
}

impl ForKey {
    pub(super) fn check_policy_name(&self) -> Result<(), Exception> {
        match self.policy_name.as_deref() {
            None | Some("default") => Ok(()),
            Some(other) => Err(Exception::new("NotFoundException", format!("No such policy exists: {other}"))),
        }
    }
}

impl Cryptographic {
    fn parse(body: &[u8]) -> Result<Self, Exception> {
        let input: Self = parse(body)?;
        if input.dry_run {
            return Err(Exception::unsupported("The simulator has no dry run"));
        }
        if !input.grant_tokens.is_empty() {
            return Err(Exception::new("InvalidGrantTokenException", "The simulator has no grants"));
        }
        if input.encryption_algorithm.as_deref().is_some_and(|algorithm| algorithm != SYMMETRIC_DEFAULT) {
            let message = "The algorithm is incompatible with key spec SYMMETRIC_DEFAULT.";
            return Err(Exception::new("InvalidKeyUsageException", message));
        }
        if input.encryption_context.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_CONTEXT {
            return Err(Exception::validation(format!("EncryptionContext has at most {MAX_CONTEXT} bytes")));
        }
        Ok(input)
    }
}

pub(super) fn authorised_key<'k>(
    keys: &'k Keys,
    key_id: &str,
    action: &str,
    call: &Call<'_>,
) -> Result<&'k Key, Exception> {
    let key = keys.find(key_id, call.principal.account())?;
    authorise(key, action, call, request_keys(call))?;
    Ok(key)
}

/// Asks the identity's own policies: for operations that are not about one key.
pub(super) fn authorise_in_account(action: &str, call: &Call<'_>) -> Result<(), Exception> {
    let Principal { arn, .. } = call.principal;
    if call.principal.iam_allows(action) {
        return Ok(());
    }
    Err(Exception::access_denied(arn, action, "*", "no identity-based policy allows the action"))
}

/// Asks the key policy, and the identity's own policies where KMS asks them too.
fn authorise(key: &Key, action: &str, call: &Call<'_>, request: RequestKeys) -> Result<(), Exception> {
    let Principal { arn, .. } = call.principal;
    let refuse = |because| Err(Exception::access_denied(arn, action, &key.arn, because));
    match key.policy.evaluate(call.principal, action, &request) {
        Verdict::Denied => refuse("of an explicit deny in a resource-based policy"),
        Verdict::Silent => refuse("no resource-based policy allows the action"),
        Verdict::Allowed if call.principal.account() == key.account => Ok(()),
        Verdict::Allowed | Verdict::AllowedToAccount if call.principal.iam_allows(action) => Ok(()),
        _ => refuse("no identity-based policy allows the action"),
    }
}

fn request_keys(call: &Call<'_>) -> RequestKeys {
    RequestKeys::new(&call.principal.arn, call.principal.account())
}

fn attested(keys: RequestKeys, recipient: Option<&Recipient>) -> RequestKeys {
    match recipient {
        Some(recipient) => keys.with_attestation(&recipient.pcrs),
        None => keys,
    }
}

fn metadata(key: &Key) -> Value {
    let spec = key.material.spec();
    let mut metadata = json!({
        "AWSAccountId": key.account,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": key.created,
        "Enabled": true,
        "Description": key.description,
        "KeyUsage": spec.usage(),
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": spec.name(),
        "KeySpec": spec.name(),
        "MultiRegion": false,
    });
    metadata[spec.algorithms()] = json!([spec.algorithm()]);
    metadata
}

pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Exception> {
    serde_json::from_slice(body).map_err(|error| Exception::new("SerializationException", error.to_string()))
}

pub(super) fn required<'a>(value: &'a Option<String>, name: &str) -> Result<&'a str, Exception> {
    value.as_deref().filter(|value| !value.is_empty()).ok_or_else(|| missing(name))
}

pub(super) fn missing(name: &str) -> Exception {
    let message = format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    );
    Exception::validation(message)
}

pub(super) fn bytes(value: &Option<String>, name: &str) -> Result<Vec<u8>, Exception> {
    let text = value.as_deref().ok_or_else(|| missing(name))?;
    BASE64.decode(text).map_err(|_| Exception::new("SerializationException", format!("{name} is not base64")))
}
