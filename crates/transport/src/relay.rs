//! Bytes both ways between two streams, with each side's end carried to the other.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Error;
use crate::limits::{RELAY_BUFFER_BYTES, RELAY_IDLE_TIMEOUT};

/// Bounds of one relayed connection.
#[derive(Clone, Debug)]
pub struct RelayLimits {
    /// Nothing moved in either direction for that long: the connection ends.
    pub idle_timeout: Duration,
    /// Held in each direction; a full buffer makes its writer wait.
    pub buffer_bytes: usize,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self { idle_timeout: RELAY_IDLE_TIMEOUT, buffer_bytes: RELAY_BUFFER_BYTES }
    }
}

/// How much went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relayed {
    /// Bytes from the first stream to the second.
    pub a_to_b: u64,
    /// Bytes from the second stream to the first.
    pub b_to_a: u64,
}

/// Relays until both sides have ended their halves. One side's end closes the writing half of the other, and leaves the opposite
/// direction open.
///
/// # Errors
/// [`Error::Broken`] when a stream fails, [`Error::Idle`] when nothing moves.
pub async fn relay<A, B>(a: A, b: B, limits: &RelayLimits) -> Result<Relayed, Error>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (mut a_read, mut a_write) = tokio::io::split(a);
    let (mut b_read, mut b_write) = tokio::io::split(b);
    let moved = watch::Sender::new(Instant::now());
    let both = async {
        tokio::try_join!(
            copy(&mut a_read, &mut b_write, limits.buffer_bytes, &moved),
            copy(&mut b_read, &mut a_write, limits.buffer_bytes, &moved),
        )
    };
    tokio::select! {
        done = both => {
            let (a_to_b, b_to_a) = done?;
            Ok(Relayed { a_to_b, b_to_a })
        }
        () = idle(&moved, limits.idle_timeout) => Err(Error::Idle { after: limits.idle_timeout }),
    }
}

async fn copy<R, W>(from: &mut R, to: &mut W, buffer: usize, moved: &watch::Sender<Instant>) -> io::Result<u64>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; buffer.max(1)];
    let mut total = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        moved.send_replace(Instant::now());
        if length == 0 {
            return match to.shutdown().await {
                // The other side has gone altogether, which ends this direction as well.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(total),
                other => other.map(|()| total),
            };
        }
        to.write_all(&buffer[..length]).await?;
        to.flush().await?;
        moved.send_replace(Instant::now());
        total += length as u64;
    }
}

async fn idle(moved: &watch::Sender<Instant>, timeout: Duration) {
    loop {
        let due = *moved.borrow() + timeout;
        sleep_until(due).await;
        if *moved.borrow() + timeout <= Instant::now() {
            return;
        }
    }
}
