//! Bodies of lines from an enclave, which is trusted no more than anybody: bounded in size and time, each line an object, and every text
//! printable before it comes into the log.

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::limits;
use crate::problem::Problem;

/// What one body may hold.
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) lines: usize,
}

/// Reads a body whole.
pub(super) async fn receive(body: Body, bounds: &Bounds) -> Result<Bytes, Problem> {
    let body = timeout(limits::EVENTS_BODY_TIMEOUT, Limited::new(body, bounds.bytes).collect())
        .await
        .map_err(|_| Problem::EventsStalled)?
        .map_err(
            |error| if error.is::<LengthLimitError>() { Problem::EventsTooLarge } else { Problem::EventsBroken },
        )?;
    Ok(body.to_bytes())
}

/// Reads each line that is not empty, by its number. `shape` says what a line has to be: the parser's own message would quote it.
pub(super) fn parse<L: DeserializeOwned>(
    body: &[u8],
    bounds: &Bounds,
    shape: &'static str,
) -> Result<Vec<(usize, L)>, Problem> {
    let mut parsed = Vec::new();
    let lines = body.split(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        if parsed.len() == bounds.lines {
            return Err(Problem::EventsTooLarge);
        }
        let line =
            serde_json::from_slice(line).map_err(|_| Problem::EventMalformed { line: index + 1, reason: shape })?;
        parsed.push((index + 1, line));
    }
    if parsed.is_empty() { Err(Problem::EventsBroken) } else { Ok(parsed) }
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
