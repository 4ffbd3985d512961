//! Every series of `/metrics`: its labels come from closed lists, its values are counts, times and sizes of the process itself.

#![expect(clippy::disallowed_macros, reason = "the one place that counts")]

use std::time::Duration;

use http::StatusCode;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub enum Count {
    /// A request was answered.
    Answered(Route, StatusCode),
    /// A connection came to no TLS.
    HandshakeRefused,
    /// A connection broke, or was cut.
    ConnectionBroken,
    /// Nobody known asked for a classification; why, in a word.
    Unauthorized(&'static str),
    /// An event could not be told to the parent.
    EventDropped,
    /// A record could not be given to the parent.
    RecordDropped,
}

/// A path that is served, or any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route(&'static str);

impl Route {
    const SERVED: [&'static str; 9] = [
        "/v1/attestation",
        "/v1/images",
        "/v1/exams",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/ping",
        "/invocations",
    ];

    /// The route of that pattern, so that no caller can make new series.
    pub fn of(pattern: Option<&str>) -> Self {
        Self(Self::SERVED.into_iter().find(|served| Some(*served) == pattern).unwrap_or("other"))
    }

    /// Whether images come in on it.
    pub(crate) fn classifies(self) -> bool {
        matches!(self.0, "/v1/images" | "/v1/exams" | "/invocations")
    }
}

/// Counts.
pub fn count(what: Count) {
    let counter = match what {
        Count::Answered(Route(route), status) => {
            metrics::counter!("cloister_requests_total", "route" => route, "status" => status.as_u16().to_string())
        }
        Count::HandshakeRefused => metrics::counter!("cloister_handshakes_refused_total"),
        Count::ConnectionBroken => metrics::counter!("cloister_connections_broken_total"),
        Count::Unauthorized(reason) => metrics::counter!("cloister_unauthorized_total", "reason" => reason),
        Count::EventDropped => metrics::counter!("cloister_events_dropped_total"),
        Count::RecordDropped => metrics::counter!("cloister_records_dropped_total"),
    };
    counter.increment(1);
}

/// Whether the enclave serves.
pub fn ready(ready: bool) {
    metrics::gauge!("cloister_ready").set(if ready { 1.0 } else { 0.0 });
}

/// Images waiting or at work.
pub fn queue_depth(images: usize) {
    metrics::gauge!("cloister_queue_depth").set(float(images as u64));
}

/// How long one image took, decoding included.
pub fn classified(took: Duration) {
    metrics::histogram!("cloister_classification_seconds").record(took.as_secs_f64());
}

/// What the process holds now, and the most that it ever held. Only to be shown where the measured configuration lets it: it
/// grows with the images at work.
pub fn memory(resident_bytes: u64, peak_bytes: u64) {
    metrics::gauge!("cloister_memory_resident_bytes").set(float(resident_bytes));
    metrics::gauge!("cloister_memory_peak_bytes").set(float(peak_bytes));
}

#[expect(clippy::cast_precision_loss, reason = "counts and sizes stay far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_served_has_no_series_of_its_own() {
        assert_eq!(Route::of(Some("/v1/images")), Route("/v1/images"));
        assert_eq!(Route::of(Some("/v1/patients/MUSTERMANN")), Route("other"));
        assert_eq!(Route::of(None), Route("other"));
    }
}
