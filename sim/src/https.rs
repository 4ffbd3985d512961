//! Serving over TLS: connections, bounded in number and in time, one request after another.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::exception::Exception;
use crate::limits::{HANDSHAKE_TIMEOUT, MAX_BODY, MAX_CONNECTIONS, READ_TIMEOUT};

/// The media type of AWS's JSON 1.1 protocol.
pub(crate) const JSON: &str = "application/x-amz-json-1.1";

/// A service: one request, one answer.
pub(crate) trait Serve: Send + Sync + 'static {
    fn serve(&self, request: Request<Incoming>) -> impl Future<Output = Response<Full<Bytes>>> + Send;
}

/// Why there is no listening.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be listened on: {error}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub error: std::io::Error,
}

/// Listens there, and says where that is.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |error| ListenError { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The names that a server's certificate is for: the given ones, the loopback's, and the address that it listens on.
pub(crate) fn names(given: Vec<String>, address: SocketAddr) -> Vec<String> {
    let mut names = given;
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.push(address.ip().to_string());
    names.sort();
    names.dedup();
    names
}

pub(crate) async fn accept(listener: TcpListener, acceptor: TlsAcceptor, service: Arc<impl Serve>) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Connections end with the server: the set aborts them when this task is dropped.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (acceptor, service) = (acceptor.clone(), Arc::clone(&service));
                connections.spawn(async move {
                    if let Err(error) = connection(stream, acceptor, service).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, service: Arc<impl Serve>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let stream = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await??;
    let service = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.serve(request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await?;
    Ok(())
}

/// Reads a request's body, as much of it as any operation needs.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, Exception> {
    let limited = timeout(READ_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await;
    let limited = limited.map_err(|_| Exception::new("RequestTimeoutException", "The body did not arrive in time"))?;
    match limited {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => {
            Err(Exception::new("RequestEntityTooLargeException", format!("A request has at most {MAX_BODY} bytes")))
        }
    }
}

/// An answer of the JSON 1.1 protocol, under an id of its own.
pub(crate) fn respond(status: StatusCode, body: Bytes, request_id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    if let Ok(request_id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", request_id);
    }
    response
}

/// A header's text, if it is there once and is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
