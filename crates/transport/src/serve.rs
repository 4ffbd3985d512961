//! The accept loop: bounded, and ended by draining.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

use crate::{Listener, Peer, Stream, limits};

/// Bounds of one accept loop.
#[derive(Clone, Debug)]
pub struct ServeLimits {
    /// Connections handled at once.
    pub max_connections: usize,
    /// What happens to those past that number.
    pub overflow: Overflow,
    /// After the shutdown began, how long connections may take to finish before they are cut.
    pub drain_timeout: Duration,
}

/// What happens to a connection past the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits in the system's queue until another ends.
    #[default]
    Wait,
    /// It is closed at once, so that whoever connected can try elsewhere.
    Close,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            max_connections: limits::MAX_CONNECTIONS,
            overflow: Overflow::default(),
            drain_timeout: limits::DRAIN_TIMEOUT,
        }
    }
}

/// How an accept loop went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections handled.
    pub handled: u64,
    /// Connections closed unhandled, because there were too many.
    pub refused: u64,
    /// Connections cut at the end, because they did not finish in time.
    pub cut: usize,
}

/// Accepts connections and runs `handler` on each, as a task of its own, until `shutdown` is ready. Then it stops listening and
/// waits for the connections that there are. Dropping the future cuts them all.
pub async fn serve<F, T>(
    listener: Listener,
    limits: &ServeLimits,
    shutdown: impl Future<Output = ()>,
    handler: F,
) -> Served
where
    F: Fn(Stream, Peer) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut served = Served::default();
    tokio::select! {
        () = shutdown => {}
        () = accept(&listener, limits, &handler, &mut connections, &mut served) => {}
    }
    drop(listener);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            note(ended);
        }
    };
    if timeout(limits.drain_timeout, drained).await.is_err() {
        served.cut = connections.len();
        tracing::warn!(connections = served.cut, "connections did not finish in time and are cut");
        connections.shutdown().await;
    }
    served
}

/// Never returns; a select ends it.
async fn accept<F, T>(
    listener: &Listener,
    limits: &ServeLimits,
    handler: &F,
    connections: &mut JoinSet<()>,
    served: &mut Served,
) where
    F: Fn(Stream, Peer) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        while let Some(ended) = connections.try_join_next() {
            note(ended);
        }
        let waiting = match limits.overflow {
            Overflow::Wait => places.clone().acquire_owned().await.ok(),
            Overflow::Close => None,
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, address = %listener.local_address(), "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = waiting.or_else(|| places.clone().try_acquire_owned().ok()) else {
            served.refused += 1;
            tracing::warn!(%peer, limit = limits.max_connections, "a connection was closed: too many at once");
            continue;
        };
        served.handled += 1;
        let handled = handler(stream, peer);
        connections.spawn(async move {
            handled.await;
            drop(place);
        });
    }
}

fn note(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's handler panicked");
    }
}
