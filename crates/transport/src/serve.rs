//! The accept loop: bounded, and drained at its end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limits::{ACCEPT_PAUSE, DRAIN_TIMEOUT, MAX_CONNECTIONS};
use crate::{Listener, Peer, Stream};

/// Bounds of one listener.
#[derive(Clone, Debug)]
pub struct ServeLimits {
    /// Connections at once. Further ones wait in the system's own queue.
    pub max_connections: usize,
    /// How long connections may go on once the listener is to end.
    pub drain_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { max_connections: MAX_CONNECTIONS, drain_timeout: DRAIN_TIMEOUT }
    }
}

/// Accepts connections and runs `handler` for each, until `shutdown` completes. Then nothing more is accepted, the listener is closed, and
/// open connections have their drain time before they are cut.
pub async fn serve<S, H, F>(listener: Listener, limits: &ServeLimits, shutdown: S, handler: H)
where
    S: Future<Output = ()>,
    H: Fn(Stream, Peer) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let next = async {
            // Never closed, so there is always a permit in the end.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (place, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let connection = handler(stream, peer);
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, address = %listener.local_address(), "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    let drained = timeout(limits.drain_timeout, async { while connections.join_next().await.is_some() {} }).await;
    if drained.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut at the end of their drain time");
    }
}
