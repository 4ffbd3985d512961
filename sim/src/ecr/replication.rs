//! How far an image has been replicated: ECR's answer, by the rules and policies that moto holds and the state that a test sets.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use super::images::ImageId;
use super::limits::MAX_REMEMBERED;
use crate::exception::Exception;
use crate::kms::matches_pattern;

/// How far a replication is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// On its way.
    InProgress,
    /// There.
    Complete,
    /// Given up, with this `failureCode`.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    pub(super) repository_name: String,
    pub(super) image_id: ImageId,
}

/// `replicationConfiguration` of the API.
#[derive(Deserialize)]
pub(super) struct Configuration {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    destinations: Vec<Destination>,
    #[serde(default)]
    repository_filters: Vec<Prefix>,
}

#[derive(Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub(super) struct Destination {
    pub(super) region: String,
    pub(super) registry_id: String,
}

/// ECR has filters of the type `PREFIX_MATCH` only.
#[derive(Deserialize)]
struct Prefix {
    filter: String,
}

/// What a test said, and how often somebody looked.
pub(super) struct Replications {
    set: Mutex<BTreeMap<String, State>>,
    looks: Mutex<BTreeMap<(String, Destination), u32>>,
    in_progress: u32,
}

impl Configuration {
    /// Where images of this repository go.
    pub(super) fn destinations(&self, repository: &str) -> Vec<Destination> {
        let covers = |rule: &&Rule| {
            rule.repository_filters.is_empty()
                || rule.repository_filters.iter().any(|prefix| repository.starts_with(&prefix.filter))
        };
        let mut destinations: Vec<Destination> =
            self.rules.iter().filter(covers).flat_map(|rule| rule.destinations.clone()).collect();
        destinations.sort();
        destinations.dedup();
        destinations
    }
}

impl Destination {
    pub(super) fn answer(&self, state: &State) -> Value {
        let mut answer = json!({ "region": self.region, "registryId": self.registry_id });
        answer["status"] = match state {
            State::InProgress => json!("IN_PROGRESS"),
            State::Complete => json!("COMPLETE"),
            State::Failed(code) => {
                answer["failureCode"] = json!(code);
                json!("FAILED")
            }
        };
        answer
    }
}

impl Replications {
    /// Replications are in progress for the first `in_progress` looks, and then complete, where a test says nothing.
    pub(super) fn new(in_progress: u32) -> Self {
        Self { set: Mutex::default(), looks: Mutex::default(), in_progress }
    }

    pub(super) fn set(&self, account: &str, state: State) {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).insert(account.to_owned(), state);
    }

    pub(super) fn look(&self, image: &str, destination: &Destination) -> State {
        let set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = set.get(&destination.registry_id) {
            return state.clone();
        }
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() >= MAX_REMEMBERED {
            looks.clear();
        }
        let looks = looks.entry((image.to_owned(), destination.clone())).or_default();
        *looks = looks.saturating_add(1);
        if *looks > self.in_progress { State::Complete } else { State::InProgress }
    }
}

/// Whether a destination's registry policy lets another account do this to a repository of it. A statement with a condition, or with
/// another element that is not evaluated here, allows nothing and denies all that it may mean.
pub(super) fn allows(policy: &str, source: &str, action: &str, repository_arn: &str) -> Result<bool, Exception> {
    let policy: Value = serde_json::from_str(policy).map_err(|_| Exception::failure("ServerException"))?;
    let root = format!("arn:aws:iam::{source}:root");
    let is_source = |name: &str| name == "*" || name == source || name == root;
    let one = std::slice::from_ref(&policy["Statement"]);
    let mut allowed = false;
    for statement in policy["Statement"].as_array().map_or(one, Vec::as_slice) {
        let known = ["Sid", "Effect", "Principal", "Action", "Resource"];
        let partly = statement.as_object().is_none_or(|fields| fields.keys().any(|name| !known.contains(&&**name)));
        let principal = &statement["Principal"];
        let principals = if principal.is_object() { &principal["AWS"] } else { principal };
        let acts = |pattern: &str| matches_pattern(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase());
        let applies = any(principals, is_source)
            && any(&statement["Action"], acts)
            && any(&statement["Resource"], |pattern| matches_pattern(pattern, repository_arn));
        match statement["Effect"].as_str() {
            Some("Allow") => allowed |= applies && !partly,
            _ if applies || partly => return Ok(false),
            _ => {}
        }
    }
    Ok(allowed)
}

/// Whether a string, or one of a list of strings, is such a one.
fn any(value: &Value, is: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).any(is),
        value => value.as_str().is_some_and(is),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:ecr:us-east-1:444455556666:repository/cloister/density";

    fn statement(change: impl FnOnce(&mut Value)) -> Value {
        let mut statement = json!({
            "Sid": "Replication",
            "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::111122223333:root" },
            "Action": ["ecr:CreateRepository", "ecr:ReplicateImage"],
            "Resource": ["arn:aws:ecr:us-east-1:444455556666:repository/*"],
        });
        change(&mut statement);
        statement
    }

    fn allow(statements: &[Value]) -> bool {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
        allows(&policy, "111122223333", "ecr:ReplicateImage", ARN).is_ok_and(|allowed| allowed)
    }

    #[test]
    fn a_registry_policy_allows_what_it_says_and_no_more() {
        let as_it_is = statement(|_| {});
        assert!(allow(std::slice::from_ref(&as_it_is)));
        assert!(allow(&[statement(|it| it["Principal"]["AWS"] = json!(["999988887777", "111122223333"]))]));
        assert!(allow(&[statement(|it| it["Action"] = json!("ecr:*"))]));
        assert!(!allow(&[]));
        assert!(!allow(&[statement(|it| it["Principal"]["AWS"] = json!("arn:aws:iam::999988887777:root"))]));
        assert!(!allow(&[statement(|it| it["Action"] = json!("ecr:CreateRepository"))]));
        assert!(!allow(&[statement(
            |it| it["Resource"] = json!("arn:aws:ecr:us-east-1:444455556666:repository/other/*")
        )]));
        assert!(!allow(&[statement(|it| it["Condition"] = json!({ "Bool": { "aws:SecureTransport": "true" } }))]));
        assert!(!allow(&[as_it_is, statement(|it| it["Effect"] = json!("Deny"))]));
    }

    #[test]
    fn a_rule_covers_the_repositories_with_its_prefix() {
        let rule = json!({
            "destinations": [{ "region": "us-east-1", "registryId": "444455556666" }],
            "repositoryFilters": [{ "filter": "cloister/", "filterType": "PREFIX_MATCH" }],
        });
        let mut everything = rule.clone();
        everything["repositoryFilters"] = json!([]);
        let destinations = |rules: Value, repository| {
            Configuration::deserialize(json!({ "rules": rules }))
                .map_or(0, |rules| rules.destinations(repository).len())
        };
        assert_eq!(destinations(json!([rule]), "cloister/density"), 1);
        assert_eq!(destinations(json!([rule]), "other"), 0);
        assert_eq!(destinations(json!([rule, everything]), "cloister/density"), 1, "the same place twice is one");
        assert_eq!(destinations(json!([]), "cloister/density"), 0);
    }
}
