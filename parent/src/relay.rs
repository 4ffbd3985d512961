//! The relay: a client's bytes to the enclave and back. It does not look at them, and could not read them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cloister_transport::{Error, Peer, RelayLimits, Stream, relay};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;

use crate::enclaves::Enclaves;
use crate::metrics as names;
use crate::quiet::Quiet;

/// What all relayed connections share.
pub(crate) struct Relay {
    enclaves: Arc<Enclaves>,
    dial_timeout: Duration,
    limits: RelayLimits,
    places: Semaphore,
    full: Quiet,
    missed: Quiet,
    unreachable: Quiet,
}

impl Relay {
    pub(crate) fn new(enclaves: Arc<Enclaves>, most: usize, dial_timeout: Duration, limits: RelayLimits) -> Arc<Self> {
        let places = Semaphore::new(most);
        let (full, missed, unreachable) = Default::default();
        Arc::new(Self { enclaves, dial_timeout, limits, places, full, missed, unreachable })
    }

    /// Carries one client until both sides have ended. Whoever finds no place or no enclave is closed at once.
    pub(crate) async fn carry(self: Arc<Self>, client: Stream, peer: Peer) {
        let Ok(_place) = self.places.try_acquire() else {
            counter!(names::RELAY_REFUSED, "reason" => "full").increment(1);
            if let Some(suppressed) = self.full.admit() {
                tracing::warn!(%peer, suppressed, "a client was closed: too many are connected");
            }
            return;
        };
        let _open = Open::new();
        let (_counted, enclave) = match self.dial().await {
            Ok(reached) => reached,
            Err(error) => {
                counter!(names::RELAY_REFUSED, "reason" => "unreachable").increment(1);
                if let Some(suppressed) = self.unreachable.admit() {
                    tracing::warn!(%peer, %error, suppressed, "a client was closed: the enclave cannot be reached");
                }
                return;
            }
        };
        let ended = match relay(Counted::new(client), enclave, &self.limits).await {
            Ok(_) => "closed",
            Err(Error::RelayIdle { .. }) => "idle",
            Err(error) => {
                tracing::debug!(%peer, %error, "a client's connection broke");
                "broken"
            }
        };
        counter!(names::RELAY_ENDED, "how" => ended).increment(1);
    }

    /// The first enclave that can be reached, in the order of preference; else why the preferred one cannot.
    async fn dial(&self) -> Result<(crate::enclave::Open, Stream), String> {
        let mut reason = None;
        for enclave in self.enclaves.for_client() {
            // Counted before it is dialled: an enclave that begins to drain meanwhile waits for this client.
            let Some(open) = enclave.open() else { continue };
            match enclave.dial(self.dial_timeout).await {
                Ok(stream) => return Ok((open, stream)),
                Err(error) => {
                    counter!(names::RELAY_MISSED, "enclave" => enclave.name().to_owned()).increment(1);
                    if let Some(suppressed) = self.missed.admit() {
                        tracing::warn!(enclave = enclave.name(), %error, suppressed, "a client was not taken");
                    }
                    reason = reason.or(Some(error.to_string()));
                }
            }
        }
        Err(reason.unwrap_or_else(|| "every enclave drains".to_owned()))
    }
}

/// One connection in the gauge, however it ends.
struct Open(Gauge);

impl Open {
    fn new() -> Self {
        let gauge = gauge!(names::RELAY_CONNECTIONS);
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A client's stream whose bytes are counted as they pass: connections live for hours, and the counters should not wait.
struct Counted {
    stream: Stream,
    to_enclave: Counter,
    from_enclave: Counter,
}

impl Counted {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            to_enclave: counter!(names::RELAY_BYTES, "direction" => "to_enclave"),
            from_enclave: counter!(names::RELAY_BYTES, "direction" => "from_enclave"),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.to_enclave.increment((buf.filled().len() - before) as u64);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = result {
            self.from_enclave.increment(count as u64);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
