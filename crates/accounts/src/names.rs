//! Names of AWS that come from a person: checked before anything is asked or made with them.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// Letters of a repository's name (ECR, `CreateRepository`).
const REPOSITORY_CHARS: std::ops::RangeInclusive<usize> = 2..=256;
/// Letters of a role's name without its path (IAM, `CreateRole`).
const ROLE_CHARS: usize = 64;

/// An account's twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(String);

impl FromStr for AccountId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Name { what: "an account", given: text.to_owned(), rule: "twelve digits" })
        }
    }
}

impl AccountId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whose enclaves: `ACCOUNT` for whatever that account's own policies allow, `ACCOUNT:ROLE` for one role of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The account.
    pub account: AccountId,
    /// The role's name, with its path where it has one.
    pub role: Option<String>,
}

impl Consumer {
    /// How a policy names it.
    pub fn principal(&self) -> String {
        match &self.role {
            Some(role) => format!("arn:aws:iam::{}:role/{role}", self.account),
            None => format!("arn:aws:iam::{}:root", self.account),
        }
    }
}

impl FromStr for Consumer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let Some((account, role)) = text.split_once(':') else {
            return Ok(Self { account: text.parse()?, role: None });
        };
        Ok(Self { account: account.parse()?, role: Some(role_name(role)?) })
    }
}

impl fmt::Display for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.role {
            Some(role) => write!(f, "{}:{role}", self.account),
            None => self.account.fmt(f),
        }
    }
}

/// The ARN of a role, such as that of people or systems that use a key.
///
/// # Errors
/// [`Error::Name`].
pub fn role_arn(text: &str) -> Result<String, Error> {
    let rest = text.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    if rest.is_some_and(|(account, role)| account.parse::<AccountId>().is_ok() && role_name(role).is_ok()) {
        Ok(text.to_owned())
    } else {
        Err(Error::Name { what: "a role's ARN", given: text.to_owned(), rule: "arn:aws:iam::ACCOUNT:role/NAME" })
    }
}

/// A role's name as IAM takes it.
pub(crate) fn role_name(text: &str) -> Result<String, Error> {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&byte);
    let name = text.rsplit('/').next().unwrap_or_default();
    if !name.is_empty() && name.len() <= ROLE_CHARS && !text.starts_with('/') && text.bytes().all(letters) {
        Ok(text.to_owned())
    } else {
        Err(Error::Name {
            what: "a role",
            given: text.to_owned(),
            rule: "1 to 64 of A-Z, a-z, 0-9 and +=,.@_- after a path, if any; no wildcards, and no ARN",
        })
    }
}

/// A repository of ECR's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let part = |part: &str| {
            let ends = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            let bytes = part.as_bytes();
            let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b);
            ends(bytes.first()) && ends(bytes.last()) && bytes.iter().all(inside)
        };
        if REPOSITORY_CHARS.contains(&text.len()) && text.split('/').all(part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Name {
                what: "a repository",
                given: text.to_owned(),
                rule: "2 to 256 of a-z, 0-9 and . _ - / inside",
            })
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn consumers_are_accounts_or_roles() {
        let account: Consumer = "444455556666".parse().unwrap();
        assert_eq!(account.principal(), "arn:aws:iam::444455556666:root");
        let role: Consumer = "444455556666:service/cloister-parent".parse().unwrap();
        assert_eq!(role.principal(), "arn:aws:iam::444455556666:role/service/cloister-parent");
        for wrong in
            ["", "44445555666", "444455556666:", "444455556666:*", "444455556666:a b", "arn:aws:iam::444455556666:root"]
        {
            assert!(wrong.parse::<Consumer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn owners_are_roles() {
        role_arn("arn:aws:iam::444455556666:role/service/radiology").unwrap();
        for wrong in
            ["*", "arn:aws:iam::444455556666:root", "arn:aws:iam::444455556666:role/*", "arn:aws:iam::1:role/a"]
        {
            assert!(role_arn(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn repositories_are_named_as_ecr_names_them() {
        for right in ["cloister", "screening/cloister-1.0", "a1"] {
            right.parse::<RepositoryName>().unwrap();
        }
        for wrong in ["", "a", "Cloister", "a//b", "/a", "a/", "-a", "a b", "a*", &"a".repeat(257)] {
            assert!(wrong.parse::<RepositoryName>().is_err(), "{wrong}");
        }
    }
}
