//! `/healthz`, `/readyz`, `/metrics`, and `/ping`, which is readiness under the name that SageMaker asks for.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use super::Shared;
use super::problem::Problem;
use crate::disclose::{metrics, words};
use crate::memory;
use crate::state::Phase;

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// The model is loaded, measured, and gives its known answers; else 503 with the reason.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, body = String),
        (status = 503, body = super::problem::Details, content_type = "application/problem+json"),
    )
)]
pub(super) async fn ready(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    match shared.state.phase() {
        Phase::Ready(_) => Ok("ready\n"),
        Phase::Starting(reason) => Err(Problem::NotReady(reason)),
        Phase::Failed(reason) => Err(Problem::NotReady(words!["for good: ", reason])),
    }
}

/// Counters, gauges and histograms in Prometheus' text format; no label comes from a caller.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String)))]
pub(super) async fn figures(State(shared): State<Shared>) -> impl IntoResponse {
    if let Phase::Ready(loaded) = shared.state.phase() {
        metrics::queue_depth(loaded.admission.depth());
    }
    if let (true, Some(held)) = (shared.memory_figures, memory::held()) {
        metrics::memory(held.resident_bytes, held.peak_bytes);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], shared.metrics.render())
}
