//! Statements of key policies, written and taken back one by one; whatever else stands in a policy stays as it is.
//!
//! A statement of ours is known by its Sid, which is made from what it says: the same wish is the same Sid, so that writing it twice is
//! writing it once, and a changed one is another.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use cloister_kms::audit::{allowing, findings};
use cloister_kms::context;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::limits::KEY_POLICY_BYTES;
use crate::names::{AccountId, Consumer};

/// PCRs by number.
pub type Pcrs = BTreeMap<u16, [u8; 48]>;

/// What an account's administrators do with a key: everything but using it. `kms:CreateGrant` is not among it: a grant opens a key without its policy.
const ADMINISTRATION: [&str; 20] = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetPublicKey",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
];

/// What the Sid of a statement for enclaves begins with.
const ENCLAVES: &str = "CloisterEnclave";
/// The same of one for people and systems.
const USERS: &str = "CloisterUse";

/// What a key's wrapped keys are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model: released before the enclave measures model and configuration.
    Model,
    /// Images and their results: released to an enclave that has measured both.
    Image,
}

/// Enclaves that may open a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// Whose.
    pub consumer: Consumer,
    /// What they measure to: PCR0 at least.
    pub pcrs: Pcrs,
    /// What the wrapped key has to be for; [`context::PURPOSE`] is added.
    pub context: BTreeMap<String, String>,
    /// What for.
    pub purpose: Purpose,
}

impl Attested {
    /// Checks that the measurements bind, and can be there when the key is released.
    ///
    /// # Errors
    /// [`Error::Measurements`] with the reason.
    pub fn check(&self) -> Result<()> {
        let Some(image) = self.pcrs.get(&0) else {
            return Err(Error::Measurements(
                "the measurements have no PCR0, by which the image is told from every other",
            ));
        };
        if self.pcrs.values().any(|pcr| pcr == &[0; 48]) || image == &[0; 48] {
            return Err(Error::Measurements(
                "a measurement of zeros is that of every enclave in debug mode, which anyone can read: nothing is released to it. \
                 Start the enclave without --debug-mode, and take the measurements that its build printed",
            ));
        }
        if self.purpose == Purpose::Model && [16, 17].iter().any(|pcr| self.pcrs.contains_key(pcr)) {
            return Err(Error::Measurements(
                "PCR16 and PCR17 cannot be asked for in the policy of a model's key: an enclave measures model and configuration after it has \
                 that key, so that no enclave would ever get it. Ask for PCR0 (and PCR8), and let clients pin PCR16 and PCR17",
            ));
        }
        Ok(())
    }

    /// The statement.
    pub fn to_statement(&self) -> Value {
        let mut context: Map<String, Value> = Map::new();
        let purpose = match self.purpose {
            Purpose::Model => context::PURPOSE_MODEL,
            Purpose::Image => context::PURPOSE_IMAGE,
        };
        context.insert(format!("kms:EncryptionContext:{}", context::PURPOSE), purpose.into());
        for (name, value) in &self.context {
            context.insert(format!("kms:EncryptionContext:{name}"), value.as_str().into());
        }
        let measured: Map<String, Value> = self
            .pcrs
            .iter()
            .map(|(index, value)| (format!("kms:RecipientAttestation:PCR{index}"), hex::encode(value).into()))
            .collect();
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": {"AWS": self.consumer.principal()},
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {"StringEquals": context, "StringEqualsIgnoreCase": measured},
        });
        statement["Sid"] = sid(ENCLAVES, &statement).into();
        statement
    }
}

