//! The enclave's interface: HTTP inside TLS that ends here.

mod access;
mod admission;
mod attestation;
mod connection;
mod discard;
mod exams;
mod health;
mod images;
mod openapi;
mod parts;
mod problem;
mod receipt;
mod sagemaker;
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
use crate::identity::Rotation;
use crate::limits;
use crate::state::State;
use access::Guard;
use admission::Admission;
use problem::Problem;

/// What every handler can reach.
#[derive(Clone)]
struct Shared {
    state: State,
    nsm: Arc<dyn Nsm>,
    admission: Arc<Admission>,
    metrics: PrometheusHandle,
}

/// What the server works with.
pub struct Server {
    /// The measured configuration.
    pub config: Arc<Config>,
    /// The security module.
    pub nsm: Arc<dyn Nsm>,
    /// This process's keys.
    pub keys: Arc<Rotation>,
    /// How far the boot has come.
    pub state: State,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
}

impl Server {
    /// Serves until `shutdown` completes, then lets open requests end.
    pub async fn run(self, listener: Listener, shutdown: impl Future<Output = ()> + Send) {
        let shared = Shared {
            state: self.state,
            nsm: self.nsm,
            admission: Arc::new(Admission::new(self.config.serve.queue, self.config.threads())),
            metrics: self.metrics.clone(),
        };
        let guard = self.config.access.clone().map(|access| Arc::new(Guard::new(access)));
        let key_lifetime = Duration::from_secs(self.config.keys.rotate_seconds);
        tokio::select! {
            () = connection::serve(listener, Arc::clone(&self.keys), router(shared, guard), shutdown) => {}
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
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::get))
        .route("/ping", get(health::ready))
        .fallback(|| async { Problem::NotFound })
        .method_not_allowed_fallback(|| async { Problem::Method })
        .layer(DefaultBodyLimit::max(limits::MAX_EXAM_BYTES))
        .layer(middleware::from_fn(discard::after_refusal))
        .layer(middleware::from_fn(count))
        .with_state(shared)
}

/// Counts answers by route and status: by the route's pattern, so that no caller can make new series.
async fn count(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_str().to_owned();
    metrics::counter!("cloister_requests_total", "route" => route, "status" => status).increment(1);
    response
}
