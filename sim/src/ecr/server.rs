//! The HTTPS side: which requests are answered here, and which go on to moto.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::fault::{Fault, Faults};
use super::images::{self, Repository, Seen};
use super::registry::{Registry, RegistryAccess, RegistryError};
use super::replication::{self, Configuration, Destination, Replications, State, allows};
use crate::calls::Calls;
use crate::certificate::{CertificateError, TlsAuthority};
use crate::exception::Exception;
use crate::https::{self, ListenError, Serve};
use crate::kms::random_uuid;
use crate::upstream::{Answer, Api, Upstream, UpstreamError};

const ECR: Api = Api { service: "ecr", target: "AmazonEC2ContainerRegistry_V20150921." };
const REPLICATION_STATUS: &str = "DescribeImageReplicationStatus";

/// What a stand-in starts with.
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host names and IP addresses that its certificate is for, beside `localhost`, the loopback addresses and the one listened on.
    pub host_names: Vec<String>,
    /// The authority of its certificate; a fresh one when there is none.
    pub authority: Option<TlsAuthority>,
    /// moto, on plain HTTP.
    pub control_plane: SocketAddr,
    /// Where the images lie; in moto when there is none.
    pub registry: Option<RegistryAccess>,
    /// How many times a replication is said to be in progress before it is complete.
    pub looks_in_progress: u32,
}

impl Config {
    /// A stand-in on a free port of the loopback address, with moto behind it and images in moto.
    pub fn local(control_plane: SocketAddr) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            host_names: Vec::new(),
            authority: None,
            control_plane,
            registry: None,
            looks_in_progress: 1,
        }
    }
}

/// Why a stand-in did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// The stand-in for ECR.
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
    upstream: Upstream,
    registry: Option<Registry>,
    replications: Replications,
    seen: Seen,
    faults: Faults,
    calls: Calls,
}

impl Server {
    /// Starts serving on the current Tokio runtime.
    ///
    /// # Errors
    /// A [`StartError`] when the address or the registry cannot be used.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let authority = config.authority.map_or_else(TlsAuthority::make, Ok)?;
        let (listener, address) = https::listen(config.listen).await?;
        let tls = authority.server(&https::names(config.host_names, address))?;
        let shared = Arc::new(Shared {
            upstream: Upstream::new(config.control_plane),
            registry: config.registry.map(Registry::new).transpose()?,
            replications: Replications::new(config.looks_in_progress),
            seen: Seen::default(),
            faults: Faults::default(),
            calls: Calls::default(),
        });
        let task = tokio::spawn(https::accept(listener, TlsAcceptor::from(Arc::new(tls)), Arc::clone(&shared)));
        Ok(Running { address, ca_pem: authority.certificate_pem().to_owned(), shared, task })
    }
}

impl Running {
    /// The endpoint to configure in a client of ECR, STS, IAM or another service that moto has.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Says from now on that replications to this account are so far, where its registry policy lets them.
    pub fn set_replication(&self, destination_account: &str, state: State) {
        self.shared.replications.set(destination_account, state);
    }

    /// Fails the next `times` calls of an operation of ECR.
    pub fn fault(&self, operation: &str, times: u32, fault: Fault) {
        self.shared.faults.set(operation, times, fault);
    }

    /// How often an operation of any service was asked for so far, whatever the answer.
    pub fn calls(&self, operation: &str) -> u64 {
        self.shared.calls.count(operation)
    }

    /// The operations that changed something, in their order: those that were carried out, and do not only read.
    pub fn changes(&self) -> Vec<String> {
        self.shared.calls.changes()
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
        let request_id = random_uuid().unwrap_or_default();
        let (parts, body) = request.into_parts();
        let (operation, answer) = match https::read(body).await {
            Ok(body) => {
                let operation = operation(&parts, &body);
                self.calls.arrived(&operation);
                let answer = self.answer(&parts, &operation, body).await;
                (operation, answer)
            }
            Err(exception) => (String::new(), Err(exception)),
        };
        match answer {
            Ok(answer) => {
                tracing::info!(operation, %request_id, status = %answer.status, "answered");
                if answer.status.is_success() {
                    self.calls.succeeded(&operation);
                }
                let mut response = https::respond(answer.status, answer.body, &request_id);
                response.headers_mut().extend(answer.headers);
                response
            }
            Err(exception) => {
                tracing::info!(operation, %request_id, %exception, "refused");
                https::respond(exception.status(), exception.body().into(), &request_id)
            }
        }
    }
}

