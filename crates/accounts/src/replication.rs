//! The rules by which a registry replicates. AWS takes them as one document, so that adding a rule is writing all of them anew: what is there is kept.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::limits::{REPLICATION_DESTINATIONS, REPLICATION_RULES};
use crate::names::RepositoryName;

/// A registry that images are copied to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Destination {
    /// Its region.
    pub region: String,
    /// Its account.
    pub account: String,
}

/// One rule: repositories whose names begin with one of the prefixes, or all where there is none, to all of these destinations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Rule {
    pub(crate) destinations: Vec<Destination>,
    pub(crate) prefixes: Vec<String>,
}

impl Rule {
    fn takes(&self, repository: &str) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| repository.starts_with(prefix))
    }

    fn is_for(&self, repository: &RepositoryName) -> bool {
        self.prefixes == [repository.as_str()]
    }
}

/// Whether a rule copies that repository to there.
pub(crate) fn covered(rules: &[Rule], repository: &RepositoryName, to: &Destination) -> bool {
    rules.iter().any(|rule| rule.takes(repository.as_str()) && rule.destinations.contains(to))
}

/// Of these repositories, those that a filter for `repository` replicates besides it: filters are prefixes.
pub fn replicates<'a>(repository: &RepositoryName, others: &'a [String]) -> Vec<&'a str> {
    let besides = |name: &&String| name.starts_with(repository.as_str()) && *name != repository.as_str();
    others.iter().filter(besides).map(String::as_str).collect()
}

/// The rules with one for that repository and destination.
///
/// # Errors
/// [`Error::TooMany`] past AWS's bounds.
pub(crate) fn with(rules: &[Rule], repository: &RepositoryName, to: &Destination) -> Result<Vec<Rule>> {
    let mut rules = rules.to_vec();
    if covered(&rules, repository, to) {
        return Ok(rules);
    }
    match rules.iter_mut().find(|rule| rule.is_for(repository)) {
        Some(rule) => rule.destinations.push(to.clone()),
        None => {
            let prefixes = vec![repository.as_str().to_owned()];
            rules.push(Rule { destinations: vec![to.clone()], prefixes });
        }
    }
    let too_many =
        |count, limit, unit| Error::TooMany { what: "the registry's replication".to_owned(), count, limit, unit };
    if rules.len() > REPLICATION_RULES {
        return Err(too_many(rules.len(), REPLICATION_RULES, "rules"));
    }
    let destinations: BTreeSet<_> = rules.iter().flat_map(|rule| &rule.destinations).collect();
    if destinations.len() > REPLICATION_DESTINATIONS {
        return Err(too_many(destinations.len(), REPLICATION_DESTINATIONS, "destinations"));
    }
    Ok(rules)
}

/// The rules without the destination in those that are for this repository alone.
pub(crate) fn without(rules: &[Rule], repository: &RepositoryName, to: &Destination) -> Vec<Rule> {
    let mut rules = rules.to_vec();
    for rule in rules.iter_mut().filter(|rule| rule.is_for(repository)) {
        rule.destinations.retain(|destination| destination != to);
    }
    rules.retain(|rule| !rule.destinations.is_empty());
    rules
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn to(account: &str) -> Destination {
        Destination { region: "eu-central-1".to_owned(), account: account.to_owned() }
    }

    fn rule(prefixes: &[&str], accounts: &[&str]) -> Rule {
        Rule {
            destinations: accounts.iter().map(|account| to(account)).collect(),
            prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        }
    }

    #[test]
    fn a_rule_is_added_once_and_the_others_stay() {
        let cloister: RepositoryName = "cloister".parse().unwrap();
        let theirs = rule(&["web"], &["1"]);
        let one = with(std::slice::from_ref(&theirs), &cloister, &to("2")).unwrap();
        assert_eq!(one, [theirs.clone(), rule(&["cloister"], &["2"])]);
        assert_eq!(with(&one, &cloister, &to("2")).unwrap(), one);
        let two = with(&one, &cloister, &to("3")).unwrap();
        assert_eq!(two, [theirs.clone(), rule(&["cloister"], &["2", "3"])]);
        assert_eq!(without(&two, &cloister, &to("3")), one);
        assert_eq!(without(&one, &cloister, &to("2")), [theirs]);
    }

    #[test]
    fn what_a_wider_rule_copies_already_needs_no_rule() {
        let cloister: RepositoryName = "screening/cloister".parse().unwrap();
        for wide in [[rule(&[], &["2"])], [rule(&["web", "screening/"], &["2"])]] {
            assert_eq!(with(&wide, &cloister, &to("2")).unwrap(), wide);
            assert_eq!(without(&wide, &cloister, &to("2")), wide);
        }
    }

    #[test]
    fn a_filter_is_a_prefix_and_what_else_it_takes_is_named() {
        let names = ["cloister", "cloister-private", "web"].map(str::to_owned);
        assert_eq!(replicates(&"cloister".parse().unwrap(), &names), ["cloister-private"]);
    }

    #[test]
    fn past_awss_bounds_is_refused() {
        let cloister: RepositoryName = "cloister".parse().unwrap();
        let full: Vec<_> = (0..10).map(|n| rule(&[&format!("r{n}")], &["2"])).collect();
        assert!(matches!(with(&full, &cloister, &to("2")), Err(Error::TooMany { unit: "rules", .. })));
        let accounts: Vec<_> = (0..25).map(|n| n.to_string()).collect();
        let wide = rule(&["web"], &accounts.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(matches!(with(&[wide], &cloister, &to("99")), Err(Error::TooMany { unit: "destinations", .. })));
    }
}
