//! `POST /v1/events`: what the enclave tells. It is trusted no more than anybody: bounded, from a closed list, and printable.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use metrics::counter;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::Shared;
use crate::enclave::{Phase, Said};
use crate::problem::Problem;
use crate::{limits, metrics as names};

/// One line of the body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    time: String,
    event: Phase,
    #[serde(default)]
    detail: Option<String>,
}

struct Event {
    time: OffsetDateTime,
    said: Said,
}

/// Takes all of a body's events, or none.
pub(super) async fn take(State(shared): State<Shared>, body: Body) -> Result<StatusCode, Problem> {
    let events = read(&shared, body).await.inspect_err(|problem| {
        let reason = match problem {
            Problem::EventsTooLarge => "too_large",
            Problem::EventsTooMany => "too_many",
            _ => "malformed",
        };
        counter!(names::EVENTS_DROPPED, "reason" => reason).increment(1);
    })?;
    for Event { time, said } in events {
        let event = said.phase.name();
        counter!(names::EVENTS, "event" => event).increment(1);
        tracing::info!(%time, event, detail = said.detail, "the enclave says");
        shared.enclave.says(said);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn read(shared: &Shared, body: Body) -> Result<Vec<Event>, Problem> {
    let body = timeout(limits::EVENTS_BODY_TIMEOUT, Limited::new(body, limits::MAX_EVENTS_BYTES).collect())
        .await
        .map_err(|_| Problem::EventsStalled)?
        .map_err(
            |error| if error.is::<LengthLimitError>() { Problem::EventsTooLarge } else { Problem::EventsBroken },
        )?;
    let events = parse(&body.to_bytes())?;
    if !shared.pace.admit(u32::try_from(events.len()).unwrap_or(u32::MAX)) {
        return Err(Problem::EventsTooMany);
    }
    Ok(events)
}

fn parse(body: &Bytes) -> Result<Vec<Event>, Problem> {
    let mut events = Vec::new();
    let lines = body.split(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let malformed = |reason| Problem::EventMalformed { line: index + 1, reason };
        if events.len() == limits::MAX_EVENTS_AT_ONCE {
            return Err(Problem::EventsTooLarge);
        }
        // The parser's own message would quote the line.
        let line: Line = serde_json::from_slice(line)
            .map_err(|_| malformed("not {\"time\", \"event\", \"detail\"?} with an event of the list"))?;
        let time = OffsetDateTime::parse(&line.time, &Rfc3339).map_err(|_| malformed("its time is not RFC 3339"))?;
        events.push(Event { time, said: Said { phase: line.event, detail: line.detail.as_deref().map(printable) } });
    }
    if events.is_empty() { Err(Problem::EventsBroken) } else { Ok(events) }
}

/// Text from outside as it may stand in a log: no control characters, nothing that breaks lines or turns the direction of
/// writing, and no longer than [`limits::MAX_DETAIL_BYTES`].
fn printable(text: &str) -> String {
    const CUT: char = '…';
    let misleads = |c: char| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut clean = String::new();
    for c in text.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c }) {
        if clean.len() + c.len_utf8() + CUT.len_utf8() > limits::MAX_DETAIL_BYTES {
            clean.push(CUT);
            break;
        }
        clean.push(c);
    }
    clean
}

/// How fast events may come: a bucket that holds a burst and fills steadily.
pub(super) struct Pace(Mutex<Bucket>);

struct Bucket {
    tokens: u32,
    filled: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new(Bucket { tokens: limits::EVENT_BURST, filled: Instant::now() }))
    }
}

impl Pace {
    fn admit(&self, events: u32) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = bucket.filled.elapsed().as_nanos() / limits::EVENT_INTERVAL.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        bucket.tokens = bucket.tokens.saturating_add(due).min(limits::EVENT_BURST);
        bucket.filled += limits::EVENT_INTERVAL.saturating_mul(due);
        let left = bucket.tokens.checked_sub(events);
        bucket.tokens = left.unwrap_or(bucket.tokens);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(text: &str) -> Result<Vec<Event>, Problem> {
        parse(&Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn lines_become_events_in_order() {
        let text = "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"starting\"}\n\n\
                    {\"time\":\"2026-01-01T00:00:01.5Z\",\"event\":\"waiting\",\"detail\":\"no key\"}\n";
        let events = events(text).unwrap();
        assert_eq!(events.iter().map(|event| event.said.phase).collect::<Vec<_>>(), [Phase::Starting, Phase::Waiting]);
        assert_eq!(events[0].said.detail, None);
        assert_eq!(events[1].said.detail.as_deref(), Some("no key"));
        assert_eq!(events[1].time.millisecond(), 500);
    }

    #[test]
    fn what_is_not_an_event_is_refused_with_its_line() {
        for line in [
            "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"patient\"}",
            "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"ready\",\"score\":1}",
            "{\"time\":\"yesterday\",\"event\":\"ready\"}",
            "{\"event\":\"ready\"}",
            "[]",
            "\u{7f}",
        ] {
            let text = format!("{{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"starting\"}}\n{line}");
            assert!(matches!(events(&text), Err(Problem::EventMalformed { line: 2, .. })), "{line}");
        }
        assert!(matches!(events(" \n"), Err(Problem::EventsBroken)));
    }

    #[test]
    fn more_events_than_fit_are_refused() {
        let text =
            "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"starting\"}\n".repeat(limits::MAX_EVENTS_AT_ONCE + 1);
        assert!(matches!(events(&text), Err(Problem::EventsTooLarge)));
    }

    #[test]
    fn characters_that_mislead_a_reader_of_logs_are_replaced() {
        assert_eq!(
            printable("a\r\nb\u{1b}[31mc\u{202e}d\u{2028}e é"),
            "a\u{fffd}\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}e é"
        );
    }

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let pace = Pace::default();
        assert!(pace.admit(limits::EVENT_BURST));
        assert!(!pace.admit(1));
        std::thread::sleep(limits::EVENT_INTERVAL);
        assert!(pace.admit(1));
        assert!(!pace.admit(1));
    }

    proptest! {
        #[test]
        fn a_detail_is_bounded_and_printable(text in "\\PC*|.{0,600}|(?s:.){0,2000}") {
            let clean = printable(&text);
            prop_assert!(clean.len() <= limits::MAX_DETAIL_BYTES);
            prop_assert!(!clean.chars().any(char::is_control));
        }

        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&Bytes::from(body));
        }
    }
}