impl Shared {
    async fn answer(&self, parts: &Parts, operation: &str, body: Bytes) -> Result<Answer, Exception> {
        if of_ecr(parts) {
            if let Some(exception) = self.faults.next(operation) {
                return Err(exception);
            }
            if operation == REPLICATION_STATUS {
                return self.replication_status(parts, &body).await.map(own);
            }
            if let Some(registry) = self.registry.as_ref().filter(|_| images::OPERATIONS.contains(&operation)) {
                return self.images(parts, operation, &body, registry).await.map(own);
            }
        }
        self.upstream.forward(parts, body, None).await.map_err(unavailable)
    }

    async fn images(
        &self,
        parts: &Parts,
        operation: &str,
        body: &Bytes,
        registry: &Registry,
    ) -> Result<Value, Exception> {
        let input: images::Input = parse(body)?;
        input.check()?;
        let account = self.account_with(parts, input.repository_name(), body).await?;
        self.repository(registry, &account, input.repository_name()).answer(operation, &input).await
    }

    fn repository<'a>(&'a self, registry: &'a Registry, account: &'a str, name: &'a str) -> Repository<'a> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Repository { registry, account, name, seen: &self.seen, now }
    }

    async fn replication_status(&self, parts: &Parts, body: &Bytes) -> Result<Value, Exception> {
        let input: replication::Input = parse(body)?;
        let name = input.repository_name.as_str();
        images::check_name(name)?;
        input.image_id.check()?;
        let account = self.account_with(parts, name, body).await?;
        let digest = self.digest(parts, &account, &input).await?;
        let registry = self.as_caller(parts, "DescribeRegistry", &json!({})).await?;
        let configuration = Configuration::deserialize(&registry["replicationConfiguration"]);
        let configuration = configuration.map_err(|_| Exception::failure("ServerException"))?;
        let mut statuses = Vec::new();
        for destination in configuration.destinations(name) {
            let state = self.replicate(&account, name, &digest, &destination).await?;
            statuses.push(destination.answer(&state));
        }
        let image_id = serde_json::from_slice::<Value>(body).unwrap_or_default()["imageId"].take();
        Ok(json!({ "repositoryName": name, "imageId": image_id, "replicationStatuses": statuses }))
    }

    /// The digest of the image that is asked for.
    async fn digest(&self, parts: &Parts, account: &str, input: &replication::Input) -> Result<String, Exception> {
        if let Some(registry) = &self.registry {
            let repository = self.repository(registry, account, &input.repository_name);
            return Ok(repository.find(&input.image_id).await?.manifest.digest);
        }
        let asked = json!({ "repositoryName": input.repository_name, "imageIds": [input.image_id.json()] });
        let found = self.as_caller(parts, "DescribeImages", &asked).await?;
        let digest = found["imageDetails"][0]["imageDigest"].as_str();
        digest.map(str::to_owned).ok_or_else(|| Exception::failure("ServerException"))
    }

    /// How far an image is, and, once it is there, the repository that it is in.
    async fn replicate(
        &self,
        account: &str,
        name: &str,
        digest: &str,
        destination: &Destination,
    ) -> Result<State, Exception> {
        let arn = format!("arn:aws:ecr:{}:{}:repository/{name}", destination.region, destination.registry_id);
        let named = json!({ "repositoryNames": [name] });
        let exists = self.at(destination, "DescribeRepositories", &named).await?.is_ok();
        if destination.registry_id != account {
            let policy = self.at(destination, "GetRegistryPolicy", &json!({})).await?.unwrap_or_default();
            let policy = policy["policyText"].as_str().unwrap_or(r#"{"Statement":[]}"#);
            let needed: &[&str] =
                if exists { &["ecr:ReplicateImage"] } else { &["ecr:ReplicateImage", "ecr:CreateRepository"] };
            for action in needed {
                if !allows(policy, account, action, &arn)? {
                    // AWS does not publish its codes; this one says what is wrong.
                    return Ok(State::Failed("AccessDenied".to_owned()));
                }
            }
        }
        let state = self.replications.look(&format!("{account}/{name}@{digest}"), destination);
        if state == State::Complete && !exists {
            let created = self.at(destination, "CreateRepository", &json!({ "repositoryName": name })).await?;
            created?;
        }
        Ok(state)
    }

    /// The caller's account, if it has this repository; the request's `registryId` may name another.
    async fn account_with(&self, parts: &Parts, repository: &str, body: &Bytes) -> Result<String, Exception> {
        let registry_id = serde_json::from_slice::<Value>(body).unwrap_or_default()["registryId"].take();
        let mut input = json!({ "repositoryNames": [repository] });
        if !registry_id.is_null() {
            input["registryId"] = registry_id.clone();
        }
        let found = self.as_caller(parts, "DescribeRepositories", &input).await?;
        found["repositories"][0]["registryId"].as_str().map(str::to_owned).ok_or_else(|| {
            let message =
                format!("The repository with name '{repository}' does not exist in the registry with id {registry_id}");
            Exception::new("RepositoryNotFoundException", message)
        })
    }

    /// Asks moto in the caller's name.
    async fn as_caller(&self, parts: &Parts, operation: &str, input: &Value) -> Result<Value, Exception> {
        let mut parts = parts.clone();
        let target = HeaderValue::from_str(&format!("{}{operation}", ECR.target));
        parts.headers.insert("x-amz-target", target.map_err(|_| Exception::failure("ServerException"))?);
        let answer = self.upstream.forward(&parts, Bytes::from(input.to_string()), None).await.map_err(unavailable)?;
        accepted(&answer)?
    }

    /// Asks moto in a destination's name.
    async fn at(
        &self,
        destination: &Destination,
        operation: &str,
        input: &Value,
    ) -> Result<Result<Value, Exception>, Exception> {
        let whose = (destination.registry_id.as_str(), destination.region.as_str());
        let answer = self.upstream.ask(&ECR, operation, whose, input).await.map_err(unavailable)?;
        accepted(&answer)
    }
}

