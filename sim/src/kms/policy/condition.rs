//! Conditions of a policy statement (IAM user guide, "IAM JSON policy elements: Condition operators").

use std::collections::BTreeMap;

use serde_json::Value;

use super::{bad, matches_pattern, strings};
use crate::exception::Exception;

const ATTESTATION: &str = "kms:recipientattestation:";
const CONTEXT: &str = "kms:encryptioncontext:";
const CONTEXT_KEYS: &str = "kms:encryptioncontextkeys";
const HIGHEST_PCR: u16 = 31;

/// The condition keys that one request carries, names in lower case: keys are case-insensitive in IAM, values are not.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestKeys(BTreeMap<String, Vec<String>>);

impl RequestKeys {
    pub(crate) fn new(principal_arn: &str, account: &str) -> Self {
        let mut keys = Self::default();
        keys.set("aws:principalarn", principal_arn);
        keys.set("kms:calleraccount", account);
        keys.set("aws:securetransport", "true");
        keys
    }

    pub(crate) fn with_context(mut self, context: &BTreeMap<String, String>) -> Self {
        for (name, value) in context {
            self.set(&format!("{CONTEXT}{}", name.to_lowercase()), value);
        }
        if !context.is_empty() {
            self.0.insert(CONTEXT_KEYS.to_owned(), context.keys().cloned().collect());
        }
        self
    }

    /// Adds what an attestation document measured. Without one these keys are absent, so that no positive condition on them holds.
    pub(crate) fn with_attestation(mut self, pcrs: &BTreeMap<u16, Vec<u8>>) -> Self {
        for (index, value) in pcrs {
            let value = hex::encode(value);
            if *index == 0 {
                self.set(&format!("{ATTESTATION}imagesha384"), &value);
            }
            self.set(&format!("{ATTESTATION}pcr{index}"), &value);
        }
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), vec![value.to_owned()]);
    }
}

#[derive(Debug, Clone)]
pub(super) struct Condition {
    comparison: Comparison,
    negated: bool,
    if_exists: bool,
    set: Option<Set>,
    key: String,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equals,
    EqualsIgnoreCase,
    Like,
    Bool,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Any,
    All,
}

impl Condition {
    pub(super) fn parse_all(value: Option<&Value>) -> Result<Vec<Self>, Exception> {
        let Some(value) = value else { return Ok(Vec::new()) };
        let operators = value.as_object().ok_or_else(|| bad("Condition must be an object"))?;
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let keys = keys.as_object().ok_or_else(|| bad(format!("{operator} must be an object")))?;
            for (key, values) in keys {
                conditions.push(Self::parse(operator, key, values)?);
            }
        }
        Ok(conditions)
    }

    fn parse(operator: &str, key: &str, values: &Value) -> Result<Self, Exception> {
        let (set, name) = match operator.split_once(':') {
            Some(("ForAnyValue", name)) => (Some(Set::Any), name),
            Some(("ForAllValues", name)) => (Some(Set::All), name),
            _ => (None, operator),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
        let (comparison, negated) = match name {
            "StringEquals" => (Comparison::Equals, false),
            "StringNotEquals" => (Comparison::Equals, true),
            "StringEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualsIgnoreCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "Bool" => (Comparison::Bool, false),
            "Null" if !if_exists && set.is_none() => (Comparison::Null, false),
            _ => return Err(bad(format!("the condition operator {operator:?} is not supported"))),
        };
        let values = match values {
            Value::Bool(value) => vec![value.to_string()],
            values => strings(Some(values), key)?,
        };
        if matches!(comparison, Comparison::Bool | Comparison::Null)
            && values.iter().any(|value| value != "true" && value != "false")
        {
            return Err(bad(format!("{operator} of {key} must be true or false")));
        }
        if values.iter().any(|value| value.contains("${")) {
            return Err(bad(format!("policy variables, as in the value of {key}, are not supported")));
        }
        let key = known_key(key)?;
        if (key == CONTEXT_KEYS) != set.is_some() && comparison != Comparison::Null {
            return Err(bad("kms:EncryptionContextKeys, and no other key here, takes ForAnyValue: or ForAllValues:"));
        }
        Ok(Self { comparison, negated, if_exists, set, key, values })
    }

    pub(super) fn holds(&self, keys: &RequestKeys) -> bool {
        let found = keys.0.get(&self.key);
        if self.comparison == Comparison::Null {
            return self.values.iter().any(|value| (value == "true") == found.is_none());
        }
        let Some(found) = found else {
            // ForAllValues is true of no values at all, and a negated operator of a key that is not there: IAM's traps, kept.
            return self.if_exists || self.set == Some(Set::All) || (self.negated && self.set.is_none());
        };
        let matches = |value: &String| self.values.iter().any(|wanted| self.compare(wanted, value)) != self.negated;
        match self.set {
            Some(Set::All) | None => found.iter().all(matches),
            Some(Set::Any) => found.iter().any(matches),
        }
    }

    fn compare(&self, wanted: &str, found: &str) -> bool {
        match self.comparison {
            Comparison::Equals | Comparison::Null => wanted == found,
            Comparison::EqualsIgnoreCase => wanted.to_lowercase() == found.to_lowercase(),
            Comparison::Bool => wanted == found,
            Comparison::Like => matches_pattern(wanted, found),
        }
    }
}

/// The key in lower case, if requests can carry it.
fn known_key(key: &str) -> Result<String, Exception> {
    let lower = key.to_lowercase();
    let known = match lower.strip_prefix(ATTESTATION) {
        Some("imagesha384") => true,
        Some(pcr) => {
            let index = pcr
                .strip_prefix("pcr")
                .filter(|digits| !digits.starts_with('+') && (*digits == "0" || !digits.starts_with('0')));
            index.and_then(|digits| digits.parse::<u16>().ok()).is_some_and(|index| index <= HIGHEST_PCR)
        }
        None if lower.starts_with(CONTEXT) => lower.len() > CONTEXT.len(),
        None => {
            matches!(lower.as_str(), CONTEXT_KEYS | "kms:calleraccount" | "aws:principalarn" | "aws:securetransport")
        }
    };
    if known { Ok(lower) } else { Err(bad(format!("the condition key {key:?} is not supported"))) }
}
