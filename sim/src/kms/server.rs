//! The HTTPS side: connections, TLS, one request after another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use cloister_attest::Root;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use time::OffsetDateTime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificate::{CertificateError, StoredAuthority};
use super::cms::ContentForm;
use super::exception::Exception;
use super::fault::{Fault, Faults};
use super::keys::{Keys, StateError, random_uuid};
use super::limits::{HANDSHAKE_TIMEOUT, MAX_BODY, MAX_CONNECTIONS, READ_TIMEOUT};
use super::material::Spec;
use super::operations::{Call, Operations};
use super::principal::Principals;
use super::sigv4;

const TARGET_PREFIX: &str = "TrentService.";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// Where the server reads the time, for signatures and attestation documents.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What a simulated KMS starts with.
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names and IP addresses that its certificate is for, beside `localhost`, the loopback addresses, the one listened on and
    /// the region's own `kms.REGION.amazonaws.com`.
    pub host_names: Vec<String>,
    /// The file that keeps keys and the certificate authority; in memory when there is none.
    pub state: Option<PathBuf>,
    /// The root that attestation documents must chain to, as a policy file says it: in PEM, for a simulated authority.
    pub nsm_root: String,
    /// Who may call.
    pub principals: Principals,
    /// The region of every key, which signatures must name.
    pub region: String,
    /// The time.
    pub clock: Clock,
}

impl Config {
    /// A server on a free port of the loopback address, with the demo's principals, in `us-east-1`, keeping nothing.
    pub fn local(nsm_root: impl Into<String>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            host_names: Vec::new(),
            state: None,
            nsm_root: nsm_root.into(),
            principals: Principals::demo(),
            region: "us-east-1".to_owned(),
            clock: Arc::new(SystemTime::now),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The attestation root is no certificate.
    #[error("the attestation root is not a certificate in PEM: {0}")]
    Root(cloister_attest::PolicyError),
    /// Its certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Its state file.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The simulated KMS.
pub struct Server;

/// A server that runs until this is dropped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// The certificate of its authority, for clients to trust.
    pub ca_pem: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    operations: Operations,
    principals: Principals,
    region: String,
    clock: Clock,
    faults: Faults,
    requests: AtomicU64,
}

impl Server {
    /// Starts serving on the current Tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`] when the address, the root or the state file cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let nsm_root = Root::from_text(&config.nsm_root).map_err(StartError::Root)?;
        let fresh = StoredAuthority::make()?;
        let (keys, authority) = match &config.state {
            Some(path) => Keys::in_file(path, &config.region, || fresh)?,
            None => (Keys::in_memory(&config.region), fresh),
        };
        let failed = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let mut names = config.host_names;
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.extend([format!("kms.{}.amazonaws.com", config.region), address.ip().to_string()]);
        names.sort();
        names.dedup();
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(&names)?));
        let shared = Arc::new(Shared {
            operations: Operations::new(keys, nsm_root),
            principals: config.principals,
            region: config.region,
            clock: config.clock,
            faults: Faults::default(),
            requests: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Running { address, ca_pem: authority.certificate_pem, shared, task })
    }
}

impl Running {
    /// The endpoint to configure in a client.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Makes a key of an account under a policy, as its owner would with `CreateKey`, and gives its ARN.
    ///
    /// # Errors
    /// The [`Exception`] that the owner would get.
    pub fn create_key(&self, account: &str, policy: &str) -> Result<String, Exception> {
        let now = OffsetDateTime::from((self.shared.clock)()).unix_timestamp();
        self.shared.operations.create_key_for(account, Spec::Symmetric, policy, now)
    }

