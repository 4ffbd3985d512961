//! The process as a whole: its listeners, in the order in which they start and end, and the list of enclaves as it changes.

mod list;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use cloister_aws_http::{Egress, Roots};
use cloister_transport::{Address, Listener, Overflow, Peer, RelayLimits, ServeLimits, Stream, announce, serve};
use metrics::counter;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::credentials::Source;
use crate::enclave::Enclave;
use crate::enclaves::{Described, Enclaves, check};
use crate::parent::list::List;
use crate::pod::Pod;
use crate::quiet::Quiet;
use crate::relay::Relay;
use crate::{Error, connection, limits, metrics as names};

/// What the process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where clients connect.
    pub relay_listen: Address,
    /// The enclaves, the preferred one last.
    pub enclaves: Vec<Described>,
    /// The file that they were read from, to be read again on SIGHUP.
    pub list: Option<PathBuf>,
    /// Where enclaves without an endpoint of their own ask for model and credentials, and tell events. On TCP, a loopback address.
    pub control_listen: Option<Address>,
    /// Where Kubernetes and Prometheus ask.
    pub http_listen: Address,
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
    /// The shared control endpoint, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Address>,
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
    control: Option<Listener>,
    own_controls: Vec<(Arc<Enclave>, Listener)>,
    http: Listener,
    enclaves: Arc<Enclaves>,
    credentials: Arc<Source>,
    hangups: Signal,
    metrics: PrometheusHandle,
}

impl Parent {
    /// Binds all listeners. `metrics` renders what the installed recorder holds.
    ///
    /// # Errors
    /// Each of [`Error`]'s but [`Error::AddressFile`].
    pub async fn bind(settings: Settings, metrics: PrometheusHandle) -> Result<Self, Error> {
        check(&settings.enclaves, settings.control_listen.as_ref())?;
        settings.enclaves.iter().try_for_each(|described| check_model(&described.model))?;
        let enclaves = Arc::new(Enclaves::new(settings.enclaves.clone()));
        let control = match &settings.control_listen {
            Some(address) => Some(bind_control(address).await?),
            None => None,
        };
        let mut own_controls = Vec::new();
        for enclave in enclaves.all() {
            if let Some(address) = &enclave.described.control {
                let listener = bind_control(address).await?;
                own_controls.push((enclave, listener));
            }
        }
        let relay = Listener::bind(&settings.relay_listen).await?;
        let http = Listener::bind(&settings.http_listen).await?;
        let hangups = signal(SignalKind::hangup()).map_err(Error::Signals)?;
        let client = cloister_aws_http::client(Egress::Direct, Roots::WebPki)?;
        let credentials = Arc::new(Source::new(client, settings.region.clone()));
        names::describe();
        Ok(Self { settings, relay, control, own_controls, http, enclaves, credentials, hangups, metrics })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            relay: self.relay.local_address().clone(),
            control: self.control.as_ref().map(|control| control.local_address().clone()),
            http: self.http.local_address().clone(),
        }
    }

    /// Serves until `shutdown` is ready; then says that it is not ready, takes no more clients, lets those that there are
    /// finish, and ends. All HTTP endpoints answer until then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { settings, relay, control, own_controls, http, enclaves, credentials, hangups, metrics } = self;
        let (no_more_clients, no_more_requests) = (CancellationToken::new(), CancellationToken::new());
        let order = async {
            shutdown.await;
            tracing::info!("stopping: no more clients, and those that there are finish");
            enclaves.parent_stops();
            no_more_clients.cancel();
        };
        let pod = Pod { enclaves: enclaves.clone(), credentials: credentials.clone(), metrics };
        let relayed = async {
            serve_clients(relay, enclaves.clone(), &settings, no_more_clients.cancelled()).await;
            no_more_requests.cancel();
        };
        let list = List {
            file: settings.list.clone(),
            shared: settings.control_listen.clone(),
            enclaves: enclaves.clone(),
            credentials: credentials.clone(),
            stopping: no_more_requests.clone(),
        };
        let shared = async {
            if let Some(control) = control {
                let endpoints = Endpoints::new(enclaves.clone(), credentials.clone());
                serve_enclaves(control, |peer| endpoints.of(peer), &no_more_requests).await;
            }
        };
        tokio::join!(order, relayed, shared, list.keep(own_controls, hangups), serve_pod(http, pod, &no_more_requests));
    }
}