/// The policy of a key that nobody uses yet: administration by the account, and what `users` may do with it.
pub fn administered(account: &AccountId, users: &[Value]) -> Value {
    let mut statements = vec![json!({
        "Sid": "CloisterAdministration",
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
        "Action": ADMINISTRATION,
        "Resource": "*",
    })];
    statements.extend_from_slice(users);
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// The statement by which an account, or one of its roles, may do these things with a key; only for what has that purpose, where one is given.
pub fn users(who: &str, actions: &[&str], purpose: Option<&str>) -> Value {
    let mut statement = json!({
        "Effect": "Allow",
        "Principal": {"AWS": who},
        "Action": actions,
        "Resource": "*",
    });
    if let Some(purpose) = purpose {
        statement["Condition"] =
            json!({"StringEquals": {format!("kms:EncryptionContext:{}", context::PURPOSE): purpose}});
    }
    statement["Sid"] = sid(USERS, &statement).into();
    statement
}

/// A name that says what a statement says.
fn sid(prefix: &str, statement: &Value) -> String {
    // serde_json sorts an object's names, so that one statement has one text.
    format!("{prefix}{}", short_digest(&statement.to_string()))
}

/// Sixteen hex digits of a text's SHA-256: letters that a Sid may have.
pub(crate) fn short_digest(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The policy with the statement in it, in place of one of the same Sid.
///
/// # Errors
/// [`Error::Policy`] for what is no policy, [`Error::TooMany`] past AWS's bound on its length.
pub fn with(policy: &Value, statement: &Value, what: &str) -> Result<Value> {
    with_at_most(policy, statement, what, KEY_POLICY_BYTES)
}

/// The same for a policy that may have so many bytes.
///
/// # Errors
/// As for [`with`].
pub(crate) fn with_at_most(policy: &Value, statement: &Value, what: &str, limit: usize) -> Result<Value> {
    let mut statements = statements(policy, what)?;
    match statements.iter_mut().find(|there| there["Sid"] == statement["Sid"]) {
        Some(there) if same(there, statement) => {}
        Some(there) => *there = statement.clone(),
        None => statements.push(statement.clone()),
    }
    let policy = replaced(policy, statements);
    let length = policy.to_string().len();
    if length > limit {
        return Err(Error::TooMany { what: what.to_owned(), count: length, limit, unit: "bytes" });
    }
    Ok(policy)
}

/// Whether two statements say the same: AWS gives lists of one back as that one, or the other way round.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    fn plain(value: &Value) -> Value {
        match value {
            Value::Array(items) if items.len() == 1 => items.first().map(plain).unwrap_or_default(),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
            other => other.clone(),
        }
    }
    plain(one) == plain(other)
}

/// The policy without the statement of that Sid.
///
/// # Errors
/// [`Error::Policy`] for what is no policy.
pub fn without(policy: &Value, sid: &Value, what: &str) -> Result<Value> {
    let mut statements = statements(policy, what)?;
    statements.retain(|there| there["Sid"] != *sid);
    Ok(replaced(policy, statements))
}

/// A trust policy without our statements that are not wanted: a door of another cluster, or of the other kind.
///
/// # Errors
/// [`Error::Policy`] for what is no policy.
pub(crate) fn without_doors(policy: &Value, wanted: &[Value], what: &str) -> Result<Value> {
    let mut statements = statements(policy, what)?;
    let is_wanted = |there: &Value| wanted.iter().any(|wanted| wanted["Sid"] == there["Sid"]);
    statements
        .retain(|there| is_wanted(there) || !(begins(there, "CloisterIrsa") || begins(there, "CloisterPodIdentity")));
    Ok(replaced(policy, statements))
}

/// The policy without what lets enclaves of this image in: of one consumer, or of all.
///
/// # Errors
/// [`Error::Policy`] for what is no policy, [`Error::Measurements`] without a PCR0.
pub fn without_image(policy: &Value, pcrs: &Pcrs, consumer: Option<&Consumer>, what: &str) -> Result<Value> {
    let image = pcrs.get(&0).map(hex::encode).ok_or(Error::Measurements("the measurements have no PCR0"))?;
    let mut statements = statements(policy, what)?;
    statements.retain(|there| {
        let measured = &there["Condition"]["StringEqualsIgnoreCase"]["kms:RecipientAttestation:PCR0"];
        let is_image = measured.as_str().is_some_and(|there| there.eq_ignore_ascii_case(&image));
        let is_theirs = consumer.is_none_or(|consumer| there["Principal"]["AWS"] == consumer.principal());
        !(is_enclaves(there) && is_image && is_theirs)
    });
    Ok(replaced(policy, statements))
}

