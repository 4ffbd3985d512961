//! Trying again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Event, Registry};
use crate::error::{Error, Result};
use crate::limits;

/// How often, and after which pauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries of one operation (a blob, a manifest, a look-up), the first included.
    pub tries: u32,
    /// The first pause; each next one may be twice as long.
    pub first_pause: Duration,
    /// The longest pause of our own choice.
    pub longest_pause: Duration,
    /// Most time of all pauses of one operation.
    pub pauses: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: limits::TRIES,
            first_pause: limits::FIRST_PAUSE,
            longest_pause: limits::LONGEST_PAUSE,
            pauses: limits::PAUSES,
        }
    }
}

/// One operation's tries.
pub(super) struct Tries<'a> {
    registry: &'a Registry,
    what: String,
    failed: u32,
    left: Duration,
}

impl Registry {
    pub(super) fn tries(&self, what: String) -> Tries<'_> {
        Tries { registry: self, what, failed: 0, left: self.retry.pauses }
    }
}

impl Tries<'_> {
    /// Waits before the next try, or gives the error back if it will not do better.
    pub(super) async fn pause(&mut self, error: Error) -> Result<()> {
        let retry = &self.registry.retry;
        self.failed += 1;
        let Some(asked) = self.passing(&error) else { return Err(error) };
        let own = exponential(retry, self.failed, random());
        // What the registry asks for is a least time; on top of it, not everybody comes back at once.
        let pause = asked.map_or(own, |asked| asked.saturating_add(own / 8).max(own));
        if self.failed >= retry.tries || pause > self.left {
            return Err(error);
        }
        self.left -= pause;
        self.registry.watcher.event(Event::Retry {
            what: &self.what,
            reason: &error,
            attempt: self.failed + 1,
            of: retry.tries,
            pause,
        });
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Whether it may pass, and after how long the registry says that it will.
    fn passing(&self, error: &Error) -> Option<Option<Duration>> {
        match error {
            Error::Throttled { retry_after, .. } => Some(*retry_after),
            Error::Unavailable { status, retry_after, .. } if *status != 501 => Some(*retry_after),
            Error::Broken { .. } => Some(None),
            Error::Unreachable { .. } if self.registry.reached.load(Ordering::Relaxed) => Some(None),
            _ => None,
        }
    }
}

/// Between half of and the whole of the doubled pause.
fn exponential(retry: &Retry, failed: u32, random: u8) -> Duration {
    let doubled = retry.first_pause.saturating_mul(1 << failed.saturating_sub(1).min(20));
    let pause = doubled.min(retry.longest_pause);
    pause / 2 + pause / 2 * u32::from(random) / 255
}

fn random() -> u8 {
    let mut byte = [0];
    // Without randomness, the pause is only less scattered.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_scattered() {
        let retry = Retry::default();
        assert_eq!(exponential(&retry, 1, 255), Duration::from_millis(500));
        assert_eq!(exponential(&retry, 1, 0), Duration::from_millis(250));
        assert_eq!(exponential(&retry, 3, 255), Duration::from_secs(2));
        assert_eq!(exponential(&retry, 99, 255), limits::LONGEST_PAUSE);
    }
}
