//! The process as a whole: three listeners, in the order in which they start and end.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloister_aws_http::{Egress, Roots};
use cloister_transport::{Address, Listener, Overflow, RelayLimits, ServeLimits, announce, serve};
use metrics::counter;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::control::{Control, may_ask};
use crate::credentials::Source;
use crate::enclave::Enclave;
use crate::pod::Pod;
use crate::quiet::Quiet;
use crate::relay::Relay;
use crate::{Error, connection, limits, metrics as names};

/// What the process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub relay_listen: Address,
    /// Where the enclave takes their connections.
    pub enclave: Address,
    /// Where the enclave asks for model and credentials, and tells events. On TCP, a loopback address.
    pub control_listen: Address,
    /// Where Kubernetes and Prometheus ask.
    pub http_listen: Address,
    /// The sealed model's file. It may be replaced while the process runs.
    pub model: PathBuf,
    /// The AWS region for the security token service, where web identities are in use.
    pub region: Option<String>,
    /// Clients relayed at once; see [`limits::MAX_RELAYED`].
    pub max_relayed: usize,
    /// See [`limits::DIAL_TIMEOUT`].
    pub dial_timeout: Duration,
    /// See [`limits::IDLE_TIMEOUT`].
    pub idle_timeout: Duration,
    /// See [`limits::DRAIN_TIMEOUT`].
    pub drain_timeout: Duration,
}

/// What was bound, with the ports that the system chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// The relay, for clients.
    pub relay: Address,
    /// The control endpoint, for the enclave.
    pub control: Address,
    /// The pod's endpoint.
    pub http: Address,
}

impl Addresses {
    /// Writes them as JSON to `path`, all at once: whoever finds the file finds it whole.
    ///
    /// # Errors
    /// [`Error::AddressFile`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |source| Error::AddressFile { path: path.to_owned(), source };
        let json = serde_json::to_string(self).map_err(|error| failed(io::Error::other(error)))?;
        announce(path, &json).map_err(failed)
    }
}

/// The parent's process, bound and not yet serving.
pub struct Parent {
    settings: Settings,
    relay: Listener,
    control: Listener,
    http: Listener,
    enclave: Arc<Enclave>,
    credentials: Arc<Source>,
    metrics: PrometheusHandle,
}

impl Parent {
    /// Binds all three listeners. `metrics` renders what the installed recorder holds.
    ///
    /// # Errors
    /// Each of [`Error`]'s but [`Error::AddressFile`].
    pub async fn bind(settings: Settings, metrics: PrometheusHandle) -> Result<Self, Error> {
        check_model(&settings.model)?;
        let control = Listener::bind(&settings.control_listen).await?;
        check_control(control.local_address())?;
        let relay = Listener::bind(&settings.relay_listen).await?;
        let http = Listener::bind(&settings.http_listen).await?;
        let client = cloister_aws_http::client(Egress::Direct, Roots::WebPki)?;
        let credentials = Arc::new(Source::new(client, settings.region.clone()));
        let enclave = Arc::new(Enclave::new(settings.enclave.clone()));
        names::describe();
        Ok(Self { settings, relay, control, http, enclave, credentials, metrics })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            relay: self.relay.local_address().clone(),
            control: self.control.local_address().clone(),
            http: self.http.local_address().clone(),
        }
    }

    /// Serves until `shutdown` is ready; then says that it is not ready, takes no more clients, lets those that there are
    /// finish, and ends. Both HTTP endpoints answer until then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { settings, relay, control, http, enclave, credentials, metrics } = self;
        let (no_more_clients, no_more_requests) = (CancellationToken::new(), CancellationToken::new());
        let order = async {
            shutdown.await;
            tracing::info!("stopping: no more clients, and those that there are finish");
            enclave.parent_stops();
            no_more_clients.cancel();
        };
        let pod = Pod { enclave: enclave.clone(), credentials: credentials.clone(), metrics };
        let endpoint = Control::new(settings.model.clone(), credentials, enclave.clone());
        let relayed = async {
            serve_clients(relay, &settings, no_more_clients.cancelled()).await;
            no_more_requests.cancel();
        };
        tokio::join!(
            order,
            relayed,
            serve_enclave(control, endpoint, &settings.enclave, &no_more_requests),
            serve_pod(http, pod, &no_more_requests),
        );
    }
}

