//! Lines that each carry the hash of the one before.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use crate::{Error, limits};

/// What stands before the first line.
const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Between a line's content and its hash.
const SEAM: &str = ",\"hash\":\"";

/// The last event of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; events are counted from 1.
    pub number: u64,
    /// Its hash, SHA-256 in hexadecimal.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, hash: BEGINNING.to_owned() }
    }
}

/// How a log is not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// A line that this program did not write.
    #[error("line {line} is no event of an audit log")]
    Line {
        /// Which, from 1.
        line: u64,
    },
    /// A line whose content is not the one that was hashed.
    #[error("line {line} has been changed: its hash is another")]
    Changed {
        /// Which, from 1.
        line: u64,
    },
    /// A line that does not follow on the one before it.
    #[error("line {line} does not follow on the one before it: lines were taken out, put in or exchanged")]
    Order {
        /// Which, from 1.
        line: u64,
    },
    /// The end is missing.
    #[error("it ends with event {there}, and event {told} had been written, or another in its place")]
    Shorter {
        /// The number of the last event.
        there: u64,
        /// The number that it should have.
        told: u64,
    },
}

/// A log that was read.
pub(super) struct Whole {
    pub(super) head: Result<Head, Broken>,
    /// The length of its whole lines.
    pub(super) length: u64,
    /// Bytes behind them.
    pub(super) torn: u64,
}

/// The line of an event, and the head after it.
pub(super) fn next(head: &Head, event: &Value) -> (String, Head) {
    let number = head.number + 1;
    let content = format!("{{\"number\":{number},\"previous\":\"{}\",\"event\":{event}", head.hash);
    let hash = hash(content.as_bytes());
    (format!("{content}{SEAM}{hash}\"}}\n"), Head { number, hash })
}

fn hash(content: &[u8]) -> String {
    hex::encode(digest(&SHA256, content))
}

/// Follows the lines of a log.
pub(super) fn read(file: &mut impl Read, path: &Path) -> Result<Whole, Error> {
    let mut lines = BufReader::new(file);
    let (mut head, mut length, mut line) = (Head::default(), 0, Vec::new());
    loop {
        line.clear();
        let most = limits::MAX_AUDIT_LINE_BYTES as u64;
        let read = (&mut lines).take(most).read_until(b'\n', &mut line).map_err(Error::file(path))? as u64;
        if read == 0 || line.last() != Some(&b'\n') {
            let head = if read == most { Err(Broken::Line { line: head.number + 1 }) } else { Ok(head) };
            return Ok(Whole { head, length, torn: read });
        }
        match follow(&head, &line) {
            Ok(next) => head = next,
            Err(broken) => return Ok(Whole { head: Err(broken), length, torn: 0 }),
        }
        length += read;
    }
}

fn follow(head: &Head, line: &[u8]) -> Result<Head, Broken> {
    let number = head.number + 1;
    let wrong = Broken::Line { line: number };
    let text = std::str::from_utf8(line).map_err(|_| wrong)?;
    let (content, rest) = text.rsplit_once(SEAM).ok_or(wrong)?;
    let told = rest.strip_suffix("\"}\n").ok_or(wrong)?;
    serde_json::from_str::<Value>(text).map_err(|_| wrong)?;
    if hash(content.as_bytes()) != told {
        return Err(Broken::Changed { line: number });
    }
    let before = format!("{{\"number\":{number},\"previous\":\"{}\",", head.hash);
    if !content.starts_with(&before) {
        return Err(Broken::Order { line: number });
    }
    Ok(Head { number, hash: told.to_owned() })
}

/// Verifies a log's file; against a head that is known from elsewhere, its end as well.
///
/// # Errors
/// [`Error::File`] when it cannot be read; [`Error::Audit`] with the first thing that is wrong. Half a line at the end is wrong too.
pub fn verify(path: &Path, known: Option<&Head>) -> Result<Head, Error> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let broken = |problem| Error::Audit { path: path.to_owned(), problem };
    let whole = read(&mut file, path)?;
    let head = whole.head.map_err(broken)?;
    if whole.torn > 0 {
        return Err(broken(Broken::Line { line: head.number + 1 }));
    }
    match known {
        Some(known) if *known == head => Ok(head),
        // It has grown since the head was told: the event is in it, with that hash.
        Some(known) if known.number < head.number => {
            if holds(path, known)? {
                Ok(head)
            } else {
                Err(broken(Broken::Order { line: known.number }))
            }
        }
        Some(known) => Err(broken(Broken::Shorter { there: head.number, told: known.number })),
        None => Ok(head),
    }
}

