//! The HTTPS side: connections, TLS, one request after another.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use cloister_attest::Root;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::cms::ContentForm;
use super::control::ControlPlane;
use super::fault::{Fault, Faults};
use super::keys::{Keys, StateError, random_uuid};
use super::material::Spec;
use super::operations::{Call, Operations};
use super::principal::{Principal, Principals, PrincipalsError};
use super::sigv4;
use crate::calls::Calls;
use crate::certificate::{CertificateError, TlsAuthority};
use crate::exception::Exception;
use crate::https::{self, JSON, ListenError, Serve};

const TARGET_PREFIX: &str = "TrentService.";

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
    /// The server that holds keys, policies and aliases instead of the simulator: moto, on plain HTTP. It does not know the keys that
    /// [`Running::create_key`] makes.
    pub control_plane: Option<SocketAddr>,
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
            control_plane: None,
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
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
    authority: TlsAuthority,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    operations: Operations,
    /// Replaced as a whole: a request that has begun keeps those that it began with.
    principals: RwLock<Arc<Principals>>,
    region: String,
    clock: Clock,
    control: Option<ControlPlane>,
    faults: Faults,
    requests: AtomicU64,
    calls: Calls,
}

impl Server {
    /// Starts serving on the current Tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`] when the address, the root or the state file cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let nsm_root = Root::from_text(&config.nsm_root).map_err(StartError::Root)?;
        let fresh = TlsAuthority::make()?;
        let (keys, authority) = match &config.state {
            Some(path) => Keys::in_file(path, &config.region, || fresh)?,
            None => (Keys::in_memory(&config.region), fresh),
        };
        let (listener, address) = https::listen(config.listen).await?;
        let mut names = config.host_names;
        names.push(format!("kms.{}.amazonaws.com", config.region));
        let acceptor = TlsAcceptor::from(Arc::new(authority.server(&https::names(names, address))?));
        let shared = Arc::new(Shared {
            operations: Operations::new(keys, nsm_root),
            principals: RwLock::new(Arc::new(config.principals)),
            control: config.control_plane.map(|address| ControlPlane::new(address, &config.region)),
            region: config.region,
            clock: config.clock,
            faults: Faults::default(),
            requests: AtomicU64::new(0),
            calls: Calls::default(),
        });
        let task = tokio::spawn(https::accept(listener, acceptor, Arc::clone(&shared)));
        Ok(Running { address, ca_pem: authority.certificate_pem.clone(), authority, shared, task })
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

    /// The authority of its certificate, for other servers of the same test.
    pub fn authority(&self) -> &TlsAuthority {
        &self.authority
    }

    /// Lets another identity call from now on.
    ///
    /// # Errors
    /// A [`PrincipalsError`] for a bad ARN, or an access key that is known already.
    pub fn add_principal(&self, principal: Principal) -> Result<(), PrincipalsError> {
        let mut principals = self.shared.principals.write().unwrap_or_else(PoisonError::into_inner);
        let mut more = Principals::clone(&principals);
        more.add(principal)?;
        *principals = Arc::new(more);
        Ok(())
    }

    /// How often an operation was asked for so far, whatever the answer.
    pub fn calls(&self, operation: &str) -> u64 {
        self.shared.calls.count(operation)
    }

    /// The operations that changed something, in their order: those that were carried out, and do not only read or compute.
    pub fn changes(&self) -> Vec<String> {
        self.shared.calls.changes()
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

impl Serve for Shared {
    async fn serve(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request_id = random_uuid().unwrap_or_default();
        let (parts, body) = request.into_parts();
        let target = https::text(&parts.headers, "x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix(TARGET_PREFIX).unwrap_or_default();
        self.calls.arrived(operation);
        let fault = self.faults.next();
        if fault == Some(Fault::Stall) {
            std::future::pending::<()>().await;
        }
        let answer = match https::read(body).await {
            Ok(body) => self.answer(&parts, operation, &body, fault.as_ref()).await,
            Err(exception) => Err(exception),
        };
        let (status, body) = match answer {
            Ok(answer) => {
                tracing::info!(operation, %request_id, "answered");
                self.calls.succeeded(operation);
                (StatusCode::OK, answer)
            }
            Err(exception) => {
                tracing::info!(operation, %request_id, %exception, "refused");
                (exception.status(), exception.body().into())
            }
        };
        https::respond(status, body, &request_id)
    }
}

impl Shared {
    async fn answer(
        &self,
        parts: &Parts,
        operation: &str,
        body: &Bytes,
        fault: Option<&Fault>,
    ) -> Result<Bytes, Exception> {
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
        let principals = Arc::clone(&self.principals.read().unwrap_or_else(PoisonError::into_inner));
        let principal = sigv4::authenticate(parts, body, &principals, &self.region, now)?;
        if https::text(&parts.headers, "content-type") != Some(JSON) {
            return Err(Exception::new("SerializationException", format!("Content-Type must be {JSON}")));
        }
        let call = Call { principal, now, fault };
        match &self.control {
            Some(control) => control.call(&self.operations, operation, parts, body, &call).await,
            None => self.operations.call(operation, body, &call).map(|answer| answer.to_string().into()),
        }
    }
}
