//! What is checked of an enclave, one by one, with what was expected and what was found.
//!
//! The verifier stops at the first check that fails. Which one that was tells which passed before it, because the order is the verifier's
//! (`cloister_attest::Policy::verify`); those after it were not reached. The list is shown in an order for people.

use std::time::SystemTime;

use aws_lc_rs::digest::{SHA384, digest};
use cloister_attest::{CONFIGURATION_PCR, Error as Refusal, MODEL_PCR, Policy, Stage};
use cloister_client::{Attested, Error};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::times::words;

/// A check, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckId {
    /// Something answers, and speaks TLS 1.3 with a key of its own.
    Connection,
    /// It gave an attestation document, in the one shape that there is.
    Shape,
    /// The certificates in the document lead to the pinned root.
    Certificates,
    /// The document's signature is that of the last certificate's key.
    Signature,
    /// The document was made just now.
    Time,
    /// The enclave's memory is closed to the machine around it.
    DebugMode,
    /// The document answers this request and no other.
    Nonce,
    /// The image is one that the policy accepts (PCR0 to 2, and others below 16 that it pins).
    Measurements,
    /// The configuration is the one that the policy pins (PCR17).
    Configuration,
    /// The model is the one that the policy pins (PCR16).
    Model,
    /// The connection ends in that very enclave.
    TlsKey,
}

impl CheckId {
    /// All, as they are shown.
    pub const ALL: [Self; 11] = [
        Self::Connection,
        Self::Shape,
        Self::Certificates,
        Self::Signature,
        Self::Time,
        Self::DebugMode,
        Self::Nonce,
        Self::Measurements,
        Self::Configuration,
        Self::Model,
        Self::TlsKey,
    ];

    /// When the verifier comes to it.
    fn turn(self) -> u8 {
        match self {
            Self::Connection => 0,
            Self::Shape => 1,
            Self::Certificates => 2,
            Self::Signature => 3,
            Self::DebugMode => 4,
            Self::Time => 5,
            Self::Nonce => 6,
            Self::TlsKey => 7,
            Self::Measurements => 8,
            Self::Model => 9,
            Self::Configuration => 10,
        }
    }
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// Another failed before it, or the policy does not ask for it.
    NotReached,
}

/// A check, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Which.
    pub id: CheckId,
    /// How it came out.
    pub outcome: Outcome,
    /// What was expected, where that can be said in a line.
    pub expected: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

/// The check that an error of the client's is about.
fn failed(error: &Error) -> CheckId {
    match error.unproven() {
        None => CheckId::Connection,
        Some(Stage::Shape) => CheckId::Shape,
        Some(Stage::Chain) => CheckId::Certificates,
        Some(Stage::Signature) => CheckId::Signature,
        Some(Stage::Time) => CheckId::Time,
        Some(Stage::DebugMode) => CheckId::DebugMode,
        Some(Stage::Nonce) => CheckId::Nonce,
        Some(Stage::Keys) => CheckId::TlsKey,
        Some(Stage::Register(index)) => register(index),
        Some(Stage::Until) => CheckId::Measurements,
    }
}

fn register(index: u16) -> CheckId {
    match index {
        MODEL_PCR => CheckId::Model,
        CONFIGURATION_PCR => CheckId::Configuration,
        _ => CheckId::Measurements,
    }
}

/// The list where verification failed.
pub(super) fn of_failure(error: &Error) -> Vec<Check> {
    let failed = failed(error);
    // A document from the future, or not of its certificates' time, is refused before debug mode is looked at.
    let early = matches!(
        error,
        Error::NotVerified(Refusal::FromTheFuture { .. } | Refusal::TimestampOutsideCertificate { .. })
    );
    let (expected, found) = values(error);
    let list = CheckId::ALL.into_iter().map(|id| {
        let before = id.turn() < failed.turn() && !(early && id == CheckId::DebugMode);
        let outcome = match id {
            id if id == failed => Outcome::Failed,
            _ if before => Outcome::Passed,
            _ => Outcome::NotReached,
        };
        let told = if id == failed { (expected.clone(), found.clone()) } else { (None, None) };
        Check { id, outcome, expected: told.0, found: told.1 }
    });
    list.collect()
}

/// What the failing check expected and found, where the error says it.
fn values(error: &Error) -> (Option<String>, Option<String>) {
    use Refusal as R;
    let Error::NotVerified(refusal) = error else { return (None, Some(error.to_string())) };
    let seconds = |time: &std::time::Duration| format!("{} s", time.as_secs());
    match refusal {
        R::UnpinnedRoot { found, pinned } => (Some(hex::encode(pinned)), Some(hex::encode(found))),
        R::FromTheFuture { ahead, limit } => {
            (Some(format!("at most {} ahead", seconds(limit))), Some(format!("{} ahead", seconds(ahead))))
        }
        R::StaleDocument { age, limit } => {
            (Some(format!("at most {} old", seconds(limit))), Some(format!("{} old", seconds(age))))
        }
        R::DebugMode { index } => (Some(format!("PCR{index} is not zero")), Some(format!("PCR{index} is zero"))),
        R::WrongPcr { index, expected, found, .. } => {
            (Some(format!("PCR{index} {}", hex::encode(expected))), Some(format!("PCR{index} {}", hex::encode(found))))
        }
        R::MissingPcr { index } => (Some(format!("PCR{index}")), None),
        R::NoLongerAccepted { until, .. } => (Some(format!("until {}", words(*until))), None),
        other => (None, Some(other.to_string())),
    }
}

