//! The SDK's two traits over one exchange.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use rustls::ClientConfig;

use crate::Egress;
use crate::exchange::exchange;
use crate::limits::{CONNECT_TIMEOUT, READ_TIMEOUT};

/// What every connector of one client shares.
pub(crate) struct Shared {
    pub(crate) egress: Egress,
    pub(crate) tls: Arc<ClientConfig>,
    /// Most bytes of an answer's body.
    pub(crate) most: usize,
}

#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

impl Client {
    pub(crate) fn new(egress: Egress, tls: Arc<ClientConfig>, most: usize) -> Self {
        Self(Arc::new(Shared { egress, tls, most }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("egress", &self.0.egress).finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            client: self.clone(),
            timeouts: Timeouts {
                connect: settings.connect_timeout().unwrap_or(CONNECT_TIMEOUT),
                read: settings.read_timeout().unwrap_or(READ_TIMEOUT),
            },
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("cloister", None))
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) read: Duration,
}

#[derive(Debug)]
struct Connector {
    client: Client,
    timeouts: Timeouts,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (shared, timeouts) = (Arc::clone(&self.client.0), self.timeouts);
        HttpConnectorFuture::new(async move {
            exchange(&shared, timeouts, request).await.map_err(crate::Error::into_connector_error)
        })
    }
}
