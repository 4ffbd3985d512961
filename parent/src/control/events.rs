//! `POST /v1/events`: what the enclave tells of its own life, from a closed list.

use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use metrics::counter;
use serde::Deserialize;
use time::OffsetDateTime;

use super::Shared;
use super::lines::{self, Line, printable};
use crate::enclave::{Phase, Said};
use crate::metrics as names;
use crate::problem::{Lines, Problem};

/// One line of the body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    time: String,
    event: Told,
    #[serde(default)]
    detail: Option<String>,
}

/// A phase, or a fact that changes none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Told {
    Phase(Phase),
    Notice(Notice),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Notice {
    Notice,
}

impl Told {
    fn name(self) -> &'static str {
        match self {
            Self::Phase(phase) => phase.name(),
            Self::Notice(Notice::Notice) => "notice",
        }
    }
}

struct Event {
    time: OffsetDateTime,
    told: Told,
    detail: Option<String>,
}

/// Takes all of a body's events, or none. An enclave that drains is asked to end by 205 in place of 204.
pub(super) async fn take(State(shared): State<Shared>, body: Body) -> Result<StatusCode, Problem> {
    let events = lines::take::<Written>(Lines::Events, body, &shared.events).await?;
    let enclave = &shared.enclave;
    for Event { time, told, detail } in events {
        let event = told.name();
        counter!(names::EVENTS, "event" => event).increment(1);
        tracing::info!(enclave = enclave.name(), %time, event, detail, "the enclave says");
        if let Told::Phase(phase) = told {
            enclave.says(Said { phase, detail, at: Instant::now() });
        }
    }
    Ok(if enclave.drains() { StatusCode::RESET_CONTENT } else { StatusCode::NO_CONTENT })
}

impl Line for Written {
    type Taken = Event;
    const SHAPE: &str = "not {\"time\", \"event\", \"detail\"?} with an event of the list";

    fn check(self) -> Result<Event, &'static str> {
        let Self { time, event, detail } = self;
        Ok(Event { time: lines::time(&time)?, told: event, detail: detail.as_deref().map(printable) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits;
    use crate::problem::Fault;

    fn events(text: &str) -> Result<Vec<Event>, Fault> {
        lines::parse::<Written>(Lines::Events, text.as_bytes())
    }

    #[test]
    fn lines_become_events_in_order() {
        let text = "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"notice\",\"detail\":\"open\"}\n\n\
                    {\"time\":\"2026-01-01T00:00:01.5Z\",\"event\":\"waiting\",\"detail\":\"no key\"}\n";
        let events = events(text).unwrap();
        let told: Vec<_> = events.iter().map(|event| event.told).collect();
        assert_eq!(told, [Told::Notice(Notice::Notice), Told::Phase(Phase::Waiting)]);
        assert_eq!(events[0].detail.as_deref(), Some("open"));
        assert_eq!(events[1].detail.as_deref(), Some("no key"));
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
            assert!(matches!(events(&text), Err(Fault::Malformed { line: 2, .. })), "{line}");
        }
        assert!(matches!(events(" \n"), Err(Fault::Broken)));
    }

    #[test]
    fn more_events_than_fit_are_refused() {
        let text =
            "{\"time\":\"2026-01-01T00:00:00Z\",\"event\":\"starting\"}\n".repeat(limits::MAX_EVENTS_AT_ONCE + 1);
        assert!(matches!(events(&text), Err(Fault::TooLarge)));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = lines::parse::<Written>(Lines::Events, &body);
        }
    }
}
