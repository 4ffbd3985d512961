//! HTTP to the hospital's own services: a PACS, a provider of identities. One request a connection, whole bodies, bounded.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloister_transport::{Address, dial};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{files, limits};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A URL that is none for this.
    #[error("{0:?} is no http or https URL with a host")]
    Url(String),
    /// No connection.
    #[error(transparent)]
    Connect(#[from] cloister_transport::Error),
    /// No TLS.
    #[error("no TLS with {host}: {source}")]
    Tls {
        /// With whom.
        host: String,
        /// Why.
        source: std::io::Error,
    },
    /// No answer in time.
    #[error("no answer from {host} within {} s", after.as_secs())]
    Timeout {
        /// From whom.
        host: String,
        /// For how long was waited.
        after: Duration,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the answer of {host} is not whole: {reason}")]
    Broken {
        /// Whose.
        host: String,
        /// Why.
        reason: String,
    },
}

/// Whose certificates are believed.
pub(crate) enum Roots {
    /// Mozilla's, as built in.
    Public,
    /// These alone, in PEM.
    Pem(String),
}

impl Roots {
    /// Those of a file, or the public ones.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self, crate::Error> {
        Ok(match path {
            Some(path) => Self::Pem(files::text(path)?),
            None => Self::Public,
        })
    }
}

/// A client.
pub(crate) struct Outbound {
    tls: Arc<ClientConfig>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Outbound {
    pub(crate) fn new(roots: &Roots) -> Result<Self, crate::Error> {
        let unusable = |error: &dyn std::fmt::Display| crate::Error::Tls(error.to_string());
        let mut store = RootCertStore::empty();
        match roots {
            Roots::Public => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| unusable(&error))?;
                    store.add(certificate).map_err(|error| unusable(&error))?;
                }
            }
        }
        if store.is_empty() {
            return Err(crate::Error::Tls("there is no certificate of an authority".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(store)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls) })
    }

    /// Asks, and gives the whole answer, whatever its status.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        limit: usize,
    ) -> Result<Answer, Error> {
        let target = Target::of(url)?;
        let mut request = Request::builder().method(method).uri(&target.path);
        if let Some(there) = request.headers_mut() {
            *there = headers;
            let host = HeaderValue::try_from(&target.authority).map_err(|_| Error::Url(target.host.clone()))?;
            there.insert(header::HOST, host);
        }
        let request = request.body(Full::new(body)).map_err(|_| Error::Url(target.host.clone()))?;
        let exchanged = async {
            let address = Address::Tcp { host: target.host.clone(), port: target.port };
            let stream = dial(&address, limits::CONNECT_TIMEOUT).await?;
            if !target.tls {
                return ask(stream, request, &target, limit).await;
            }
            let name = ServerName::try_from(target.host.clone()).map_err(|_| Error::Url(target.host.clone()))?;
            let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream);
            let after = limits::CONNECT_TIMEOUT;
            let stream = timeout(after, tls).await.map_err(|_| target.late(after))?;
            let stream = stream.map_err(|source| Error::Tls { host: target.host.clone(), source })?;
            ask(stream, request, &target, limit).await
        };
        let after = limits::ANSWER_TIMEOUT;
        timeout(after, exchanged).await.map_err(|_| target.late(after))?
    }
}

struct Target {
    tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl Target {
    fn of(url: &str) -> Result<Self, Error> {
        let wrong = || Error::Url(url.split('?').next().unwrap_or_default().to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }

    fn late(&self, after: Duration) -> Error {
        Error::Timeout { host: self.host.clone(), after }
    }

    fn broken(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Broken { host: self.host.clone(), reason: reason.to_string() }
    }
}

async fn ask<S>(stream: S, request: Request<Full<Bytes>>, target: &Target, limit: usize) -> Result<Answer, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| target.broken(&error))?;
    // Dropped with this future, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| target.broken(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), limit).collect().await.map_err(|error| target.broken(&error))?;
    Ok(Answer { status, body: body.to_bytes() })
}
