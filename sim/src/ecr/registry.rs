//! The registry in which the images lie: a client of the distribution specification, as much of it as ECR's answers take.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Bytes;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::limits::MAX_TAGS;
use crate::exception::Exception;
use crate::https;
use crate::limits::UPSTREAM_TIMEOUT;
use crate::upstream::{Answer, UpstreamError, exchange};

/// Every kind of manifest that an image may have: a registry that is not told answers with another one.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json, \
                         application/vnd.docker.distribution.manifest.list.v2+json";

/// Where the registry is, and as whom it is asked.
///
/// It has no `Debug`: it holds a password.
#[derive(Clone)]
pub struct RegistryAccess {
    /// Host and port, as in an image's name: `localhost:5000`.
    pub host: String,
    /// The authority of its certificate, in PEM.
    pub ca_pem: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: String,
}

/// Why a registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The authority.
    #[error("the registry's authority is not a certificate in PEM")]
    Authority,
    /// The host.
    #[error("the registry's host {0:?} is not HOST:PORT")]
    Host(String),
    /// TLS.
    #[error("the registry cannot be reached over TLS: {0}")]
    Tls(#[from] rustls::Error),
}

pub(super) struct Registry {
    access: RegistryAccess,
    name: ServerName<'static>,
    connector: TlsConnector,
}

/// A manifest as the registry gave it.
#[derive(Clone)]
pub(super) struct Manifest {
    pub(super) digest: String,
    pub(super) media_type: String,
    pub(super) text: String,
}

/// An image with its tags, sorted.
pub(super) struct Image {
    pub(super) manifest: Manifest,
    pub(super) tags: Vec<String>,
}

impl Manifest {
    /// The bytes of the configuration and the layers; none for an index, as in ECR.
    pub(super) fn size(&self) -> Option<u64> {
        let manifest: Value = serde_json::from_str(&self.text).ok()?;
        let layers = manifest["layers"].as_array()?.iter();
        layers.chain([&manifest["config"]]).map(|part| part["size"].as_u64()).sum()
    }
}

impl Registry {
    pub(super) fn new(access: RegistryAccess) -> Result<Self, RegistryError> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(access.ca_pem.as_bytes());
        roots.add(authority.map_err(|_| RegistryError::Authority)?).map_err(|_| RegistryError::Authority)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let wrong = || RegistryError::Host(access.host.clone());
        let (host, _) = access.host.rsplit_once(':').ok_or_else(wrong)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong())?;
        Ok(Self { access, name, connector: TlsConnector::from(Arc::new(tls)) })
    }

    /// The images of a repository that have tags, in the order of their digests.
    pub(super) async fn images(&self, repository: &str) -> Result<Vec<Image>, Exception> {
        let answer = self.request(Method::GET, &format!("{repository}/tags/list")).await?;
        let tags = match answer.status {
            StatusCode::OK => answer.json()["tags"].as_array().cloned().unwrap_or_default(),
            // ECR makes an empty repository; a registry has none before the first push.
            StatusCode::NOT_FOUND => Vec::new(),
            status => return Err(unexpected(status)),
        };
        if tags.len() > MAX_TAGS {
            return Err(Exception::new("LimitExceededException", format!("More than {MAX_TAGS} tags")));
        }
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        for tag in tags.iter().filter_map(Value::as_str) {
            // A tag may go between the two requests.
            let Some(manifest) = self.manifest(repository, tag).await? else { continue };
            let image = images.entry(manifest.digest.clone());
            image.or_insert_with(|| Image { manifest, tags: Vec::new() }).tags.push(tag.to_owned());
        }
        let mut images: Vec<Image> = images.into_values().collect();
        images.iter_mut().for_each(|image| image.tags.sort());
        Ok(images)
    }

    /// The manifest under a tag or a digest. The digest is computed here, whatever the registry says.
    pub(super) async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Manifest>, Exception> {
        let answer = self.request(Method::GET, &format!("{repository}/manifests/{reference}")).await?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(unexpected(status)),
        }
        let digest = format!("sha256:{}", hex::encode(digest(&SHA256, &answer.body)));
        let media_type = https::text(&answer.headers, "content-type").unwrap_or_default().to_owned();
        let text = String::from_utf8(answer.body.to_vec()).map_err(|_| Exception::failure("ServerException"))?;
        Ok(Some(Manifest { digest, media_type, text }))
    }

    pub(super) async fn delete(&self, repository: &str, digest: &str) -> Result<bool, Exception> {
        let answer = self.request(Method::DELETE, &format!("{repository}/manifests/{digest}")).await?;
        match answer.status {
            StatusCode::ACCEPTED => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(unexpected(status)),
        }
    }

    async fn request(&self, method: Method, path: &str) -> Result<Answer, Exception> {
        let asked = timeout(UPSTREAM_TIMEOUT, self.ask(method, path)).await;
        let asked = asked.unwrap_or_else(|_| Err(UpstreamError::Time(self.access.host.clone())));
        asked.map_err(|error| {
            tracing::error!(%error, path, "the registry gave no answer");
            Exception::failure("ServerException")
        })
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Answer, UpstreamError> {
        let RegistryAccess { host, user, password, .. } = &self.access;
        let request = Request::builder()
            .method(method)
            .uri(format!("/v2/{path}"))
            .header(header::HOST, host)
            .header(header::ACCEPT, MANIFESTS)
            .header(header::AUTHORIZATION, format!("Basic {}", BASE64.encode(format!("{user}:{password}"))))
            .body(Full::new(Bytes::new()))?;
        let connect = |error| UpstreamError::Connect(host.clone(), error);
        let stream = TcpStream::connect(host).await.map_err(connect)?;
        let stream = self.connector.connect(self.name.clone(), stream).await.map_err(connect)?;
        exchange(stream, request, host).await
    }
}

fn unexpected(status: StatusCode) -> Exception {
    tracing::error!(%status, "the registry refused");
    Exception::failure("ServerException")
}
