//! Bytes from one stream to another and back.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::{Error, limits};

/// Bounds of one relayed connection.
#[derive(Clone, Debug)]
pub struct RelayLimits {
    /// Bytes held for each direction. A reader that is slow makes the writer wait; nothing more is buffered.
    pub buffer_bytes: usize,
    /// A connection on which no byte moves, in neither direction, for this long is cut.
    pub idle_timeout: Duration,
    /// Once one direction has ended, a connection on which no byte moves for this long is cut. A side that has gone then
    /// holds no place for long, however silent the other is.
    pub half_close_timeout: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            buffer_bytes: limits::RELAY_BUFFER_BYTES,
            idle_timeout: limits::RELAY_IDLE_TIMEOUT,
            half_close_timeout: limits::RELAY_HALF_CLOSE_TIMEOUT,
        }
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
/// other direction goes on, for as long as bytes still move in it.
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
        after = progress.idle(limits) => Err(Error::RelayIdle { after, relayed: progress.relayed() }),
    }
}

struct Progress {
    start: Instant,
    /// Milliseconds after `start` at which the last byte moved.
    last: AtomicU64,
    a_to_b: AtomicU64,
    b_to_a: AtomicU64,
    /// Whether one side has said all that it will.
    half_closed: AtomicBool,
    closing: Notify,
}

impl Progress {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: AtomicU64::new(0),
            a_to_b: AtomicU64::new(0),
            b_to_a: AtomicU64::new(0),
            half_closed: AtomicBool::new(false),
            closing: Notify::new(),
        }
    }

    fn mark(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    fn relayed(&self) -> Relayed {
        Relayed { a_to_b: self.a_to_b.load(Ordering::Relaxed), b_to_a: self.b_to_a.load(Ordering::Relaxed) }
    }

    fn half_close(&self) {
        self.half_closed.store(true, Ordering::Relaxed);
        self.closing.notify_one();
    }

    /// Waits until nothing has moved for too long, and says how long that was.
    async fn idle(&self, limits: &RelayLimits) -> Duration {
        loop {
            let limit = if self.half_closed.load(Ordering::Relaxed) {
                limits.half_close_timeout.min(limits.idle_timeout)
            } else {
                limits.idle_timeout
            };
            let end = self.start + Duration::from_millis(self.last.load(Ordering::Relaxed)) + limit;
            if Instant::now() >= end {
                return limit;
            }
            tokio::select! {
                () = sleep_until(end) => {}
                () = self.closing.notified() => {}
            }
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
        let (before, room) = (buf.filled().len(), buf.remaining());
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if matches!(result, Poll::Ready(Ok(()))) {
            self.progress.mark();
            if room > 0 && buf.filled().len() == before {
                self.progress.half_close();
            }
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
