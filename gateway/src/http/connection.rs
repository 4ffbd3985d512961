//! From an accepted stream to HTTP: TLS within its time where it is the gateway's own, then HTTP/1.1 or 2 within its bounds.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use cloister_transport::{Listener, Peer, ServeLimits, Stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::caller::From;
use crate::limits;

/// Serves until `shutdown`, and then lets connections finish for a while.
pub(crate) async fn serve(
    listener: Listener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (ending, ended) = watch::channel(false);
    let shutdown = async move {
        shutdown.await;
        ending.send_replace(true);
    };
    let serve_limits = ServeLimits {
        max_connections: limits::MAX_CONNECTIONS,
        drain_timeout: limits::DRAIN_TIMEOUT,
        ..ServeLimits::default()
    };
    let handle = move |stream: Stream, peer: Peer| {
        let from = match peer {
            Peer::Tcp(address) => From(Some(address.ip().to_canonical())),
            _ => From(None),
        };
        one(stream, from, tls.clone(), router.clone(), ended.clone())
    };
    cloister_transport::serve(listener, &serve_limits, shutdown, handle).await;
}

async fn one(stream: Stream, from: From, tls: Option<Arc<ServerConfig>>, router: Router, ended: watch::Receiver<bool>) {
    let Some(tls) = tls else { return speak(stream, from, router, ended).await };
    // Whoever does not come through the handshake has nothing to be told.
    if let Ok(Ok(stream)) = timeout(limits::HANDSHAKE_TIMEOUT, TlsAcceptor::from(tls).accept(stream)).await {
        speak(stream, from, router, ended).await;
    }
}

async fn speak<S>(stream: S, from: From, router: Router, mut ended: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(from);
        router.clone().oneshot(request)
    });
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        // How it ended is its client's business.
        result = connection.as_mut() => return drop(result),
        _ = ended.wait_for(|ended| *ended) => {}
    }
    connection.as_mut().graceful_shutdown();
    drop(connection.await);
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEAD_TIMEOUT)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(limits::HEAD_TIMEOUT)
        .keep_alive_timeout(limits::UPLOAD_IDLE_TIMEOUT);
    builder
}
