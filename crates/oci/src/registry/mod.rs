//! A registry (distribution-spec 1.1), and what is asked of it.
//!
//! `oci-client` sends large blobs in many chunks or asks for other transports' help, and neither tries again, nor asks for credentials anew, nor
//! deletes; this speaks HTTP/1.1 over hyper itself, one connection for each request.

mod answer;
mod auth;
mod http1;
mod pull;
mod push;
mod retry;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloister_transport::Address;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::limits;
use crate::manifest::{DOCKER_INDEX, DOCKER_MANIFEST, IMAGE_INDEX, IMAGE_MANIFEST};
use crate::reference::{check_repository, check_tag, split_host};

use answer::Answer;
use auth::{Auth, Challenge};
use http1::{Payload, Wire};
use target::{Target, is_loopback};

pub use auth::{Credentials, Login};
pub use pull::PullLimits;
pub use push::{Push, Pushed, Taken};
pub use retry::Retry;

/// What happens while images travel.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A blob is at its destination already.
    Present {
        /// Which.
        blob: Digest,
        /// Its bytes.
        size: u64,
    },
    /// A blob begins, or begins again.
    Begun {
        /// Which.
        blob: Digest,
        /// Its bytes.
        size: u64,
    },
    /// More bytes of a blob went over the wire.
    Moved {
        /// Which.
        blob: Digest,
        /// Bytes since the last time.
        bytes: u64,
    },
    /// A blob is at its destination.
    Finished {
        /// Which.
        blob: Digest,
        /// Its bytes.
        size: u64,
    },
    /// Something failed and is tried again.
    Retry {
        /// What is tried.
        what: &'a str,
        /// Why it failed.
        reason: &'a Error,
        /// The number of the next try; the first is 1.
        attempt: u32,
        /// How many tries there are.
        of: u32,
        /// How long it waits before.
        pause: Duration,
    },
}

/// Who is told.
pub trait Watcher: Send + Sync {
    /// Called as things happen; it must not block.
    fn event(&self, event: Event<'_>);
}

impl<F: Fn(Event<'_>) + Send + Sync> Watcher for F {
    fn event(&self, event: Event<'_>) {
        self(event);
    }
}

/// How to reach a registry.
pub struct Builder {
    host: String,
    roots: rustls::RootCertStore,
    plain: bool,
    proxy: Option<Address>,
    credentials: Option<Arc<dyn Credentials>>,
    watcher: Arc<dyn Watcher>,
    retry: Retry,
}

impl Builder {
    /// Believes the certification authorities in this PEM as well as Mozilla's.
    ///
    /// # Errors
    /// [`Error::Tls`] when it is no PEM, or without a certificate.
    pub fn roots(mut self, pem: &str) -> Result<Self> {
        let mut added = 0;
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| Error::Tls(format!("the roots are not PEM: {error}")))?;
            self.roots.add(certificate).map_err(|error| Error::Tls(format!("a root is not usable: {error}")))?;
            added += 1;
        }
        if added == 0 {
            return Err(Error::Tls("the given PEM holds no certificate".to_owned()));
        }
        Ok(self)
    }

    /// Speaks plain HTTP, to a registry of this machine only.
    ///
    /// # Errors
    /// [`Error::Plain`] for any other host.
    pub fn plain_http(mut self) -> Result<Self> {
        let loopback = split_host(&self.host).is_some_and(|(name, _)| is_loopback(name));
        if !loopback {
            return Err(Error::Plain { host: self.host });
        }
        self.plain = true;
        Ok(self)
    }

    /// Goes out through an HTTP CONNECT proxy.
    pub fn proxy(mut self, proxy: Address) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Gives user and password when the registry asks for them. Without it, only what the registry shows everybody is reached.
    pub fn credentials(mut self, credentials: Arc<dyn Credentials>) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Tells what happens.
    pub fn watcher(mut self, watcher: Arc<dyn Watcher>) -> Self {
        self.watcher = watcher;
        self
    }

    /// Tries otherwise than by default.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The registry; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Tls`].
    pub fn build(self) -> Result<Registry> {
        let base = Target::of_registry(&self.host, self.plain)?;
        let wire = Wire::new(self.roots, self.plain, self.proxy)?;
        Ok(Registry {
            base,
            wire,
            auth: Auth::new(self.host, self.credentials),
            watcher: self.watcher,
            retry: self.retry,
            reached: AtomicBool::new(false),
        })
    }
}

