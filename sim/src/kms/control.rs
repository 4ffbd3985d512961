//! The control plane behind the simulator: moto holds keys, policies, states and aliases; the simulator asks it before every use.
//!
//! Its requests go through the same checks as the simulator's own: the signature, the key policy, the key's state. What moto would let
//! pass and KMS would not is refused here. One thing moto refuses that KMS would not: to describe a key, and so any use of it here, when a
//! `Deny` of its policy is of `kms:*`, `kms:Describe*` or `kms:DescribeKey`, whomever and under whatever condition it denies.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::request::Parts;
use hyper::body::Bytes;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::keys::{Held, KeyState, not_found};
use super::material::Spec;
use super::operations::{Call, CreateKey, ForKey, Operations, authorise_in_account, authorised_key, missing, parse};
use super::policy::Policy;
use crate::exception::Exception;
use crate::upstream::{Answer, Api, Upstream, UpstreamError};

const KMS: Api = Api { service: "kms", target: "TrentService." };

/// Operations that the simulator carries out itself, on what it took over of the key a moment before.
const OWN: [&str; 6] = ["Decrypt", "Encrypt", "GenerateDataKey", "GetKeyPolicy", "GetPublicKey", "Sign"];
/// Operations on an account, which only the caller's own policies allow.
const OF_ACCOUNTS: [&str; 3] = ["CreateKey", "ListAliases", "ListKeys"];
/// Operations on a key, with the field that names it.
const OF_KEYS: [(&str, &str); 17] = [
    ("CancelKeyDeletion", "KeyId"),
    ("CreateAlias", "TargetKeyId"),
    ("DeleteAlias", "AliasName"),
    ("DescribeKey", "KeyId"),
    ("DisableKey", "KeyId"),
    ("DisableKeyRotation", "KeyId"),
    ("EnableKey", "KeyId"),
    ("EnableKeyRotation", "KeyId"),
    ("GetKeyRotationStatus", "KeyId"),
    ("ListKeyPolicies", "KeyId"),
    ("ListResourceTags", "KeyId"),
    ("PutKeyPolicy", "KeyId"),
    ("ScheduleKeyDeletion", "KeyId"),
    ("TagResource", "KeyId"),
    ("UntagResource", "KeyId"),
    ("UpdateAlias", "TargetKeyId"),
    ("UpdateKeyDescription", "KeyId"),
];
/// Those of them that KMS offers to other accounts than the key's.
const ACROSS_ACCOUNTS: [&str; 2] = ["DescribeKey", "GetKeyRotationStatus"];

/// The server that holds the keys.
pub(crate) struct ControlPlane {
    upstream: Upstream,
    region: String,
    /// One request after another: a policy that a slower question brought back must not replace a newer one.
    turn: Mutex<()>,
}

impl ControlPlane {
    pub(crate) fn new(address: SocketAddr, region: &str) -> Self {
        Self { upstream: Upstream::new(address), region: region.to_owned(), turn: Mutex::new(()) }
    }

    /// Carries out `operation`, here or there.
    pub(crate) async fn call(
        &self,
        operations: &Operations,
        operation: &str,
        parts: &Parts,
        body: &Bytes,
        call: &Call<'_>,
    ) -> Result<Bytes, Exception> {
        let _turn = self.turn.lock().await;
        if OWN.contains(&operation) {
            let input = self.take_over(operations, operation, parse(body)?, call).await?;
            let answer = operations.call(operation, input.to_string().as_bytes(), call)?;
            return Ok(answer.to_string().into());
        }
        let caller = call.principal.account();
        if OF_ACCOUNTS.contains(&operation) {
            let body = prepare_for_account(operation, body, call)?;
            return self.forward(parts, body, caller).await.map(|answer| answer.body);
        }
        let Some((_, field)) = OF_KEYS.iter().find(|(name, _)| *name == operation) else {
            // The simulator's own refusal of what neither has.
            return operations.call(operation, body, call).map(|answer| answer.to_string().into());
        };
        let mut input: Map<String, Value> = parse(body)?;
        let arn = self.look(operations, name_of_key(operation, field, &input)?, caller).await?;
        operations.prepare_for_key(operation, &arn, body, call, &mut input)?;
        if let Some((_, id)) = arn.split_once(":key/").filter(|_| *field != "AliasName") {
            // moto fails at some operations on a key that is named by its ARN.
            input.insert((*field).to_owned(), json!(id));
        }
        let answer = self.forward(parts, Value::Object(input).to_string().into(), account_of(&arn)).await?;
        let mut said = answer.json();
        if !said["KeyId"].is_string() {
            return Ok(answer.body);
        }
        said["KeyId"] = json!(arn);
        Ok(said.to_string().into())
    }

