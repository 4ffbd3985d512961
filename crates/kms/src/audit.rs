//! Whether a key policy lets a wrapped key be opened only by a measured enclave.
//!
//! The audit is conservative: what it does not understand counts as open. It looks at the key policy alone, as it is now. Grants
//! are not seen, and whoever may change the policy or create grants (`kms:PutKeyPolicy`, `kms:CreateGrant`) can open the key
//! tomorrow; those are the model owner's own administrators.

use serde_json::{Map, Value};

use crate::client::KmsClient;
use crate::error::{Call, Error};
use crate::limits::MAX_POLICY_BYTES;

/// The condition key that the audit asks for: PCR0, the hash of the whole enclave image.
pub const CONDITION: &str = "kms:RecipientAttestation:ImageSha384";
/// The same measurement under its other name.
pub const CONDITION_PCR0: &str = "kms:RecipientAttestation:PCR0";

/// Actions that turn a wrapped key into its plaintext: at once, or by wrapping it anew under a key that is less guarded.
const OPENING: [&str; 2] = ["kms:Decrypt", "kms:ReEncryptFrom"];
/// Hex digits of a PCR.
const PCR_DIGITS: usize = 96;

/// What is wrong with a key policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFinding {
    /// A statement allows it with no condition on the measurement.
    #[error(
        "the key policy's {statement} lets {principal} call {action} without the condition {CONDITION}: whoever holds those \
         credentials reads the model without any enclave. Add the condition to that statement, or take the action out of it"
    )]
    Unattested {
        /// The statement, by Sid or position.
        statement: String,
        /// Whom it names.
        principal: String,
        /// The action that it allows.
        action: &'static str,
    },
    /// A statement has a condition on the measurement that holds without one, or for any.
    #[error(
        "the key policy's {statement} allows {action} under a condition on {CONDITION} that does not bind: {reason}"
    )]
    DoesNotBind {
        /// The statement, by Sid or position.
        statement: String,
        /// The action that it allows.
        action: &'static str,
        /// Why the condition is no guard.
        reason: String,
    },
    /// The policy cannot be read.
    #[error("the key policy cannot be judged: {0}")]
    Unreadable(&'static str),
}

/// Why an audit did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The policy was read and is not good enough.
    #[error(transparent)]
    Finding(#[from] PolicyFinding),
    /// The policy was not to be had; `kms:GetKeyPolicy` is the permission that this takes.
    #[error("the key policy cannot be fetched: {0}")]
    Call(#[from] Error),
}

/// Fetches the policy of `key_arn` and audits it; see [`audit`].
///
/// # Errors
/// [`AuditError::Finding`] for a policy that is not good enough, [`AuditError::Call`] when it was not to be had.
pub async fn audit_key_policy(client: &KmsClient, key_arn: &str) -> Result<(), AuditError> {
    let call = || Call {
        action: "kms:GetKeyPolicy",
        key_arn,
        advice: "let the key policy allow it to the role that seals.".to_owned(),
        attested: false,
    };
    let answer = client.for_key(key_arn)?.get_key_policy().key_id(key_arn).send().await;
    let answer = answer.map_err(|error| call().error(error))?;
    let policy = answer.policy.ok_or(Error::Incomplete("key policy"))?;
    Ok(audit(&policy)?)
}

/// Audits a key policy, as JSON.
///
/// Good are policies in which every Allow of `kms:Decrypt` and of `kms:ReEncryptFrom` demands a measurement, by a condition on
/// `kms:RecipientAttestation:ImageSha384` or `…:PCR0` that cannot hold without one, or in which a Deny for everyone shuts out every
/// other measurement.
///
/// # Errors
/// The first [`PolicyFinding`].
pub fn audit(policy: &str) -> Result<(), PolicyFinding> {
    findings(policy).into_iter().next().map_or(Ok(()), Err)
}

/// The same, for all that is wrong with it.
pub fn findings(policy: &str) -> Vec<PolicyFinding> {
    judge(policy).unwrap_or_else(|unreadable| vec![unreadable])
}

/// The statements that allow an action to anyone, by Sid or position. One under a condition is among them.
pub fn allowing(policy: &str, action: &str) -> Vec<String> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(statement) => vec![statement.clone()],
        None => Vec::new(),
    };
    let statements = statements.iter().filter_map(Value::as_object).enumerate();
    let allowing = statements.filter(|(_, statement)| !is_deny(statement) && covers(statement, action));
    allowing.map(|(index, statement)| named(statement, index)).collect()
}

fn named(statement: &Map<String, Value>, index: usize) -> String {
    match field(statement, "Sid").and_then(Value::as_str) {
        Some(sid) if !sid.is_empty() => format!("statement {sid:?}"),
        _ => format!("statement number {}", index + 1),
    }
}

fn judge(policy: &str) -> Result<Vec<PolicyFinding>, PolicyFinding> {
    if policy.len() > MAX_POLICY_BYTES {
        return Err(PolicyFinding::Unreadable("it is longer than KMS accepts"));
    }
    let policy: Value = serde_json::from_str(policy).map_err(|_| PolicyFinding::Unreadable("it is not JSON"))?;
    let statements = policy.as_object().and_then(|policy| field(policy, "Statement"));
    let statements = match statements {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return Err(PolicyFinding::Unreadable("it has no statements")),
    };
    let statements: Option<Vec<_>> = statements.into_iter().map(Value::as_object).collect();
    let statements = statements.ok_or(PolicyFinding::Unreadable("one of its statements is not an object"))?;
    let mut findings = Vec::new();
    for action in OPENING {
        if statements.iter().any(|statement| is_guard(statement, action)) {
            continue;
        }
        for (index, statement) in statements.iter().enumerate() {
            if !is_deny(statement) && covers(statement, action) {
                findings.extend(check_allow(statement, index, action).err());
            }
        }
    }
    Ok(findings)
}

