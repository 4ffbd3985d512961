//! What a conditional or range request asks of a file (RFC 9110, sections 13 and 14), decided from its headers alone.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName, header};

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// 200 with all of it.
    Whole,
    /// 206 with these bytes.
    Part(RangeInclusive<u64>),
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable,
}

/// Decides for a GET (the only method that has ranges) or a HEAD. Only a single range is honoured: several, another unit and
/// what cannot be read are ignored, as the standard allows, and answered with the whole.
pub(super) fn decide(headers: &HeaderMap, get: bool, length: u64, etag: &str) -> Decision {
    if let Some(tags) = listed(headers, &header::IF_MATCH)
        && !tags.iter().any(|tag| *tag == "*" || *tag == etag)
    {
        return Decision::PreconditionFailed;
    }
    if let Some(tags) = listed(headers, &header::IF_NONE_MATCH)
        && tags.iter().any(|tag| *tag == "*" || tag.trim_start_matches("W/") == etag)
    {
        return Decision::NotModified;
    }
    // A date never matches, for no date is given out with the file.
    let same = headers.get(header::IF_RANGE).is_none_or(|value| value.as_bytes() == etag.as_bytes());
    let mut ranges = headers.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (Some(range), None) if get && same => range.to_str().ok().map_or(Decision::Whole, |range| of(range, length)),
        _ => Decision::Whole,
    }
}

/// The members of a list header, or nothing where it is not there.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Vec<&'a str>> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    Some(values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim).collect())
}

fn of(range: &str, length: u64) -> Decision {
    let Some((first, last)) = single(range) else { return Decision::Whole };
    match (first, last) {
        (Some(first), last) => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                Decision::Whole
            } else if first >= length {
                Decision::Unsatisfiable
            } else {
                Decision::Part(first..=last.min(length - 1))
            }
        }
        (None, Some(suffix)) if suffix == 0 || length == 0 => Decision::Unsatisfiable,
        (None, Some(suffix)) => Decision::Part(length.saturating_sub(suffix)..=length - 1),
        (None, None) => Decision::Whole,
    }
}

fn single(range: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, set) = range.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    let known = unit.trim().eq_ignore_ascii_case("bytes");
    if known { Some((number(first)?, number(last)?)) } else { None }
}

/// Digits, or nothing at all; a number that is too large is as good as the largest.
fn number(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = "\"a\"";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn range(value: &str, length: u64) -> Decision {
        decide(&headers(&[(header::RANGE, value)]), true, length, TAG)
    }

    #[test]
    fn a_single_range_is_cut_to_the_file() {
        for (value, expected) in [
            ("bytes=0-0", 0..=0),
            ("bytes=0-9", 0..=9),
            ("bytes=3-5", 3..=5),
            ("bytes=9-", 9..=9),
            ("bytes=0-99999999999999999999999", 0..=9),
            ("bytes=-1", 9..=9),
            ("bytes=-50", 0..=9),
            ("Bytes=2-3", 2..=3),
        ] {
            assert_eq!(range(value, 10), Decision::Part(expected), "{value}");
        }
    }

    #[test]
    fn a_range_past_the_end_cannot_be_satisfied() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(range(value, 10), Decision::Unsatisfiable, "{value}");
        }
        for value in ["bytes=0-", "bytes=-1"] {
            assert_eq!(range(value, 0), Decision::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn several_ranges_and_what_cannot_be_read_give_the_whole() {
        for value in
            ["bytes=0-1,3-4", "bytes=5-2", "bytes=-", "bytes=", "bytes", "lines=0-1", "bytes=+1-2", "bytes=0x1-2"]
        {
            assert_eq!(range(value, 10), Decision::Whole, "{value}");
        }
        let twice = [(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=2-3")];
        let mut map = HeaderMap::new();
        for (name, value) in twice {
            map.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(decide(&map, true, 10, TAG), Decision::Whole);
    }

    #[test]
    fn a_range_of_a_head_is_ignored() {
        assert_eq!(decide(&headers(&[(header::RANGE, "bytes=0-1")]), false, 10, TAG), Decision::Whole);
    }

    #[test]
    fn if_range_holds_only_for_the_same_strong_tag() {
        let with = |tag| decide(&headers(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, tag)]), true, 10, TAG);
        assert_eq!(with(TAG), Decision::Part(0..=1));
        for other in ["\"b\"", "W/\"a\"", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(with(other), Decision::Whole, "{other}");
        }
    }

    #[test]
    fn preconditions_are_kept_before_ranges() {
        let with = |name, value| decide(&headers(&[(header::RANGE, "bytes=0-1"), (name, value)]), true, 10, TAG);
        assert_eq!(with(header::IF_MATCH, "\"b\""), Decision::PreconditionFailed);
        assert_eq!(with(header::IF_MATCH, "W/\"a\""), Decision::PreconditionFailed);
        assert_eq!(with(header::IF_MATCH, "\"b\", \"a\""), Decision::Part(0..=1));
        assert_eq!(with(header::IF_MATCH, "*"), Decision::Part(0..=1));
        assert_eq!(with(header::IF_NONE_MATCH, "W/\"a\""), Decision::NotModified);
        assert_eq!(with(header::IF_NONE_MATCH, "\"b\""), Decision::Part(0..=1));
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(value in "bytes=[0-9]{0,20}-[0-9]{0,20}|\\PC{0,30}", length in 0u64..1000) {
            if let Decision::Part(part) = of(&value, length) {
                prop_assert!(part.start() <= part.end() && *part.end() < length);
            }
        }
    }
}
