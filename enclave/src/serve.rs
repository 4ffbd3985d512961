//! The enclave's interface: HTTP inside TLS that ends here.

mod access;
mod admission;
mod attestation;
mod connection;
mod decoding;
mod discard;
mod exams;
mod health;
mod images;
mod openapi;
mod padding;
mod parts;
mod problem;
mod receipt;
mod sagemaker;
mod sealed;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use cloister_nsm::Nsm;
use cloister_transport::Listener;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::Config;
use crate::disclose::metrics::{self, Count, Route};
use crate::drain::Drain;
use crate::identity::Rotation;
use crate::limits;
use crate::release::Releases;
use crate::state::State;
use access::Guard;
use problem::Problem;
use sealed::DataKeys;

pub use admission::Admission;

/// What every handler can reach.
#[derive(Clone)]
struct Shared {
    state: State,
    nsm: Arc<dyn Nsm>,
    data_keys: Arc<DataKeys>,
    metrics: PrometheusHandle,
    memory_figures: bool,
}

/// What the server works with.
pub struct Server {
    /// The measured configuration.
    pub config: Arc<Config>,
    /// The security module.
    pub nsm: Arc<dyn Nsm>,
    /// This process's keys.
    pub keys: Arc<Rotation>,
    /// Who asks for the keys of sealed images.
    pub releases: Releases,
    /// How far the boot has come.
    pub state: State,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Whether the enclave was asked to end.
    pub drain: Drain,
}

impl Server {
    /// Serves until `shutdown` completes, and lets open requests end then; or until the enclave was asked to end and has drained.
    pub async fn run(self, listener: Listener, shutdown: impl Future<Output = ()> + Send) {
        let shared = Shared {
            state: self.state,
            nsm: self.nsm,
            data_keys: Arc::new(DataKeys::new(self.releases)),
            metrics: self.metrics.clone(),
            memory_figures: self.config.launch.memory_figures,
        };
        let guard = self.config.access.clone().map(|access| Arc::new(Guard::new(access)));
        let key_lifetime = Duration::from_secs(self.config.keys.rotate_seconds);
        let drain = self.drain.clone();
        let shutdown = async move {
            tokio::select! {
                () = shutdown => {}
                () = drain.over() => {}
            }
        };
        let serve = connection::serve(listener, Arc::clone(&self.keys), router(shared, guard), self.drain, shutdown);
        tokio::select! {
            () = serve => {}
            () = self.keys.run(key_lifetime) => {}
            () = upkeep(self.metrics) => {}
        }
    }
}

/// Never returns; a select ends it.
async fn upkeep(metrics: PrometheusHandle) {
    loop {
        tokio::time::sleep(limits::METRICS_UPKEEP).await;
        metrics.run_upkeep();
    }
}

fn router(shared: Shared, guard: Option<Arc<Guard>>) -> Router {
    let mut classification = Router::new()
        .route("/v1/images", post(images::post))
        .route("/v1/exams", post(exams::post))
        .route("/invocations", post(sagemaker::post));
    if let Some(guard) = guard {
        classification = classification.route_layer(middleware::from_fn_with_state(guard, access::check));
    }
    Router::new()
        .merge(classification)
        .route("/v1/attestation", get(attestation::get))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::figures))
        .route("/openapi.json", get(openapi::get))
        .route("/ping", get(health::ready))
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::Method })
        .layer(DefaultBodyLimit::max(limits::MAX_EXAM_BYTES))
        .layer(middleware::from_fn(discard::after_refusal))
        .layer(middleware::from_fn(padding::pad))
        .layer(middleware::from_fn(count))
        .with_state(shared)
}

/// Counts answers by route and status.
async fn count(request: Request, next: Next) -> Response {
    let route = Route::of(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str));
    let response = next.run(request).await;
    metrics::count(Count::Answered(route, response.status()));
    response
}
