//! Who may call: access keys and the identities behind them.

use std::collections::BTreeMap;

use serde::Deserialize;
use time::OffsetDateTime;

use super::policy::matches_pattern;

/// One identity with its access key.
///
/// It has no `Debug`: it holds secrets, even if only a simulator's.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Principal {
    /// The access key's public half.
    pub access_key_id: String,
    /// The access key's secret half.
    pub secret_access_key: String,
    /// The session token that must come with it, for temporary credentials.
    #[serde(default)]
    pub session_token: Option<String>,
    /// When temporary credentials end (RFC 3339); later calls get ExpiredTokenException.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub expiration: Option<OffsetDateTime>,
    /// The identity: `arn:aws:iam::ACCOUNT:role/NAME`, `…:user/NAME`, `…:root`, or `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
    pub arn: String,
    /// The actions that the identity's own IAM policies allow, wildcards included. KMS asks them too when a key policy allows an
    /// account rather than the identity itself, and always when the key is of another account. All of KMS when left out.
    #[serde(default = "all_of_kms")]
    pub iam_allows: Vec<String>,
}

fn all_of_kms() -> Vec<String> {
    vec!["kms:*".to_owned()]
}

impl Principal {
    /// The account's twelve digits; empty when the ARN has none.
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }

    pub(crate) fn iam_allows(&self, action: &str) -> bool {
        self.iam_allows
            .iter()
            .any(|pattern| matches_pattern(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase()))
    }

    /// The ARNs by which a policy may name this identity: its own, and for a session the role's.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = vec![self.arn.clone()];
        let mut parts = self.arn.splitn(6, ':');
        if let (Some("sts"), Some(resource)) = (parts.nth(2), parts.nth(2))
            && let Some(role) = resource.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next())
        {
            names.push(format!("arn:aws:iam::{}:role/{role}", self.account()));
        }
        names
    }
}

/// Every identity that the simulator knows, by access key id.
#[derive(Clone)]
pub struct Principals(BTreeMap<String, Principal>);

/// Why a credentials file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PrincipalsError {
    /// Neither TOML nor JSON of the documented form.
    #[error("the credentials file does not parse: {0}")]
    Syntax(String),
    /// An ARN that is not an IAM or STS identity.
    #[error("{0:?} is not the ARN of an IAM or STS identity with a twelve-digit account")]
    Arn(String),
    /// One access key id twice.
    #[error("the access key id {0:?} is given twice")]
    Twice(String),
    /// No identity at all.
    #[error("the credentials file names no principal")]
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    principal: Vec<Principal>,
}

impl Principals {
    /// Two accounts as in the demo: the model owner's role in 111122223333; in 444455556666 the data owner's role, and the role of its parent
    /// instance, whose credentials are temporary. These are the account numbers of AWS's own documentation; the keys open nothing real.
    pub fn demo() -> Self {
        let owner = Principal {
            access_key_id: "CLOISTERSIMMODELOWNER".into(),
            secret_access_key: "simulated-secret-of-the-model-owner".into(),
            session_token: None,
            expiration: None,
            arn: "arn:aws:iam::111122223333:role/model-owner".into(),
            iam_allows: all_of_kms(),
        };
        let parent = Principal {
            access_key_id: "CLOISTERSIMPARENT".into(),
            secret_access_key: "simulated-secret-of-the-parent".into(),
            session_token: Some("simulated-session-token-of-the-parent".into()),
            expiration: None,
            arn: "arn:aws:sts::444455556666:assumed-role/cloister-parent/pod".into(),
            iam_allows: vec!["kms:Decrypt".into()],
        };
        let data_owner = Principal {
            access_key_id: "CLOISTERSIMDATAOWNER".into(),
            secret_access_key: "simulated-secret-of-the-data-owner".into(),
            session_token: None,
            expiration: None,
            arn: "arn:aws:iam::444455556666:role/data-owner".into(),
            iam_allows: all_of_kms(),
        };
        Self(
            [owner, parent, data_owner]
                .into_iter()
                .map(|principal| (principal.access_key_id.clone(), principal))
                .collect(),
        )
    }

    /// Reads a list of `[[principal]]` tables (TOML), or `{"principal": [...]}` (JSON, when the text starts with a brace).
    ///
    /// # Errors
    /// A [`PrincipalsError`] for another form, a bad ARN, a repeated key or an empty list.
    pub fn parse(text: &str) -> Result<Self, PrincipalsError> {
        let file: File = if text.trim_start().starts_with('{') {
            serde_json::from_str(text).map_err(|error| PrincipalsError::Syntax(error.to_string()))?
        } else {
            toml::from_str(text).map_err(|error| PrincipalsError::Syntax(error.to_string()))?
        };
        Self::new(file.principal)
    }

    /// Takes a list of identities.
    ///
    /// # Errors
    /// A [`PrincipalsError`] for a bad ARN, a repeated key or an empty list.
    pub fn new(principals: Vec<Principal>) -> Result<Self, PrincipalsError> {
        let mut known = Self(BTreeMap::new());
        for principal in principals {
            known.add(principal)?;
        }
        if known.0.is_empty() { Err(PrincipalsError::None) } else { Ok(known) }
    }

    pub(crate) fn add(&mut self, principal: Principal) -> Result<(), PrincipalsError> {
        let account = principal.account();
        let digits = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let identity = ["arn:aws:iam::", "arn:aws:sts::"].iter().any(|prefix| principal.arn.starts_with(prefix));
        if !digits || !identity {
            return Err(PrincipalsError::Arn(principal.arn));
        }
        match self.0.insert(principal.access_key_id.clone(), principal) {
            Some(twice) => Err(PrincipalsError::Twice(twice.access_key_id)),
            None => Ok(()),
        }
    }

    /// The identity behind an access key id.
    pub fn get(&self, access_key_id: &str) -> Option<&Principal> {
        self.0.get(access_key_id)
    }
}