/// Whether a log has that event.
pub(super) fn holds(path: &Path, known: &Head) -> Result<bool, Error> {
    let file = File::open(path).map_err(Error::file(path))?;
    let end = format!("{SEAM}{}\"}}", known.hash);
    let at = usize::try_from(known.number.saturating_sub(1)).unwrap_or(usize::MAX);
    let line = BufReader::new(file).lines().nth(at).transpose().map_err(Error::file(path))?;
    Ok(known.number == 0 || line.is_some_and(|line| line.ends_with(&end)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Five events, and their lines.
    fn lines() -> Vec<String> {
        let mut head = Head::default();
        let line = |number| {
            let (line, next) = next(&head, &json!({"action": "R", "what": number}));
            head = next;
            line
        };
        (1..=5).map(line).collect()
    }

    fn verified(lines: &[String], known: Option<&Head>) -> Result<Head, Broken> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, lines.concat()).unwrap();
        verify(&path, known).map_err(|error| match error {
            Error::Audit { problem, .. } => problem,
            other => panic!("{other}"),
        })
    }

    fn head() -> Head {
        verified(&lines(), None).unwrap()
    }

    #[test]
    fn a_log_as_it_was_written_is_verified_to_its_head() {
        assert_eq!(head().number, 5);
        assert_eq!(verified(&lines(), Some(&head())), Ok(head()));
        let earlier = verified(&lines()[..3], None).unwrap();
        assert_eq!(verified(&lines(), Some(&earlier)), Ok(head()), "it may have grown");
    }

    #[test]
    fn a_line_that_was_taken_out_or_moved_is_missed() {
        for at in 0..4 {
            let mut lines = lines();
            lines.remove(at);
            assert_eq!(verified(&lines, None), Err(Broken::Order { line: at as u64 + 1 }));
        }
        let mut lines = lines();
        lines.swap(1, 2);
        assert_eq!(verified(&lines, None), Err(Broken::Order { line: 2 }));
    }

    #[test]
    fn an_edit_shows_whether_its_hash_was_mended_or_not() {
        let mut edited = lines();
        edited[2] = edited[2].replace("\"what\":3", "\"what\":4");
        assert_eq!(verified(&edited, None), Err(Broken::Changed { line: 3 }));
        let before = verified(&lines()[..2], None).unwrap();
        edited[2] = next(&before, &json!({"action": "R", "what": 4})).0;
        assert_eq!(verified(&edited, None), Err(Broken::Order { line: 4 }));
    }

    #[test]
    fn a_missing_end_shows_against_the_head_alone() {
        let shorter = &lines()[..4];
        assert!(verified(shorter, None).is_ok());
        assert_eq!(verified(shorter, Some(&head())), Err(Broken::Shorter { there: 4, told: 5 }));
        let mut torn = lines();
        torn[4].truncate(20);
        assert_eq!(verified(&torn, None), Err(Broken::Line { line: 5 }));
    }

    #[test]
    fn a_log_that_was_written_anew_is_another_one_than_the_head_names() {
        let mut other = Head::default();
        let anew: Vec<String> = (1..=5)
            .map(|_| {
                let (line, next) = next(&other, &json!({"action": "R"}));
                other = next;
                line
            })
            .collect();
        assert!(verified(&anew, None).is_ok(), "by itself it is whole");
        assert!(verified(&anew, Some(&head())).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_byte_can_be_another_without_its_showing(at in 0_usize..1000, other in 1_u8..=255) {
            let whole = lines().concat().into_bytes();
            let mut touched = whole.clone();
            let at = at % touched.len();
            touched[at] ^= other;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            std::fs::write(&path, touched).unwrap();
            proptest::prop_assert!(verify(&path, Some(&head())).is_err());
        }

        #[test]
        fn whatever_lies_there_is_read_or_refused(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
            let whole = read(&mut bytes.as_slice(), Path::new("log")).unwrap();
            proptest::prop_assert!(whole.head.is_err() || whole.length == 0);
        }
    }
}