fn check_allow(statement: &Map<String, Value>, index: usize, action: &'static str) -> Result<(), PolicyFinding> {
    let name = named(statement, index);
    let mut reason = None;
    for (operator, key, values) in conditions(statement) {
        if !is_measurement(key) {
            continue;
        }
        match binds(operator, values, &["StringEquals", "StringEqualsIgnoreCase", "StringLike"]) {
            Ok(()) => return Ok(()),
            Err(why) => reason = Some(why),
        }
    }
    Err(match reason {
        Some(reason) => PolicyFinding::DoesNotBind { statement: name, action, reason },
        None => PolicyFinding::Unattested { statement: name, principal: principal(statement), action },
    })
}

/// A Deny for everyone of whatever is not measured: its one condition is negated, so it also holds when there is no measurement.
fn is_guard(statement: &Map<String, Value>, action: &str) -> bool {
    let everyone = match field(statement, "Principal") {
        Some(Value::String(name)) => name == "*",
        Some(Value::Object(kinds)) => kinds.get("AWS").is_some_and(|names| strings(names).contains(&"*")),
        _ => false,
    };
    let negated = ["StringNotEquals", "StringNotEqualsIgnoreCase", "StringNotLike"];
    let conditions: Vec<_> = conditions(statement).collect();
    let [(operator, key, values)] = conditions[..] else { return false };
    let whole = field(statement, "Action").is_some()
        && field(statement, "Resource").is_some_and(|resource| strings(resource).contains(&"*"));
    is_deny(statement)
        && everyone
        && whole
        && covers(statement, action)
        && is_measurement(key)
        && binds(operator, values, &negated).is_ok()
}

fn is_deny(statement: &Map<String, Value>) -> bool {
    field(statement, "Effect").and_then(Value::as_str) == Some("Deny")
}

/// Whether a statement is about an action. One without Action is about all but what its NotAction lists.
fn covers(statement: &Map<String, Value>, action: &str) -> bool {
    let listed =
        |name| field(statement, name).map(|patterns| strings(patterns).iter().any(|pattern| matches(pattern, action)));
    match (listed("Action"), listed("NotAction")) {
        (Some(listed), _) => listed,
        (None, listed) => !listed.unwrap_or(false),
    }
}

/// Each operator, key and values of a statement's conditions.
fn conditions(statement: &Map<String, Value>) -> impl Iterator<Item = (&str, &str, &Value)> {
    let operators = field(statement, "Condition").and_then(Value::as_object).into_iter().flatten();
    operators.flat_map(|(operator, keys)| {
        let keys = keys.as_object().into_iter().flatten();
        keys.map(move |(key, values)| (operator.as_str(), key.as_str(), values))
    })
}

fn is_measurement(key: &str) -> bool {
    key.eq_ignore_ascii_case(CONDITION) || key.eq_ignore_ascii_case(CONDITION_PCR0)
}

/// Whether a condition holds for whole measurements only; if not, why.
fn binds(operator: &str, values: &Value, accepted: &[&str]) -> Result<(), String> {
    let plain = operator.strip_prefix("ForAnyValue:").unwrap_or(operator);
    if !accepted.contains(&plain) {
        return Err(format!("{operator} may hold without an attestation document, or for every measurement"));
    }
    let values = strings(values);
    if values.is_empty() {
        return Err("it lists no measurement".to_owned());
    }
    for value in values {
        if value.len() != PCR_DIGITS || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("{value:?} is not a measurement, which is {PCR_DIGITS} hex digits"));
        }
        if value.bytes().all(|byte| byte == b'0') {
            return Err(
                "a measurement of zeros is that of every enclave in debug mode, which anyone can read".to_owned()
            );
        }
    }
    Ok(())
}

fn principal(statement: &Map<String, Value>) -> String {
    match field(statement, "Principal") {
        Some(Value::String(name)) if name == "*" => "everyone".to_owned(),
        Some(Value::Object(kinds)) => kinds.values().flat_map(strings).collect::<Vec<_>>().join(", "),
        _ => "more than it names".to_owned(),
    }
}

/// IAM does not mind the case of its elements' names.
fn field<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// IAM's wildcards in an action: `*` for any characters, `?` for one; case does not matter.
fn matches(pattern: &str, action: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let action = action.to_ascii_lowercase();
    // reachable[n]: the pattern so far matches the first n bytes of the action.
    let mut reachable = vec![false; action.len() + 1];
    if let Some(start) = reachable.first_mut() {
        *start = true;
    }
    for wanted in pattern.bytes() {
        let before = reachable.clone();
        let mut any_before = false;
        for (n, slot) in reachable.iter_mut().enumerate() {
            any_before |= before.get(n).copied().unwrap_or(false);
            let previous = n.checked_sub(1);
            let stepped = previous.and_then(|n| before.get(n).copied()).unwrap_or(false);
            let byte = previous.and_then(|n| action.as_bytes().get(n).copied());
            *slot = match wanted {
                b'*' => any_before,
                b'?' => stepped,
                wanted => stepped && byte == Some(wanted),
            };
        }
    }
    reachable.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests;