async fn serve_clients(listener: Listener, settings: &Settings, shutdown: impl Future<Output = ()>) {
    let bytes = RelayLimits {
        buffer_bytes: limits::RELAY_BUFFER_BYTES,
        idle_timeout: settings.idle_timeout,
        half_close_timeout: limits::HALF_CLOSE_TIMEOUT,
    };
    let relay = Relay::new(settings.enclave.clone(), settings.max_relayed, settings.dial_timeout, bytes);
    let bounds = ServeLimits {
        max_connections: settings.max_relayed.saturating_add(limits::REFUSALS_AT_ONCE),
        overflow: Overflow::Wait,
        drain_timeout: settings.drain_timeout,
    };
    let served = serve(listener, &bounds, shutdown, |client, peer| relay.clone().carry(client, peer)).await;
    tracing::info!(handled = served.handled, cut = served.cut, "the relay has ended");
}

async fn serve_enclave(listener: Listener, control: Control, enclave: &Address, stopping: &CancellationToken) {
    let router = control.router();
    let quiet = Quiet::default();
    let bounds = http_bounds(limits::MAX_CONTROL_CONNECTIONS);
    serve(listener, &bounds, stopping.cancelled(), |stream, peer| {
        let allowed = may_ask(enclave, &peer);
        if !allowed {
            counter!(names::CONTROL_REFUSED).increment(1);
            if let Some(suppressed) = quiet.admit() {
                tracing::warn!(%peer, suppressed, "a connection to the control endpoint was closed: it is not the enclave's");
            }
        }
        let served = allowed.then(|| connection::serve(stream, router.clone(), stopping.clone()));
        async {
            if let Some(served) = served {
                served.await;
            }
        }
    })
    .await;
}

async fn serve_pod(listener: Listener, pod: Pod, stopping: &CancellationToken) {
    let router = pod.router();
    let bounds = http_bounds(limits::MAX_POD_CONNECTIONS);
    serve(listener, &bounds, stopping.cancelled(), |stream, _| {
        connection::serve(stream, router.clone(), stopping.clone())
    })
    .await;
}

fn http_bounds(max_connections: usize) -> ServeLimits {
    ServeLimits { max_connections, overflow: Overflow::Wait, drain_timeout: limits::HTTP_DRAIN_TIMEOUT }
}

fn check_model(path: &Path) -> Result<(), Error> {
    let unreadable = |source| Error::Model { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(Error::ModelNotAFile { path: path.to_owned() });
    }
    std::fs::File::open(path).map(drop).map_err(unreadable)
}

fn check_control(bound: &Address) -> Result<(), Error> {
    match bound {
        Address::Tcp { host, .. } if !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()) => {
            Err(Error::ControlExposed { address: bound.clone() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_tcp_the_control_endpoint_listens_on_loopback_alone() {
        for address in ["tcp://127.0.0.1:1", "tcp://[::1]:1", "vsock://any:9001", "unix:///control"] {
            assert!(check_control(&address.parse().unwrap()).is_ok(), "{address}");
        }
        for address in ["tcp://0.0.0.0:1", "tcp://[::]:1", "tcp://10.0.0.1:1"] {
            let error = check_control(&address.parse().unwrap()).unwrap_err();
            assert!(matches!(error, Error::ControlExposed { .. }), "{address}");
        }
    }

    #[test]
    fn addresses_are_written_whole_and_leave_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("addresses.json");
        std::fs::write(&path, "of another run").unwrap();
        let addresses = Addresses {
            relay: "tcp://127.0.0.1:1".parse().unwrap(),
            control: "unix:///c".parse().unwrap(),
            http: "tcp://127.0.0.1:2".parse().unwrap(),
        };
        addresses.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"relay":"tcp://127.0.0.1:1","control":"unix:///c","http":"tcp://127.0.0.1:2"}"#);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let nowhere = folder.path().join("no/such/file");
        assert!(matches!(addresses.write(&nowhere), Err(Error::AddressFile { .. })));
    }
}
