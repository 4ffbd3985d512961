//! From an accepted stream to HTTP: TLS within its time, then HTTP/1.1 or 2 within its bounds.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use cloister_transport::{Listener, ServeLimits, Stream};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::limits;

/// HTTP/2 streams at once on one connection: an exam, and what a front end asks beside it.
const MAX_STREAMS: u32 = 16;

pub(super) async fn serve(
    listener: Listener,
    tls: Arc<ServerConfig>,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) {
    let acceptor = TlsAcceptor::from(tls);
    let (ending, ended) = watch::channel(false);
    let serve_limits = ServeLimits {
        max_connections: limits::MAX_CONNECTIONS,
        drain_timeout: limits::DRAIN_TIMEOUT,
        ..ServeLimits::default()
    };
    let shutdown = async move {
        shutdown.await;
        ending.send_replace(true);
    };
    let handle = move |stream: Stream| one(stream, acceptor.clone(), router.clone(), ended.clone());
    cloister_transport::serve(listener, &serve_limits, shutdown, move |stream, _peer| handle(stream)).await;
}

async fn one(stream: Stream, acceptor: TlsAcceptor, router: Router, mut ended: watch::Receiver<bool>) {
    let stream = match timeout(limits::HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refused(&error.to_string()),
        Err(_) => return refused("too slow"),
    };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::REQUEST_HEAD_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(limits::REQUEST_HEAD_TIMEOUT)
        .keep_alive_timeout(limits::UPLOAD_IDLE_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ending = async {
        tokio::select! {
            () = tokio::time::sleep(limits::CONNECTION_LIFETIME) => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    };
    tokio::select! {
        result = connection.as_mut() => return closed(result),
        () = ending => connection.as_mut().graceful_shutdown(),
    }
    closed(connection.await);
}

fn refused(reason: &str) {
    metrics::counter!("cloister_handshakes_refused_total").increment(1);
    tracing::debug!(reason, "no TLS handshake");
}

fn closed<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}