    async fn forward(&self, parts: &Parts, body: Bytes, account: &str) -> Result<Answer, Exception> {
        accepted(self.upstream.forward(parts, body, Some(account)).await.map_err(unavailable)?)
    }

    /// Takes over the keys that a request of the simulator's own is about, and names them by ARN in it.
    async fn take_over(
        &self,
        operations: &Operations,
        operation: &str,
        mut input: Value,
        call: &Call<'_>,
    ) -> Result<Value, Exception> {
        let caller = call.principal.account();
        if let Some(key_id) = input["KeyId"].as_str().filter(|key_id| !key_id.is_empty()) {
            if operation == "GetKeyPolicy" {
                refuse_alias(key_id)?;
            }
            input["KeyId"] = json!(self.look(operations, key_id, caller).await?);
        }
        if operation == "Decrypt" {
            let blob = input["CiphertextBlob"].as_str().and_then(|text| BASE64.decode(text).ok());
            let arn = blob.and_then(|blob| Some(operations.keys().blob(&blob).ok()?.key.arn.clone()));
            if let Some(arn) = arn.filter(|arn| input["KeyId"] != **arn) {
                self.look(operations, &arn, caller).await?;
            }
        }
        Ok(input)
    }

    /// Asks what is held of a key now, takes it over and gives the key's ARN.
    async fn look(&self, operations: &Operations, key_id: &str, caller: &str) -> Result<String, Exception> {
        let account = if key_id.starts_with("arn:") { account_of(key_id) } else { caller };
        if key_id.starts_with("arn:") && key_id.split(':').nth(3) != Some(&self.region) {
            return Err(not_found(key_id));
        }
        let described = self.ask("DescribeKey", account, &json!({ "KeyId": key_id })).await?;
        let metadata = &described["KeyMetadata"];
        let field = |name: &str| metadata[name].as_str().map(str::to_owned).ok_or_else(Exception::internal);
        let arn = field("Arn")?;
        let input = json!({ "KeyId": arn, "PolicyName": "default" });
        let policy = self.ask("GetKeyPolicy", account, &input).await?;
        let unsupported = || Exception::unsupported("The simulator has no keys of this kind or in this state");
        operations.keys().mirror(Held {
            id: field("KeyId")?,
            account: field("AWSAccountId")?,
            description: field("Description")?,
            created: metadata["CreationDate"].as_f64().unwrap_or_default() as i64,
            policy: policy["Policy"].as_str().ok_or_else(Exception::internal)?.to_owned(),
            spec: Spec::named(&field("KeySpec")?).ok_or_else(unsupported)?,
            state: state(&field("KeyState")?).ok_or_else(unsupported)?,
            arn: arn.clone(),
        })?;
        Ok(arn)
    }

    async fn ask(&self, operation: &str, account: &str, input: &Value) -> Result<Value, Exception> {
        let answer = self.upstream.ask(&KMS, operation, (account, &self.region), input).await.map_err(unavailable)?;
        accepted(answer).map(|answer| answer.json())
    }
}

