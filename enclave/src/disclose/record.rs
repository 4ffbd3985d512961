//! The log's records: a closed list, each of typed members.

use std::panic::Location;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::words::Words;

/// How grave a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Something did not work, and is tried again or made up for.
    Warn,
    /// Something did not work.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Where in the program a panic began. Its message is not kept: it can quote whatever the program held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) file: String,
    pub(super) line: u32,
}

impl Place {
    pub(super) fn of(location: &Location<'_>) -> Self {
        Self { file: location.file().to_owned(), line: location.line() }
    }
}

/// One line of the log. There is none for a request: what happens to one is its sender's alone.
#[derive(Clone, Debug)]
pub enum Record {
    /// The enclave listens.
    Listening {
        /// Where.
        address: Words,
    },
    /// The security module is simulated.
    #[cfg(feature = "simulation")]
    Simulated,
    /// This program takes an emulator's unsigned documents.
    #[cfg(feature = "emulator")]
    Emulated,
    /// An event was told to the parent.
    Event {
        /// Its name.
        name: &'static str,
        /// What it says.
        detail: Option<Words>,
    },
    /// A block of the sealed model did not arrive, and is asked for again.
    BlockMissed {
        /// How often it was asked for before.
        attempt: u32,
        /// Why.
        reason: Words,
    },
    /// The security module gave no attestation document.
    NoDocument {
        /// Why.
        reason: Words,
    },
    /// No receipt could be signed.
    NoReceipt {
        /// Why.
        reason: Words,
    },
    /// No new keys could be made; the old ones serve on.
    KeysNotReplaced,
    /// A network gave no scores.
    NoScores {
        /// Why.
        reason: Words,
    },
    /// Nothing has reached the parent for its limit, and the enclave ends.
    ParentGone {
        /// The limit.
        limit: Duration,
    },
    /// A part of the program panicked, and the enclave ends.
    Panicked(Option<Place>),
}

impl Record {
    /// How grave it is.
    pub fn level(&self) -> Level {
        match self {
            Self::Listening { .. } | Self::Event { .. } => Level::Info,
            Self::BlockMissed { .. } => Level::Warn,
            #[cfg(feature = "simulation")]
            Self::Simulated => Level::Warn,
            #[cfg(feature = "emulator")]
            Self::Emulated => Level::Warn,
            Self::NoDocument { .. }
            | Self::NoReceipt { .. }
            | Self::KeysNotReplaced
            | Self::NoScores { .. }
            | Self::ParentGone { .. }
            | Self::Panicked(_) => Level::Error,
        }
    }

    /// Whether the parent is told of it in another way already.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Self::Event { .. })
    }

    /// Its name, and its members.
    fn parts(&self) -> (&'static str, Value) {
        match self {
            Self::Listening { address } => ("listening", json!({"address": address})),
            #[cfg(feature = "simulation")]
            Self::Simulated => {
                const WARNING: &str = "SIMULATED security module: this run proves the protocol and protects nothing";
                ("simulated", json!({"warning": WARNING}))
            }
            #[cfg(feature = "emulator")]
            Self::Emulated => {
                const WARNING: &str = "built for an EMULATOR, whose unsigned documents it takes: it protects nothing";
                ("emulated", json!({"warning": WARNING}))
            }
            Self::Event { name, detail: Some(detail) } => (name, json!({"detail": detail})),
            Self::Event { name, detail: None } => (name, json!({})),
            Self::BlockMissed { attempt, reason } => ("block_missed", json!({"attempt": attempt, "reason": reason})),
            Self::NoDocument { reason } => ("no_document", json!({"reason": reason})),
            Self::NoReceipt { reason } => ("no_receipt", json!({"reason": reason})),
            Self::KeysNotReplaced => ("keys_not_replaced", json!({})),
            Self::NoScores { reason } => ("no_scores", json!({"reason": reason})),
            Self::ParentGone { limit } => ("parent_gone", json!({"limit_seconds": limit.as_secs()})),
            Self::Panicked(Some(Place { file, line })) => ("panicked", json!({"file": file, "line": line})),
            Self::Panicked(None) => ("panicked", json!({})),
        }
    }

    /// One JSON object: `time`, `level`, `event`, and the record's own members.
    pub(super) fn to_json(&self, at: SystemTime) -> Value {
        let (event, mut line) = self.parts();
        line["time"] = timestamp(at).into();
        line["level"] = self.level().name().into();
        line["event"] = event.into();
        line
    }
}

/// RFC 3339, in UTC.
pub(crate) fn timestamp(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_flat_object() {
        let record = Record::BlockMissed { attempt: 2, reason: Words::of("why") };
        let line = record.to_json(SystemTime::UNIX_EPOCH).to_string();
        let expected =
            r#"{"attempt":2,"event":"block_missed","level":"warn","reason":"why","time":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(line, expected);
    }
}
