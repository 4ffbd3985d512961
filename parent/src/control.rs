//! The control endpoint: what the enclave asks of its parent. Nothing that it gives is secret from the parent, and nothing is
//! believed by the enclave because the parent said it.

mod events;
mod model;
mod range;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use cloister_transport::{ANY_CID, Address, Peer};

use crate::credentials::Source;
use crate::enclave::Enclave;
use crate::problem::Problem;

/// What the endpoint's handlers work on.
pub(crate) struct Control {
    model: PathBuf,
    credentials: Arc<Source>,
    enclave: Arc<Enclave>,
    pace: events::Pace,
}

type Shared = Arc<Control>;

impl Control {
    pub(crate) fn new(model: PathBuf, credentials: Arc<Source>, enclave: Arc<Enclave>) -> Self {
        Self { model, credentials, enclave, pace: events::Pace::default() }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/v1/model", get(model::give))
            .route("/v1/credentials", get(credentials))
            .route("/v1/events", post(events::take))
            .fallback(async || Problem::NotFound)
            .method_not_allowed_fallback(async || Problem::Method)
            .with_state(Arc::new(self))
    }
}

async fn credentials(State(shared): State<Shared>) -> Result<impl IntoResponse, Problem> {
    let credentials =
        shared.credentials.get().await.map_err(|unavailable| Problem::Credentials(unavailable.reason()))?;
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(Bytes::from_owner(credentials.to_json()))))
}

/// Whether a connection to the control endpoint comes from the enclave, as far as the transport can tell: on vsock every
/// virtual machine of the host can connect, and the credentials are for one.
pub(crate) fn may_ask(enclave: &Address, peer: &Peer) -> bool {
    match (enclave, peer) {
        (Address::Vsock { cid: ANY_CID, .. }, Peer::Vsock { .. }) => true,
        (Address::Vsock { cid, .. }, Peer::Vsock { cid: asking, .. }) => cid == asking,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_vsock_only_the_enclave_itself_may_ask() {
        let enclave: Address = "vsock://16:5000".parse().unwrap();
        assert!(may_ask(&enclave, &Peer::Vsock { cid: 16, port: 700 }));
        assert!(!may_ask(&enclave, &Peer::Vsock { cid: 17, port: 700 }));
        assert!(may_ask(&enclave, &Peer::Unix));
        assert!(may_ask(&"unix:///enclave".parse().unwrap(), &Peer::Vsock { cid: 17, port: 700 }));
    }
}
