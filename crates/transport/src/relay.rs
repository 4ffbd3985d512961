//! Bytes from one stream to another and back.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::Instant;

use crate::{Error, limits};

/// Bounds of one relayed connection.
#[derive(Clone, Debug)]
pub struct RelayLimits {
    /// Bytes held for each direction. A reader that is slow makes the writer wait; nothing more is buffered.
    pub buffer_bytes: usize,
    /// A connection on which no byte moves, in neither direction, for this long is cut.
    pub idle_timeout: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self { buffer_bytes: limits::RELAY_BUFFER_BYTES, idle_timeout: limits::RELAY_IDLE_TIMEOUT }
    }
}

/// Bytes delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// From the first stream to the second.
    pub a_to_b: u64,
    /// From the second stream to the first.
    pub b_to_a: u64,
}

/// Carries bytes between `a` and `b` until both have ended. The end of one direction is passed on as a half-close while the
/// other direction goes on.
///
/// # Errors
/// [`Error::RelayIdle`] and [`Error::RelayBroken`], both with what was delivered until then.
pub async fn relay<A, B>(a: A, b: B, limits: &RelayLimits) -> Result<Relayed, Error>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let progress = Progress::new();
    let mut a = Watched { stream: a, written: &progress.b_to_a, progress: &progress };
    let mut b = Watched { stream: b, written: &progress.a_to_b, progress: &progress };
    let copied = copy_bidirectional_with_sizes(&mut a, &mut b, limits.buffer_bytes, limits.buffer_bytes);
    tokio::select! {
        result = copied => match result {
            Ok(_) => Ok(progress.relayed()),
            Err(source) => Err(Error::RelayBroken { source, relayed: progress.relayed() }),
        },
        () = progress.idle_for(limits.idle_timeout) => {
            Err(Error::RelayIdle { after: limits.idle_timeout, relayed: progress.relayed() })
        }
    }
}

struct Progress {
    start: Instant,
    /// Milliseconds after `start` at which the last byte moved.
    last: AtomicU64,
    a_to_b: AtomicU64,
    b_to_a: AtomicU64,
}

impl Progress {
    fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), a_to_b: AtomicU64::new(0), b_to_a: AtomicU64::new(0) }
    }

    fn mark(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn relayed(&self) -> Relayed {
        Relayed { a_to_b: self.a_to_b.load(Ordering::Relaxed), b_to_a: self.b_to_a.load(Ordering::Relaxed) }
    }

    async fn idle_for(&self, limit: Duration) {
        loop {
            let end = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(end).await;
        }
    }
}

/// A stream whose movements are noted.
struct Watched<'a, S> {
    stream: S,
    written: &'a AtomicU64,
    progress: &'a Progress,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) {
            self.progress.mark();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = result {
            self.written.fetch_add(count as u64, Ordering::Relaxed);
            self.progress.mark();
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
