//! How fast an enclave may write into this process's log: a bucket that holds a burst and fills steadily.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A bucket of tokens, one for each line.
pub(crate) struct Pace {
    burst: u32,
    interval: Duration,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: u32,
    filled: Instant,
}

impl Pace {
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, bucket: Mutex::new(Bucket { tokens: burst, filled: Instant::now() }) }
    }

    /// Whether so many lines may come now: all of them or none.
    pub(crate) fn admit(&self, lines: usize) -> bool {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let due = bucket.filled.elapsed().as_nanos() / self.interval.as_nanos();
        let due = u32::try_from(due).unwrap_or(u32::MAX);
        bucket.tokens = bucket.tokens.saturating_add(due).min(self.burst);
        bucket.filled += self.interval.saturating_mul(due);
        let left = bucket.tokens.checked_sub(lines);
        bucket.tokens = left.unwrap_or(bucket.tokens);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_does_not() {
        let pace = Pace::new(32, Duration::from_millis(200));
        assert!(pace.admit(32));
        assert!(!pace.admit(1));
        std::thread::sleep(Duration::from_millis(200));
        assert!(pace.admit(1));
        assert!(!pace.admit(1));
    }
}
