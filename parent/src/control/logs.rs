//! `POST /v1/logs`: the enclave's log records, where its measured configuration lets them leave. They come into this process's log under
//! the enclave's name, as one field of a line of ours, so that none can pass for another's.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use metrics::counter;
use serde::Deserialize;
use serde_json::Value;

use super::Shared;
use super::lines::{self, Line, printable};
use crate::problem::{Lines, Problem};
use crate::{limits, metrics as names};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One line of the body; what else it has are the record's own members.
#[derive(Deserialize)]
struct Record {
    time: String,
    level: Level,
    event: String,
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

/// Takes all of a body's records, or none.
pub(super) async fn take(State(shared): State<Shared>, body: Body) -> Result<StatusCode, Problem> {
    let records = lines::take::<Record>(Lines::Logs, body, &shared.records).await?;
    counter!(names::RECORDS).increment(records.len() as u64);
    for Entry { level, text } in records {
        let enclave = shared.enclave.name();
        match level {
            Level::Debug => tracing::debug!(enclave, record = text, "the enclave logs"),
            Level::Info => tracing::info!(enclave, record = text, "the enclave logs"),
            Level::Warn => tracing::warn!(enclave, record = text, "the enclave logs"),
            Level::Error => tracing::error!(enclave, record = text, "the enclave logs"),
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// A record as it is written.
#[derive(Debug)]
struct Entry {
    level: Level,
    text: String,
}

impl Line for Record {
    type Taken = Entry;
    const SHAPE: &str = "not {\"time\", \"level\", \"event\", …} with a level of the list";

    fn check(self) -> Result<Entry, &'static str> {
        let Self { time, level, event, members } = self;
        lines::time(&time)?;
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !word(&event) || members.len() > limits::MAX_RECORD_MEMBERS || !members.keys().all(|name| word(name)) {
            return Err("its event or its members are not few plain words");
        }
        let mut text = format!("{time} {event}");
        for (name, value) in members {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Bool(flag) => flag.to_string(),
                Value::String(words) => format!("{words:?}"),
                Value::Null | Value::Array(_) | Value::Object(_) => return Err("a member is not flat"),
            };
            text.push_str(&format!(" {name}={value}"));
        }
        Ok(Entry { level, text: printable(&text) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::problem::Fault;

    fn parse(body: &[u8]) -> Result<Vec<Entry>, Fault> {
        lines::parse::<Record>(Lines::Logs, body)
    }

    #[test]
    fn a_record_becomes_one_line_with_its_members() {
        let body =
            br#"{"attempt":2,"event":"block_missed","level":"warn","reason":"why","time":"1970-01-01T00:00:00Z"}"#;
        let [line] = &parse(body).unwrap()[..] else { panic!("one line") };
        assert_eq!(line.level, Level::Warn);
        assert_eq!(line.text, "1970-01-01T00:00:00Z block_missed attempt=2 reason=\"why\"");
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for body in [
            r#"{"event":"it","level":"warn"}"#,
            r#"{"event":"it","level":"loud","time":"2026-01-01T00:00:00Z"}"#,
            r#"{"event":"two words","level":"warn","time":"2026-01-01T00:00:00Z"}"#,
            r#"{"event":"","level":"warn","time":"2026-01-01T00:00:00Z"}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z","Member":1}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z","member":{"deep":1}}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z","member":[1]}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z","member":null}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z\n2026 ERROR"}"#,
            r#"{"event":"it","level":"warn","time":"now enclave=other"}"#,
            r#"{"event":"it","level":"warn","time":"2026-01-01T00:00:00Z","level":"info"}"#,
            "[]",
        ] {
            assert!(matches!(parse(body.as_bytes()), Err(Fault::Malformed { line: 1, .. })), "{body}");
        }
    }

    #[test]
    fn a_record_cannot_break_a_line_or_be_endless() {
        let body = format!(
            r#"{{"event":"it","level":"info","time":"2026-01-01T00:00:00Z","words":"a\r\nb\u001b[2J{}"}}"#,
            "x".repeat(5000)
        );
        let [line] = &parse(body.as_bytes()).unwrap()[..] else { panic!("one line") };
        assert!(!line.text.chars().any(char::is_control), "{}", line.text);
        assert!(line.text.len() <= limits::MAX_DETAIL_BYTES);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&body);
        }
    }
}