/// What moto answered, be it a refusal; another failure is not one to go on with.
fn accepted(answer: &Answer) -> Result<Result<Value, Exception>, Exception> {
    if answer.status.is_success() {
        return Ok(Ok(answer.json()));
    }
    Exception::of(answer).map(Err).ok_or_else(|| {
        tracing::error!(status = %answer.status, "moto failed");
        Exception::failure("ServerException")
    })
}

fn own(answer: Value) -> Answer {
    Answer { status: StatusCode::OK, headers: http::HeaderMap::new(), body: answer.to_string().into() }
}

fn of_ecr(parts: &Parts) -> bool {
    https::text(&parts.headers, "x-amz-target").is_some_and(|target| target.starts_with(ECR.target))
}

/// The operation's name: in a header in the JSON protocols, and in the body's form in STS's and IAM's.
fn operation(parts: &Parts, body: &[u8]) -> String {
    if let Some(target) = https::text(&parts.headers, "x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    form.split('&').find_map(|field| field.strip_prefix("Action=")).unwrap_or_default().to_owned()
}

fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Exception> {
    serde_json::from_slice(body).map_err(|error| Exception::new("SerializationException", error.to_string()))
}

fn unavailable(error: UpstreamError) -> Exception {
    tracing::error!(%error, "moto gave no answer");
    Exception::failure("ServerException")
}