/// The list where all was verified.
pub(super) fn of_success(policy: &Policy, attested: &Attested, at: SystemTime) -> Vec<Check> {
    CheckId::ALL.into_iter().map(|id| passed(id, policy, attested, at)).collect()
}

fn passed(id: CheckId, policy: &Policy, attested: &Attested, at: SystemTime) -> Check {
    let register = |index: u16| attested.pcrs.get(&index).map(hex::encode);
    let entry = policy.accept().iter().find(|entry| entry.label == attested.label);
    let pinned = |index: u16| entry.and_then(|entry| entry.pcrs.get(&index)).map(hex::encode);
    let (expected, found) = match id {
        CheckId::Connection => (Some("TLS 1.3".to_owned()), Some("TLS 1.3".to_owned())),
        CheckId::Shape => (None, Some(format!("{} bytes", attested.document.len()))),
        CheckId::Certificates => {
            let root = hex::encode(policy.root().fingerprint());
            (Some(root.clone()), Some(root))
        }
        CheckId::Signature => (Some("ES384".to_owned()), Some("ES384".to_owned())),
        CheckId::Time => {
            let age = at.duration_since(attested.timestamp).unwrap_or_default();
            (Some(format!("at most {} s old", policy.max_age().as_secs())), Some(format!("{} s old", age.as_secs())))
        }
        CheckId::DebugMode => (Some("off".to_owned()), Some("off".to_owned())),
        CheckId::Nonce => (None, None),
        CheckId::Measurements => {
            let below = |index: &u16| *index < MODEL_PCR;
            let words = |index: u16, value: Option<String>| value.map(|value| format!("PCR{index} {value}"));
            let indices: Vec<u16> =
                entry.map(|entry| entry.pcrs.keys().copied().filter(below).collect()).unwrap_or_default();
            let line = |of: &dyn Fn(u16) -> Option<String>| {
                indices.iter().filter_map(|index| words(*index, of(*index))).collect::<Vec<_>>().join(" ")
            };
            (Some(line(&pinned)), Some(line(&register)))
        }
        CheckId::Configuration => (pinned(CONFIGURATION_PCR), register(CONFIGURATION_PCR)),
        CheckId::Model => (pinned(MODEL_PCR), register(MODEL_PCR)),
        CheckId::TlsKey => {
            let key = hex::encode(digest(&SHA384, &attested.tls_public_key));
            (Some(key.clone()), Some(key))
        }
    };
    // What the policy does not pin was not checked.
    let unasked = matches!(id, CheckId::Configuration | CheckId::Model) && expected.is_none();
    Check { id, outcome: if unasked { Outcome::NotReached } else { Outcome::Passed }, expected, found }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn outcomes(refusal: Refusal) -> String {
        let checks = of_failure(&Error::NotVerified(refusal));
        let letter = |check: &Check| match check.outcome {
            Outcome::Passed => 'p',
            Outcome::Failed => 'F',
            Outcome::NotReached => '-',
        };
        checks.iter().map(letter).collect()
    }

    fn wrong(index: u16) -> Refusal {
        Refusal::WrongPcr { index, expected: vec![1; 48], found: vec![2; 48], label: "release".to_owned() }
    }

    /// In the order of `CheckId::ALL`, by reading `cloister_attest::Policy::verify` from top to bottom.
    #[test]
    fn one_check_fails_and_those_that_the_verifier_came_to_before_it_passed() {
        let seconds = Duration::from_secs(9);
        for (refusal, expected) in [
            (Refusal::NotSign1, "pF---------"),
            (Refusal::UnpinnedRoot { found: [1; 32], pinned: [2; 32] }, "ppF--------"),
            (Refusal::Path("no path".to_owned()), "ppF--------"),
            (Refusal::BadSignature, "pppF-------"),
            (Refusal::FromTheFuture { ahead: seconds, limit: seconds }, "ppppF------"),
            (Refusal::DebugMode { index: 0 }, "pppp-F-----"),
            (Refusal::StaleDocument { age: seconds, limit: seconds }, "ppppFp-----"),
            (Refusal::NonceMismatch, "ppppppF----"),
            (Refusal::BindingMismatch, "ppppppp---F"),
            (wrong(0), "pppppppF--p"),
            (wrong(8), "pppppppF--p"),
            (wrong(16), "pppppppp-Fp"),
            (wrong(17), "ppppppppFpp"),
        ] {
            assert_eq!(outcomes(refusal.clone()), expected, "{refusal}");
        }
    }

    #[test]
    fn nothing_is_proved_by_what_gives_no_document() {
        let unready = Error::Refused {
            status: 503,
            kind: "k".to_owned(),
            title: "t".to_owned(),
            detail: None,
            retry_after: None,
        };
        assert_eq!(failed(&unready), CheckId::Connection);
        assert_eq!(failed(&Error::Malformed { what: "w", reason: "r".to_owned() }), CheckId::Shape);
        let checks = of_failure(&unready);
        assert!(checks.iter().skip(1).all(|check| check.outcome == Outcome::NotReached));
    }

    #[test]
    fn the_failing_check_says_what_was_expected_and_what_was_found() {
        let checks = of_failure(&Error::NotVerified(wrong(16)));
        let model = checks.iter().find(|check| check.id == CheckId::Model).unwrap();
        assert_eq!(model.expected.as_deref(), Some(format!("PCR16 {}", "01".repeat(48)).as_str()));
        assert_eq!(model.found.as_deref(), Some(format!("PCR16 {}", "02".repeat(48)).as_str()));
    }
}