    /// Makes a key that signs on P-384, as its owner would with `CreateKey`, and gives its ARN and its public half in DER.
    ///
    /// # Errors
    /// The [`Exception`] that the owner would get.
    pub fn create_signing_key(&self, account: &str, policy: &str) -> Result<(String, Vec<u8>), Exception> {
        let now = OffsetDateTime::from((self.shared.clock)()).unix_timestamp();
        let arn = self.shared.operations.create_key_for(account, Spec::Signing, policy, now)?;
        let public_key = self.shared.operations.public_key_for(&arn)?;
        Ok((arn, public_key))
    }

    /// Puts a key under another policy, as its owner would with `PutKeyPolicy`.
    ///
    /// # Errors
    /// The [`Exception`] that the owner would get.
    pub fn put_key_policy(&self, key_arn: &str, policy: &str) -> Result<(), Exception> {
        self.shared.operations.put_key_policy_for(key_arn, policy)
    }

    /// Misbehaves from the next request on, until told otherwise.
    pub fn inject(&self, fault: Fault) {
        self.shared.faults.set(Some(fault), None);
    }

    /// Misbehaves for the next `times` requests.
    pub fn inject_times(&self, fault: Fault, times: u32) {
        self.shared.faults.set(Some(fault), Some(times));
    }

    /// Behaves again.
    pub fn clear_fault(&self) {
        self.shared.faults.set(None, None);
    }

    /// Writes answers to recipients in this form from now on.
    pub fn set_content_form(&self, form: ContentForm) {
        self.shared.operations.form.set(form);
    }

    /// How many requests have arrived so far, refused ones included.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Serves until the process ends.
    pub async fn wait(mut self) {
        // The task ends only by being aborted.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with the server: the set aborts them when this task is dropped.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    if let Err(error) = connection(stream, acceptor, shared).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, std::convert::Infallible>(shared.serve(request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

impl Shared {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = random_uuid().unwrap_or_default();
        let (parts, body) = request.into_parts();
        let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let operation = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
        let fault = self.faults.next();
        if fault == Some(Fault::Stall) {
            std::future::pending::<()>().await;
        }
        let answer = match read(body).await {
            Ok(body) => self.answer(&parts, operation, &body, fault.as_ref()),
            Err(exception) => Err(exception),
        };
        let (status, body) = match answer {
            Ok(answer) => {
                tracing::info!(operation, %request_id, "answered");
                (StatusCode::OK, answer.to_string().into_bytes())
            }
            Err(exception) => {
                tracing::info!(operation, %request_id, %exception, "refused");
                (exception.status(), exception.body())
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Ok(request_id) = HeaderValue::from_str(&request_id) {
            headers.insert("x-amzn-requestid", request_id);
        }
        response
    }

    fn answer(&self, parts: &Parts, operation: &str, body: &[u8], fault: Option<&Fault>) -> Result<Value, Exception> {
        match fault {
            Some(Fault::Throttle) => return Err(Exception::new("ThrottlingException", "Rate exceeded")),
            Some(Fault::ExpiredToken) => return Err(sigv4::expired_token()),
            Some(Fault::InternalError) => return Err(Exception::internal()),
            _ => {}
        }
        if parts.method != http::Method::POST || parts.uri.path() != "/" || parts.uri.query().is_some() {
            return Err(Exception::new("UnknownOperationException", "KMS takes POST / and nothing else"));
        }
        let now = OffsetDateTime::from((self.clock)());
        let principal = sigv4::authenticate(parts, body, &self.principals, &self.region, now)?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if content_type != Some(CONTENT_TYPE) {
            return Err(Exception::new("SerializationException", format!("Content-Type must be {CONTENT_TYPE}")));
        }
        self.operations.call(operation, body, &Call { principal, now, fault })
    }
}

async fn read(body: Incoming) -> Result<Bytes, Exception> {
    let limited = timeout(READ_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let limited = limited.map_err(|_| Exception::new("RequestTimeoutException", "The body did not arrive in time"))?;
    match limited {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => {
            Err(Exception::new("RequestEntityTooLargeException", format!("A request has at most {MAX_BODY} bytes")))
        }
    }
}