async fn bind_control(address: &Address) -> Result<Listener, Error> {
    let listener = Listener::bind(address).await?;
    check_control(listener.local_address())?;
    Ok(listener)
}

/// What answers one enclave, with places of its own: one that connects without end takes nobody else's.
#[derive(Clone)]
struct Endpoint {
    router: Router,
    places: Arc<Semaphore>,
}

impl Endpoint {
    fn new(control: Control) -> Self {
        Self { router: control.router(), places: Arc::new(Semaphore::new(limits::MAX_CONTROL_CONNECTIONS)) }
    }

    async fn answer(self, stream: Stream, stopping: CancellationToken) {
        if let Ok(_place) = self.places.try_acquire() {
            connection::serve(stream, self.router, stopping).await;
        }
    }
}

/// The shared control endpoint's answers, by enclave.
struct Endpoints {
    enclaves: Arc<Enclaves>,
    credentials: Arc<Source>,
    known: Mutex<Vec<(Arc<Enclave>, Endpoint)>>,
}

impl Endpoints {
    fn new(enclaves: Arc<Enclaves>, credentials: Arc<Source>) -> Self {
        Self { enclaves, credentials, known: Mutex::new(Vec::new()) }
    }

    /// The endpoint of the enclave that asks: the same for each of its connections, so that its pace is one.
    fn of(&self, peer: &Peer) -> Option<Endpoint> {
        let enclave = self.enclaves.of(peer)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.enclaves.all();
        known.retain(|(enclave, _)| all.iter().any(|other| Arc::ptr_eq(other, enclave)));
        if let Some((_, endpoint)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, &enclave)) {
            return Some(endpoint.clone());
        }
        let endpoint = Endpoint::new(Control::new(self.credentials.clone(), enclave.clone()));
        known.push((enclave, endpoint.clone()));
        Some(endpoint)
    }
}

async fn serve_clients(
    listener: Listener,
    enclaves: Arc<Enclaves>,
    settings: &Settings,
    shutdown: impl Future<Output = ()>,
) {
    let bytes = RelayLimits {
        buffer_bytes: limits::RELAY_BUFFER_BYTES,
        idle_timeout: settings.idle_timeout,
        half_close_timeout: limits::HALF_CLOSE_TIMEOUT,
    };
    let relay = Relay::new(enclaves, settings.max_relayed, settings.dial_timeout, bytes);
    let bounds = ServeLimits {
        max_connections: settings.max_relayed.saturating_add(limits::REFUSALS_AT_ONCE),
        overflow: Overflow::Wait,
        drain_timeout: settings.drain_timeout,
    };
    let served = serve(listener, &bounds, shutdown, |client, peer| relay.clone().carry(client, peer)).await;
    tracing::info!(handled = served.handled, cut = served.cut, "the relay has ended");
}

/// Serves a control endpoint until `stopping`. `whose` is the endpoint of whoever connects, or nothing for strangers.
async fn serve_enclaves(listener: Listener, whose: impl Fn(&Peer) -> Option<Endpoint>, stopping: &CancellationToken) {
    let quiet = Quiet::default();
    let bounds = http_bounds(limits::MAX_CONTROL_CONNECTIONS * limits::MAX_ENCLAVES);
    serve(listener, &bounds, stopping.cancelled(), |stream, peer| {
        let endpoint = whose(&peer);
        if endpoint.is_none() {
            counter!(names::CONTROL_REFUSED).increment(1);
            if let Some(suppressed) = quiet.admit() {
                tracing::warn!(%peer, suppressed, "a connection to the control endpoint was closed: it is no enclave's");
            }
        }
        let served = endpoint.map(|endpoint| endpoint.answer(stream, stopping.clone()));
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
            control: Some("unix:///c".parse().unwrap()),
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
