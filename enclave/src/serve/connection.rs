//! From an accepted stream to HTTP: TLS within its time, then HTTP/1.1 or 2 within its bounds.

use std::future::Future;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use cloister_transport::{Listener, ServeLimits, Stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::access::Shown;
use crate::disclose::metrics::{Count, count};
use crate::drain::Drain;
use crate::identity::{Identity, Rotation};
use crate::limits;

pub(super) async fn serve(
    listener: Listener,
    keys: Arc<Rotation>,
    router: Router,
    drain: Drain,
    shutdown: impl Future<Output = ()> + Send,
) {
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
    let handle = move |stream: Stream| one(stream, keys.current(), router.clone(), drain.clone(), ended.clone());
    cloister_transport::serve(listener, &serve_limits, shutdown, move |stream, _peer| handle(stream)).await;
}

async fn one(stream: Stream, identity: Arc<Identity>, router: Router, drain: Drain, mut ended: watch::Receiver<bool>) {
    let _connected = drain.connect();
    let handshake = TlsAcceptor::from(identity.tls()).accept(stream);
    let stream = match timeout(limits::HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) | Err(_) => return count(Count::HandshakeRefused),
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let builder = builder(http2);
    let shown = stream.get_ref().1.peer_certificates().map(|chain| Shown(chain.into()));
    let (open, requests) = watch::channel(0);
    let leaving = drain.clone();
    let counted = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&identity));
        shown.clone().map(|shown| request.extensions_mut().insert(shown));
        let (answer, open, leaving) = (router.clone().oneshot(request), Open::count(&open), leaving.clone());
        async move {
            let mut answer = answer.await;
            // One that took no time is over before anybody sees that there was a request.
            if leaving.is_asked() && !http2 {
                answer = answer.map(closing);
            }
            drop(open);
            answer
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), counted);
    tokio::pin!(connection);
    let patience = tokio::select! {
        result = connection.as_mut() => return closed(result),
        () = idle(requests.clone()) => limits::GOODBYE_TIMEOUT,
        () = drain.leaving(http2, requests) => limits::CONNECTION_LIFETIME,
        () = tokio::time::sleep(limits::CONNECTION_LIFETIME) => limits::DRAIN_TIMEOUT,
        _ = ended.wait_for(|ended| *ended) => limits::DRAIN_TIMEOUT,
    };
    connection.as_mut().graceful_shutdown();
    match timeout(patience, connection).await {
        Ok(result) => closed(result),
        Err(_) => count(Count::ConnectionBroken),
    }
}

/// An answer after which its connection is closed (RFC 9112, section 9.6).
fn closing(mut answer: Response) -> Response {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// HTTP as TLS agreed on it (RFC 7301); 1.1 with a client that named nothing.
fn builder(http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::CONNECTION_IDLE_TIMEOUT)
        .max_buf_size(limits::HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::HTTP2_STREAMS)
        .initial_stream_window_size(limits::HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::HTTP2_CONNECTION_WINDOW_BYTES)
        .max_header_list_size(limits::HTTP2_HEAD_BYTES)
        .keep_alive_interval(limits::CONNECTION_IDLE_TIMEOUT)
        .keep_alive_timeout(limits::UPLOAD_IDLE_TIMEOUT);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}

/// A request that is being answered.
struct Open(watch::Sender<usize>);

impl Open {
    fn count(open: &watch::Sender<usize>) -> Self {
        open.send_modify(|requests| *requests += 1);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|requests| *requests -= 1);
    }
}

/// Completes when a connection has asked for nothing at first, or for long. An HTTP/2 client could hold it by pings else.
async fn idle(mut requests: watch::Receiver<usize>) {
    let mut patience = limits::REQUEST_HEAD_TIMEOUT;
    loop {
        match timeout(patience, requests.changed()).await {
            Ok(Ok(())) => patience = limits::CONNECTION_IDLE_TIMEOUT,
            Ok(Err(_)) => return,
            Err(_) if *requests.borrow() == 0 => return,
            Err(_) => {}
        }
    }
}

fn closed<E>(result: Result<(), E>) {
    if result.is_err() {
        count(Count::ConnectionBroken);
    }
}
