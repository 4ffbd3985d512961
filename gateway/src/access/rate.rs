//! Requests of each user, by the minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::failures::seconds;
use crate::limits;

/// Each user's bucket: when it will be full again.
pub(super) struct Rates {
    share: Duration,
    window: Duration,
    full_at: Mutex<HashMap<String, Instant>>,
}

impl Rates {
    pub(super) fn new(per_minute: u32) -> Self {
        let window = Duration::from_secs(60);
        Self { share: window / per_minute.max(1), window, full_at: Mutex::default() }
    }

    /// Takes one request of a user's; otherwise the seconds to wait.
    pub(super) fn admit(&self, user: &str) -> Result<(), u64> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if full_at.len() >= limits::MAX_REMEMBERED {
            full_at.retain(|_, full| *full > now);
        }
        let full = full_at.get(user).copied().unwrap_or(now).max(now) + self.share;
        match (full - now).checked_sub(self.window) {
            Some(wait) if !wait.is_zero() => Err(seconds(wait)),
            _ => {
                full_at.insert(user.to_owned(), full);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_so_many_requests_and_takes_none_from_others() {
        let rates = Rates::new(3);
        assert_eq!((0..5).filter(|_| rates.admit("ruth").is_ok()).count(), 3);
        assert!(rates.admit("anna").is_ok());
        let wait = rates.admit("ruth").unwrap_err();
        assert!((1..=20).contains(&wait), "{wait}");
    }
}
