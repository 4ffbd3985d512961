//! Times: milliseconds since 1970 in the work list, RFC 3339 in UTC outside.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970.
pub(crate) type Millis = i64;

/// Now.
pub(crate) fn now() -> Millis {
    millis(SystemTime::now())
}

/// A time as milliseconds.
pub(crate) fn millis(time: SystemTime) -> Millis {
    span(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A span as milliseconds.
pub(crate) fn span(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

/// As a calendar's time.
pub(crate) fn calendar(millis: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// In words.
pub(crate) fn rfc3339(millis: Millis) -> String {
    calendar(millis).format(&Rfc3339).unwrap_or_default()
}

/// A system's time in words.
pub(crate) fn words(time: SystemTime) -> String {
    rfc3339(millis(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_with_milliseconds() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_798_761_600_250), "2027-01-01T00:00:00.25Z");
    }
}