/// Checks an operation on an account, and writes out what moto, unlike KMS, does not know the default of.
fn prepare_for_account(operation: &str, body: &Bytes, call: &Call<'_>) -> Result<Bytes, Exception> {
    if operation != "CreateKey" {
        authorise_in_account(&format!("kms:{operation}"), call)?;
        return Ok(body.clone());
    }
    let create: CreateKey = parse(body)?;
    let spec = create.check(call)?;
    if let Some(policy) = &create.policy {
        Policy::parse(policy)?;
    }
    let mut input: Map<String, Value> = parse(body)?;
    input.insert("KeyUsage".to_owned(), json!(spec.usage()));
    input.insert("MultiRegion".to_owned(), json!(false));
    Ok(Value::Object(input).to_string().into())
}

/// The key that a request is about. Of these operations only `DescribeKey` takes an alias for a key.
fn name_of_key<'a>(operation: &str, field: &str, input: &'a Map<String, Value>) -> Result<&'a str, Exception> {
    let name = input.get(field).and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| missing(field))?;
    match field {
        "AliasName" if !name.starts_with("alias/") => return Err(Exception::validation("Invalid identifier")),
        "KeyId" | "TargetKeyId" if operation != "DescribeKey" => refuse_alias(name)?,
        _ => {}
    }
    Ok(name)
}

fn refuse_alias(name: &str) -> Result<(), Exception> {
    if name.starts_with("alias/") || name.contains(":alias/") {
        return Err(Exception::new("NotFoundException", format!("Invalid keyId '{name}'")));
    }
    Ok(())
}

impl Operations {
    /// Checks an operation on a key that was taken over.
    fn prepare_for_key(
        &self,
        operation: &str,
        arn: &str,
        body: &Bytes,
        call: &Call<'_>,
        input: &mut Map<String, Value>,
    ) -> Result<(), Exception> {
        let keys = self.keys();
        let action = format!("kms:{operation}");
        let key = authorised_key(&keys, arn, &action, call)?;
        if key.account != call.principal.account() && !ACROSS_ACCOUNTS.contains(&operation) {
            let because = "the operation is for the key's own account";
            return Err(Exception::access_denied(&call.principal.arn, &action, arn, because));
        }
        match (operation, key.state) {
            ("CancelKeyDeletion", KeyState::PendingDeletion) => {}
            ("CancelKeyDeletion", _) => return Err(key.invalid_state("is not pending deletion")),
            ("DeleteAlias" | "DescribeKey" | "ListKeyPolicies" | "ListResourceTags" | "PutKeyPolicy", _) => {}
            ("EnableKeyRotation" | "DisableKeyRotation", _) | (_, KeyState::PendingDeletion) => key.check_usable()?,
            _ => {}
        }
        if operation.ends_with("KeyRotation") && key.material.spec() != Spec::Symmetric {
            return Err(Exception::unsupported(format!("{arn} is not a symmetric key, which alone can rotate")));
        }
        if operation == "PutKeyPolicy" {
            let put: ForKey = parse(body)?;
            put.check_policy_name()?;
            Policy::parse(put.policy.as_deref().ok_or_else(|| missing("policy"))?)?;
            input.insert("PolicyName".to_owned(), json!("default"));
        }
        Ok(())
    }
}

fn state(name: &str) -> Option<KeyState> {
    match name {
        "Enabled" => Some(KeyState::Enabled),
        "Disabled" => Some(KeyState::Disabled),
        "PendingDeletion" => Some(KeyState::PendingDeletion),
        _ => None,
    }
}

/// The account in an ARN; empty when there is none.
fn account_of(arn: &str) -> &str {
    arn.split(':').nth(4).unwrap_or_default()
}

/// The answer, or the refusal that it is.
fn accepted(answer: Answer) -> Result<Answer, Exception> {
    if answer.status.is_success() && serde_json::from_slice::<Value>(&answer.body).is_ok() {
        return Ok(answer);
    }
    Err(Exception::of(&answer).unwrap_or_else(|| {
        tracing::error!(status = %answer.status, "the control plane failed");
        Exception::internal()
    }))
}

fn unavailable(error: UpstreamError) -> Exception {
    tracing::error!(%error, "the control plane gave no answer");
    Exception::internal()
}
