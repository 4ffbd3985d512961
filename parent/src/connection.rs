//! One HTTP/1.1 connection over any transport, bounded in its head, its idleness and its life.

use std::pin::pin;

use axum::Router;
use cloister_transport::Stream;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::limits;

/// Serves `router` until the client leaves, the connection has lived for its time, or `stopping` lets it end after the
/// request at hand.
pub(crate) async fn serve(stream: Stream, router: Router, stopping: CancellationToken) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_TIMEOUT)
        .max_buf_size(limits::REQUEST_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = sleep(limits::CONNECTION_LIFETIME) => return,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection broke");
    }
}
