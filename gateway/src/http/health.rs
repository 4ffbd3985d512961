//! Whether the gateway lives, can send, and how it does.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{StatusCode, header};

use super::caller::From;
use super::problem::{Details, Problem};
use crate::gateway::Gateway;

/// Whether it lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String)))]
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether one enclave at least is verified.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = String), (status = 503, body = String)))]
pub(crate) async fn ready(State(gateway): State<Gateway>) -> Response {
    if gateway.enclaves.can_send() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no enclave is verified\n").into_response()
    }
}

/// Metrics, in Prometheus' text format: to this machine, and to administrators.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String), (status = 403, body = Details)))]
pub(crate) async fn metrics(State(gateway): State<Gateway>, parts: Parts) -> Result<Response, Problem> {
    let from = From::of(&parts);
    // Behind a proxy everybody seems to be near.
    let near =
        from.is_some_and(|from| from.is_loopback()) && !gateway.config.tls.as_ref().is_some_and(|tls| tls.elsewhere);
    if !near {
        let caller = gateway.access.identify(&parts.method, &parts.headers, from).await?;
        if !caller.is_administrator() {
            return Err(Problem::NotAllowed);
        }
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    Ok((kind, gateway.metrics.render()).into_response())
}
