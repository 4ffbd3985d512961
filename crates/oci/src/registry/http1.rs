//! One request and its answer, on a connection of their own.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cloister_transport::{Address, Stream, connect_through, dial};
use futures_util::TryStreamExt;
use futures_util::stream::try_unfold;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::answer::Answer;
use super::target::Target;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::limits;

/// What a request carries. It can be sent again.
pub(super) enum Payload<'a> {
    Empty,
    Bytes(&'a [u8]),
    File { path: &'a Path, blob: Digest, size: u64, watcher: &'a Arc<dyn super::Watcher> },
}

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The way to registries.
pub(super) struct Wire {
    tls: Arc<ClientConfig>,
    pub(super) plain: bool,
    proxy: Option<Address>,
}

impl Wire {
    pub(super) fn new(roots: RootCertStore, plain: bool, proxy: Option<Address>) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Arc::new(tls), plain, proxy })
    }

    /// Asks, and gives the answer's head; its body is still to be read.
    pub(super) async fn send(
        &self,
        target: &Target,
        method: &Method,
        headers: HeaderMap,
        payload: &Payload<'_>,
    ) -> Result<Answer> {
        let moved = Arc::new(AtomicU64::new(0));
        let request = request(target, method, headers, payload, &moved).await?;
        if !target.tls {
            let stream = self.reach(target).await?;
            return ask(stream, request, target, &moved).await;
        }
        let connect = async {
            let stream = self.reach(target).await?;
            self.secure(target, stream).await
        };
        let stream = timeout(limits::CONNECT_TIMEOUT, connect).await.map_err(|_| Error::Unreachable {
            host: target.authority.clone(),
            source: format!("no TLS connection within {} s", limits::CONNECT_TIMEOUT.as_secs()).into(),
        })??;
        ask(stream, request, target, &moved).await
    }

    async fn reach(&self, target: &Target) -> Result<Stream> {
        let Target { host, port, .. } = target;
        let reached = match &self.proxy {
            // This machine's own registries are not behind a proxy.
            Some(proxy) if !super::target::is_loopback(host) => {
                connect_through(proxy, host, *port, limits::CONNECT_TIMEOUT).await
            }
            _ => dial(&Address::Tcp { host: host.clone(), port: *port }, limits::CONNECT_TIMEOUT).await,
        };
        reached.map_err(|source| Error::Unreachable { host: target.authority.clone(), source: source.into() })
    }

    async fn secure(&self, target: &Target, stream: Stream) -> Result<tokio_rustls::client::TlsStream<Stream>> {
        let host = || target.authority.clone();
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| Error::Unreachable { host: host(), source: error.into() })?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        connector.connect(name, stream).await.map_err(|source| {
            let tls = source.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match tls {
                Some(rustls::Error::InvalidCertificate(_)) => Error::NotTrusted { host: host(), source: source.into() },
                Some(_) => Error::Unreachable { host: host(), source: source.into() },
                None => Error::Broken { host: host(), reason: source.to_string() },
            }
        })
    }
}

async fn request(
    target: &Target,
    method: &Method,
    mut headers: HeaderMap,
    payload: &Payload<'_>,
    moved: &Arc<AtomicU64>,
) -> Result<Request<Body>> {
    let refused = |error: http::Error| Error::Protocol { host: target.authority.clone(), problem: error.to_string() };
    let host = HeaderValue::try_from(&target.authority).map_err(|error| refused(error.into()))?;
    headers.insert(header::HOST, host);
    let (body, size) = match payload {
        Payload::Empty => (Empty::new().map_err(|never| match never {}).boxed_unsync(), 0),
        Payload::Bytes(bytes) => {
            let body = Full::new(Bytes::copy_from_slice(bytes)).map_err(|never| match never {});
            (body.boxed_unsync(), bytes.len() as u64)
        }
        Payload::File { path, blob, size, watcher } => {
            (file_body(path, *blob, *size, Arc::clone(watcher), Arc::clone(moved)).await?, *size)
        }
    };
    if !matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
        // Without a length, the body would go in chunks, which registries take for another kind of upload.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    }
    let mut request = Request::builder().method(method).uri(&target.path).body(body).map_err(refused)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// A blob from its file, a piece at a time.
async fn file_body(
    path: &Path,
    blob: Digest,
    size: u64,
    watcher: Arc<dyn super::Watcher>,
    moved: Arc<AtomicU64>,
) -> Result<Body> {
    let file = tokio::fs::File::open(path).await.map_err(Error::file(path))?;
    let pieces = try_unfold(file.take(size), move |mut file| {
        let (watcher, moved) = (Arc::clone(&watcher), Arc::clone(&moved));
        async move {
            let mut piece = Vec::with_capacity(limits::CHUNK);
            let read = (&mut file).take(limits::CHUNK as u64).read_to_end(&mut piece).await?;
            if read == 0 {
                return Ok(None);
            }
            moved.fetch_add(read as u64, Ordering::Relaxed);
            watcher.event(super::Event::Moved { blob, bytes: read as u64 });
            Ok(Some((Frame::data(Bytes::from(piece)), file)))
        }
    });
    Ok(StreamBody::new(pieces.into_stream()).boxed_unsync())
}

async fn ask<S>(stream: S, request: Request<Body>, target: &Target, moved: &AtomicU64) -> Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |reason: String| Error::Broken { host: target.authority.clone(), reason };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::ANSWER_HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(|error| broken(reason(&error)))?;
    // Dropped with the answer, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let mut answer = pin!(sender.send_request(request));
    let mut before = 0;
    let response = loop {
        match timeout(limits::IDLE_TIMEOUT, &mut answer).await {
            Ok(response) => break response.map_err(|error| broken(reason(&error)))?,
            Err(_) => {
                let now = moved.load(Ordering::Relaxed);
                if now == before {
                    return Err(broken(format!("silence for {} s", limits::IDLE_TIMEOUT.as_secs())));
                }
                before = now;
            }
        }
    };
    Ok(Answer::new(response, target.authority.clone(), driver))
}

/// An error with what caused it, which hyper leaves to the caller.
pub(super) fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
