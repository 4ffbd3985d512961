//! Bodies of lines from an enclave, which is trusted no more than anybody: bounded in size and time, each line an object, and every text
//! printable before it comes into the log.

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use metrics::counter;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use crate::pace::Pace;
use crate::problem::{Fault, Lines, Problem};
use crate::{limits, metrics as names};

/// What one line has to be.
pub(super) trait Line: DeserializeOwned {
    /// What it becomes.
    type Taken;
    /// Its shape, in words: the parser's own would quote what came.
    const SHAPE: &str;
    /// Holds it against what its shape does not say; the error names no part of it.
    fn check(self) -> Result<Self::Taken, &'static str>;
}

/// Takes all lines of a body, or none of them and counts it.
pub(super) async fn take<L: Line>(lines: Lines, body: Body, pace: &Pace) -> Result<Vec<L::Taken>, Problem> {
    let taken = match receive(lines, body).await {
        Ok(body) => parse::<L>(lines, &body),
        Err(fault) => Err(fault),
    };
    let taken = taken.and_then(|taken| if pace.admit(taken.len()) { Ok(taken) } else { Err(Fault::TooMany) });
    taken.map_err(|fault| {
        let dropped = match lines {
            Lines::Events => names::EVENTS_DROPPED,
            Lines::Logs => names::RECORDS_DROPPED,
        };
        let reason = match fault {
            Fault::TooLarge => "too_large",
            Fault::TooMany => "too_many",
            Fault::Stalled | Fault::Broken | Fault::Malformed { .. } => "malformed",
        };
        counter!(dropped, "reason" => reason).increment(1);
        Problem::Lines(lines, fault)
    })
}

async fn receive(lines: Lines, body: Body) -> Result<Bytes, Fault> {
    let (most, _) = lines.most();
    let body = timeout(limits::EVENTS_BODY_TIMEOUT, Limited::new(body, most).collect())
        .await
        .map_err(|_| Fault::Stalled)?
        .map_err(|error| if error.is::<LengthLimitError>() { Fault::TooLarge } else { Fault::Broken })?;
    Ok(body.to_bytes())
}

/// Reads each line that is not empty.
pub(super) fn parse<L: Line>(lines: Lines, body: &[u8]) -> Result<Vec<L::Taken>, Fault> {
    let (_, most) = lines.most();
    let mut taken = Vec::new();
    let numbered = body.split(|&byte| byte == b'\n').enumerate();
    for (index, line) in numbered.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        if taken.len() == most {
            return Err(Fault::TooLarge);
        }
        let checked = serde_json::from_slice(line).map_err(|_| L::SHAPE).and_then(L::check);
        taken.push(checked.map_err(|reason| Fault::Malformed { line: index + 1, reason })?);
    }
    if taken.is_empty() { Err(Fault::Broken) } else { Ok(taken) }
}

/// The time that a line gives.
pub(super) fn time(text: &str) -> Result<OffsetDateTime, &'static str> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "its time is not RFC 3339")
}

/// Text from outside as it may stand in a log: no control characters, nothing that breaks lines or turns the direction of
/// writing, and no longer than [`limits::MAX_DETAIL_BYTES`].
pub(super) fn printable(text: &str) -> String {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn characters_that_mislead_a_reader_of_logs_are_replaced() {
        assert_eq!(
            printable("a\r\nb\u{1b}[31mc\u{202e}d\u{2028}e é"),
            "a\u{fffd}\u{fffd}b\u{fffd}[31mc\u{fffd}d\u{fffd}e é"
        );
    }

    proptest! {
        #[test]
        fn a_detail_is_bounded_and_printable(text in "\\PC*|.{0,600}|(?s:.){0,2000}") {
            let clean = printable(&text);
            prop_assert!(clean.len() <= limits::MAX_DETAIL_BYTES);
            prop_assert!(!clean.chars().any(char::is_control));
        }
    }
}