/// The policy without what lets enclaves and users in: administration, and what others wrote, stay.
///
/// # Errors
/// [`Error::Policy`] for what is no policy.
pub fn without_openings(policy: &Value, what: &str) -> Result<Value> {
    let mut statements = statements(policy, what)?;
    statements.retain(|there| !is_enclaves(there) && !begins(there, USERS));
    Ok(replaced(policy, statements))
}

/// The policy without what lets in enclaves of roles that are gone, and the Sids of that. AWS shows a role that was deleted by its id in the place of
/// its ARN, takes no policy back that has it, and does not open the key for another role of the same name.
///
/// # Errors
/// [`Error::Policy`] for what is no policy.
pub fn without_gone(policy: &Value, what: &str) -> Result<(Value, Vec<String>)> {
    let gone = |there: &Value| {
        let principal = there["Principal"]["AWS"].as_str();
        is_enclaves(there) && principal.is_some_and(|principal| !principal.starts_with("arn:"))
    };
    let mut statements = statements(policy, what)?;
    let sids = statements.iter().filter(|there| gone(there)).filter_map(|there| there["Sid"].as_str());
    let sids = sids.map(str::to_owned).collect();
    statements.retain(|there| !gone(there));
    Ok((replaced(policy, statements), sids))
}

/// Whether [`Attested::to_statement`] wrote it.
fn is_enclaves(statement: &Value) -> bool {
    begins(statement, ENCLAVES)
}

fn begins(statement: &Value, prefix: &str) -> bool {
    statement["Sid"].as_str().is_some_and(|sid| sid.starts_with(prefix))
}

/// The statements that a policy has.
///
/// # Errors
/// [`Error::Policy`] for what is no policy.
pub fn statements(policy: &Value, what: &str) -> Result<Vec<Value>> {
    let refused = |problem| Error::Policy { what: what.to_owned(), problem };
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) => statements.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => return Err(refused("it has no Statement")),
    };
    if statements.iter().all(Value::is_object) { Ok(statements) } else { Err(refused("a statement is no object")) }
}

fn replaced(policy: &Value, statements: Vec<Value>) -> Value {
    let mut policy = policy.clone();
    policy["Statement"] = statements.into();
    policy
}

/// What is to be known about a key's policy before anything is sealed under it: each statement that opens the key without an enclave, or lets
/// somebody make grants, which open it past the policy.
pub fn warnings(policy: &Value) -> Vec<String> {
    let mut warnings: Vec<_> = findings(&policy.to_string()).iter().map(ToString::to_string).collect();
    warnings.extend(allowing(&policy.to_string(), "kms:CreateGrant").into_iter().map(|statement| {
        format!("the key policy's {statement} lets kms:CreateGrant through: a grant opens the key without its policy's conditions")
    }));
    warnings
}

/// Whom a policy's statements name.
pub(crate) fn principals(policy: &Value) -> Vec<String> {
    let statements = statements(policy, "").unwrap_or_default();
    let named = statements.iter().filter_map(|statement| statement["Principal"]["AWS"].as_str());
    let mut named: Vec<_> = named.map(str::to_owned).collect();
    named.dedup();
    named
}

/// The lines in which two policies differ, `-` before those that go and `+` before those that come, statement by statement.
pub fn difference(before: &Value, after: &Value) -> Vec<String> {
    let [old, new] = [before, after].map(|policy| statements(policy, "").unwrap_or_default());
    let lines = |sign: &'static str, statement: &Value| {
        let text = serde_json::to_string_pretty(statement).unwrap_or_default();
        text.lines().map(move |line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let missing = |from: &[Value], statement: &Value| !from.iter().any(|there| same(there, statement));
    let gone = old.iter().filter(|statement| missing(&new, statement)).flat_map(|statement| lines("-", statement));
    let come = new.iter().filter(|statement| missing(&old, statement)).flat_map(|statement| lines("+", statement));
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests;