/// A registry. It may be asked several things at a time.
pub struct Registry {
    base: Target,
    wire: Wire,
    auth: Auth,
    watcher: Arc<dyn Watcher>,
    retry: Retry,
    /// Whether it ever answered: a host that never did is more likely misspelt than restarting.
    reached: AtomicBool,
}

/// One request, which may have to be made several times.
struct Ask<'a> {
    method: Method,
    target: Target,
    accept: bool,
    content_type: Option<&'a str>,
    payload: Payload<'a>,
    scope: &'a str,
}

impl Registry {
    /// The registry at `HOST[:PORT]`.
    ///
    /// # Errors
    /// [`Error::BadReference`] when that is no host.
    pub fn at(host: &str) -> Result<Builder> {
        split_host(host).ok_or_else(|| Error::BadReference {
            text: crate::error::excerpt(host),
            problem: "a registry is HOST[:PORT]",
        })?;
        Ok(Builder {
            host: host.to_owned(),
            roots: rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
            plain: false,
            proxy: None,
            credentials: None,
            watcher: Arc::new(|_: Event<'_>| {}),
            retry: Retry::default(),
        })
    }

    /// `HOST[:PORT]`.
    pub fn host(&self) -> &str {
        self.auth.host()
    }

    /// The digest of the manifest or index at a tag or digest; none where there is none, or no such repository.
    ///
    /// # Errors
    /// [`Error::BadRepository`], [`Error::BadTag`], and those of asking a registry.
    pub async fn resolve(&self, repository: &str, reference: &str) -> Result<Option<Digest>> {
        let path = manifest_path(repository, reference)?;
        let scope = scope(repository, "pull");
        let mut tries = self.tries(format!("looking up {reference}"));
        loop {
            match self.resolve_once(&path, &scope).await {
                Ok(found) => return Ok(found),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    async fn resolve_once(&self, path: &str, scope: &str) -> Result<Option<Digest>> {
        let answer = self.call(&Ask::new(Method::HEAD, self.base.at(path)?, scope).accepting()).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => match answer.content_digest()? {
                Some(digest) => Ok(Some(digest)),
                // The header is optional; the bytes say it as well.
                None => Ok(self.get_manifest(path, scope).await?.map(|(bytes, _)| Digest::of(&bytes))),
            },
            _ => Err(answer.refused(path).await),
        }
    }

    /// A manifest's bytes, and the digest that the registry reports if it does.
    async fn get_manifest(&self, path: &str, scope: &str) -> Result<Option<(Vec<u8>, Option<Digest>)>> {
        let answer = self.call(&Ask::new(Method::GET, self.base.at(path)?, scope).accepting()).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::OK => {
                let reported = answer.content_digest()?;
                Ok(Some((answer.bytes("a manifest", limits::MANIFEST).await?, reported)))
            }
            _ => Err(answer.refused(path).await),
        }
    }

    /// Deletes a manifest with all of its tags; false where there was none.
    ///
    /// # Errors
    /// [`Error::Refused`] where the registry does not delete, and those of asking a registry.
    pub async fn delete_manifest(&self, repository: &str, digest: &Digest) -> Result<bool> {
        let path = manifest_path(repository, &digest.to_string())?;
        let scope = scope(repository, "pull,push,delete");
        let mut tries = self.tries(format!("deleting {digest}"));
        loop {
            let ask = Ask::new(Method::DELETE, self.base.at(&path)?, &scope);
            let outcome = match self.call(&ask).await {
                Ok(answer) => match answer.status() {
                    StatusCode::NOT_FOUND => Ok(false),
                    status if status.is_success() => Ok(true),
                    _ => Err(answer.refused(&path).await),
                },
                Err(error) => Err(error),
            };
            match outcome {
                Ok(deleted) => return Ok(deleted),
                Err(error) => tries.pause(error).await?,
            }
        }
    }

    /// Asks once, with credentials if the registry wants them, and with new ones if it refuses these.
    async fn call(&self, ask: &Ask<'_>) -> Result<Answer> {
        let ours = ask.target.same_authority(&self.base);
        let (mut presented, mut renewals) = (false, 0);
        loop {
            // Another host gets no credentials: an upload's or a download's address carries its own.
            let authorization = if ours { self.auth.header(ask.scope).await? } else { None };
            let authorised = authorization.is_some();
            let answer = self.wire.send(&ask.target, &ask.method, headers(ask, authorization)?, &ask.payload).await?;
            self.reached.store(true, Ordering::Relaxed);
            let refused = matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            if !ours || !refused {
                return Ok(answer);
            }
            let challenge = answer.challenge();
            let anew = if authorised {
                // HEAD has no words, so that expired and forbidden look alike: new credentials are tried for both.
                // A token that everybody gets expires as well.
                let for_all = matches!(challenge, Some(Challenge::Bearer { .. }));
                renewals += 1;
                renewals <= limits::RENEWALS && (self.auth.can_renew() || for_all)
            } else {
                !std::mem::replace(&mut presented, true) && challenge.is_some()
            };
            if !anew {
                return Err(answer.not_authorised().await);
            }
            self.auth.answer(&self.wire, challenge, ask.scope, authorised).await?;
        }
    }

    fn protocol(&self, problem: &str) -> Error {
        Error::Protocol { host: self.host().to_owned(), problem: problem.to_owned() }
    }

    fn repository_unknown(&self, repository: &str) -> Error {
        Error::RepositoryUnknown { host: self.host().to_owned(), repository: repository.to_owned() }
    }
}

impl<'a> Ask<'a> {
    fn new(method: Method, target: Target, scope: &'a str) -> Self {
        Self { method, target, accept: false, content_type: None, payload: Payload::Empty, scope }
    }

    /// Takes every kind of manifest.
    fn accepting(mut self) -> Self {
        self.accept = true;
        self
    }

    fn with(mut self, content_type: &'a str, payload: Payload<'a>) -> Self {
        self.content_type = Some(content_type);
        self.payload = payload;
        self
    }
}

fn headers(ask: &Ask<'_>, authorization: Option<HeaderValue>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, text: &str| -> Result<()> {
        let value = HeaderValue::try_from(text).map_err(|_| Error::Protocol {
            host: ask.target.authority.clone(),
            problem: "what it asks for cannot be sent in a header".to_owned(),
        })?;
        headers.append(name, value);
        Ok(())
    };
    set(header::USER_AGENT, concat!("cloister/", env!("CARGO_PKG_VERSION")))?;
    if ask.accept {
        for kind in [IMAGE_MANIFEST, IMAGE_INDEX, DOCKER_MANIFEST, DOCKER_INDEX] {
            set(header::ACCEPT, kind)?;
        }
    }
    if let Some(kind) = ask.content_type {
        set(header::CONTENT_TYPE, kind)?;
    }
    if let Some(authorization) = authorization {
        headers.insert(header::AUTHORIZATION, authorization);
    }
    Ok(headers)
}

fn scope(repository: &str, actions: &str) -> String {
    format!("repository:{repository}:{actions}")
}

fn manifest_path(repository: &str, reference: &str) -> Result<String> {
    check_repository(repository)?;
    if reference.contains(':') {
        reference.parse::<Digest>()?;
    } else {
        check_tag(reference)?;
    }
    Ok(format!("/v2/{repository}/manifests/{reference}"))
}
