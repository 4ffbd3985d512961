//! The pod's endpoint: `/healthz`, `/readyz` and `/metrics`, for Kubernetes and Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics::gauge;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::credentials::Source;
use crate::enclaves::Enclaves;
use crate::metrics as names;
use crate::problem::Problem;

/// What the endpoint's handlers look at.
pub(crate) struct Pod {
    pub(crate) enclaves: Arc<Enclaves>,
    pub(crate) credentials: Arc<Source>,
    pub(crate) metrics: PrometheusHandle,
}

type Shared = Arc<Pod>;

impl Pod {
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::Method)
            .with_state(Arc::new(self))
    }
}

async fn ready(State(pod): State<Shared>) -> Result<&'static str, Problem> {
    pod.enclaves.readiness().await.map(|()| "ready\n").map_err(|reason| Problem::NotReady(reason.to_string()))
}

async fn metrics(State(pod): State<Shared>) -> impl IntoResponse {
    let ready = pod.enclaves.readiness().await.is_ok();
    for enclave in pod.enclaves.all() {
        let open = enclave.says_ready() && !enclave.drains();
        gauge!(names::ENCLAVE_READY, "enclave" => enclave.name().to_owned()).set(f64::from(u8::from(open)));
    }
    gauge!(names::READY).set(f64::from(u8::from(ready)));
    pod.credentials.measure();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], pod.metrics.render())
}
