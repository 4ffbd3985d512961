//! The control endpoint: what an enclave asks of its parent. Nothing that it gives is secret from the parent, and nothing is
//! believed by the enclave because the parent said it.

mod events;
mod lines;
mod logs;
mod model;
mod range;

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};

use crate::credentials::{Freshness, Source};
use crate::enclave::Enclave;
use crate::limits;
use crate::pace::Pace;
use crate::problem::Problem;

/// What the endpoint's handlers work on, for one enclave.
pub(crate) struct Control {
    credentials: Arc<Source>,
    enclave: Arc<Enclave>,
    events: Pace,
    records: Pace,
}

type Shared = Arc<Control>;

impl Control {
    pub(crate) fn new(credentials: Arc<Source>, enclave: Arc<Enclave>) -> Self {
        Self {
            credentials,
            enclave,
            events: Pace::new(limits::EVENT_BURST, limits::EVENT_INTERVAL),
            records: Pace::new(limits::RECORD_BURST, limits::RECORD_INTERVAL),
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/model", get(model::give))
            .route("/v1/credentials", get(credentials))
            .route("/v1/settings", get(settings))
            .route("/v1/events", post(events::take))
            .route("/v1/logs", post(logs::take))
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::Method)
            .with_state(Arc::new(self))
    }
}

async fn credentials(State(shared): State<Shared>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    // RFC 9111, section 5.2.1.4: what is at hand was refused.
    let refused = headers.get_all(header::CACHE_CONTROL).iter().any(|value| value == "no-cache");
    let freshness = if refused { Freshness::Anew } else { Freshness::AsKept };
    let credentials =
        shared.credentials.get(freshness).await.map_err(|unavailable| Problem::Credentials(unavailable.reason()))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(Bytes::from_owner(credentials.to_json()))))
}

/// What the operator wants the enclave to set. Its measured configuration says what of it may be set.
async fn settings(State(shared): State<Shared>) -> impl IntoResponse {
    Json(shared.enclave.set())
}
