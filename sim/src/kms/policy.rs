//! Key policies: read strictly, evaluated as IAM does.
//!
//! Whatever the simulator could not evaluate is refused when a policy is put, never ignored: a condition that does nothing would make
//! a test pass that fails on AWS.

mod condition;

use serde_json::{Map, Value};

use self::condition::Condition;
use super::limits::MAX_POLICY;
use super::principal::Principal;
use crate::exception::Exception;

pub(crate) use self::condition::RequestKeys;

/// A key policy that was read.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone)]
struct Statement {
    allow: bool,
    principals: Vec<PolicyPrincipal>,
    actions: Vec<String>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PolicyPrincipal {
    Everyone,
    Account(String),
    Identity(String),
}

/// What a key policy says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A Deny applies, whatever else does.
    Denied,
    /// No statement applies.
    Silent,
    /// An Allow names the identity's account: its own IAM policies decide.
    AllowedToAccount,
    /// An Allow names the identity itself, or everyone.
    Allowed,
}

impl Policy {
    /// The policy that KMS gives a key created without one: the account's own IAM policies decide.
    pub(crate) fn default_text(account: &str) -> String {
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Id": "key-default-1",
            "Statement": [{
                "Sid": "Enable IAM User Permissions",
                "Effect": "Allow",
                "Principal": { "AWS": format!("arn:aws:iam::{account}:root") },
                "Action": "kms:*",
                "Resource": "*"
            }]
        });
        policy.to_string()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Exception> {
        if text.is_empty() || text.len() > MAX_POLICY {
            return Err(Exception::new("LimitExceededException", format!("A key policy has 1 to {MAX_POLICY} bytes")));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| bad(format!("not JSON: {error}")))?;
        let object = value.as_object().ok_or_else(|| bad("not a JSON object"))?;
        only_fields(object, &["Version", "Id", "Statement"])?;
        if !matches!(object.get("Version").and_then(Value::as_str), Some("2012-10-17" | "2008-10-17")) {
            return Err(bad("Version must be 2012-10-17"));
        }
        let statements = match object.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => {
                statements.iter().map(Statement::parse).collect()
            }
            Some(statement @ Value::Object(_)) => Statement::parse(statement).map(|statement| vec![statement]),
            _ => Err(bad("Statement must be a statement or a list of them")),
        }?;
        Ok(Self { statements })
    }

    /// Evaluates `action` (such as `kms:Decrypt`) by `principal` under the request's condition keys.
    pub(crate) fn evaluate(&self, principal: &Principal, action: &str, keys: &RequestKeys) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            let Some(matched) = statement.applies(principal, action, keys) else { continue };
            if !statement.allow {
                return Verdict::Denied;
            }
            if verdict != Verdict::Allowed {
                verdict = matched;
            }
        }
        verdict
    }
}

impl Statement {
    fn parse(value: &Value) -> Result<Self, Exception> {
        let object = value.as_object().ok_or_else(|| bad("a statement is not an object"))?;
        only_fields(object, &["Sid", "Effect", "Principal", "Action", "Resource", "Condition"])?;
        let allow = match object.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(bad("Effect must be Allow or Deny")),
        };
        let actions = strings(object.get("Action"), "Action")?;
        if let Some(action) =
            actions.iter().find(|action| *action != "*" && !action.to_ascii_lowercase().starts_with("kms:"))
        {
            return Err(bad(format!("Action {action:?} is not one of KMS")));
        }
        if strings(object.get("Resource"), "Resource")? != ["*"] {
            return Err(bad("Resource must be \"*\", which in a key policy is the key itself"));
        }
        Ok(Self {
            allow,
            principals: PolicyPrincipal::parse_all(object.get("Principal"))?,
            actions: actions.iter().map(|action| action.to_ascii_lowercase()).collect(),
            conditions: Condition::parse_all(object.get("Condition"))?,
        })
    }

    /// What the statement would grant if it is an Allow; none when it does not apply.
    fn applies(&self, principal: &Principal, action: &str, keys: &RequestKeys) -> Option<Verdict> {
        let matched = self
            .principals
            .iter()
            .filter_map(|candidate| candidate.matches(principal))
            .max_by_key(|verdict| *verdict as u8)?;
        let action = action.to_ascii_lowercase();
        let acts = self.actions.iter().any(|pattern| matches_pattern(pattern, &action));
        (acts && self.conditions.iter().all(|condition| condition.holds(keys))).then_some(matched)
    }
}

impl PolicyPrincipal {
    fn parse_all(value: Option<&Value>) -> Result<Vec<Self>, Exception> {
        match value {
            Some(Value::String(everyone)) if everyone == "*" => Ok(vec![Self::Everyone]),
            Some(Value::Object(kinds)) => {
                only_fields(kinds, &["AWS"])?;
                strings(kinds.get("AWS"), "Principal.AWS")?.iter().map(|name| Self::parse(name)).collect()
            }
            _ => Err(bad("Principal must be \"*\" or {\"AWS\": …}")),
        }
    }

    fn parse(name: &str) -> Result<Self, Exception> {
        let is_account = |digits: &str| digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if name == "*" {
            return Ok(Self::Everyone);
        }
        if is_account(name) {
            return Ok(Self::Account(name.to_owned()));
        }
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        match parts[..] {
            ["arn", "aws", "iam", "", account, "root"] if is_account(account) => Ok(Self::Account(account.to_owned())),
            ["arn", "aws", "iam" | "sts", "", account, resource]
                if is_account(account) && resource.contains('/') && !resource.contains('*') =>
            {
                Ok(Self::Identity(name.to_owned()))
            }
            _ => Err(bad(format!("{name:?} is not a principal of an account"))),
        }
    }

    fn matches(&self, principal: &Principal) -> Option<Verdict> {
        match self {
            Self::Everyone => Some(Verdict::Allowed),
            Self::Account(account) => (principal.account() == account).then_some(Verdict::AllowedToAccount),
            Self::Identity(name) => principal.names().contains(name).then_some(Verdict::Allowed),
        }
    }
}

/// Matches IAM's wildcards: `*` for any characters, `?` for one. Case matters.
pub(crate) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and how much of the text it has swallowed: all that backtracking needs.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, swallowed)) => {
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    t = swallowed + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// A string or a non-empty list of strings.
fn strings(value: Option<&Value>, what: &str) -> Result<Vec<String>, Exception> {
    let wrong = || bad(format!("{what} must be a string or a list of strings"));
    let found = match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => {
            many.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>().ok_or_else(wrong)?
        }
        _ => return Err(wrong()),
    };
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

fn only_fields(object: &Map<String, Value>, known: &[&str]) -> Result<(), Exception> {
    match object.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(bad(format!("{field:?} is not supported here; these are: {}", known.join(", ")))),
        None => Ok(()),
    }
}

fn bad(message: impl Into<String>) -> Exception {
    Exception::malformed_policy(message)
}

#[cfg(test)]
mod tests;
