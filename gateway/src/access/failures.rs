//! Wrong passwords, counted by name and by address: after some, both wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

/// Those that are remembered.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<String, (u32, Instant)>>);

impl Failures {
    /// What a try is counted by.
    pub(super) fn keys(&self, name: &str, from: Option<IpAddr>) -> Vec<String> {
        let mut keys = vec![format!("name {}", name.chars().take(limits::MAX_NAME_BYTES).collect::<String>())];
        keys.extend(from.map(|from| format!("from {from}")));
        keys
    }

    /// Whether another try is let in; otherwise the seconds to wait.
    pub(super) fn admit(&self, keys: &[String]) -> Result<(), u64> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key: &String| {
            let (count, since) = failures.get(key)?;
            let left = limits::FAILURES_WINDOW.checked_sub(since.elapsed())?;
            (*count >= limits::MAX_FAILURES).then_some(left)
        };
        match keys.iter().filter_map(wait).max() {
            Some(left) => Err(left.as_secs() + 1),
            None => Ok(()),
        }
    }

    /// Counts a wrong password. The wait begins with the last that counted.
    pub(super) fn count(&self, keys: &[String]) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= limits::MAX_REMEMBERED {
            failures.retain(|_, (_, since)| since.elapsed() < limits::FAILURES_WINDOW);
        }
        if failures.len() >= limits::MAX_REMEMBERED {
            failures.clear();
        }
        for key in keys {
            let (count, since) = failures.entry(key.clone()).or_insert((0, Instant::now()));
            if since.elapsed() >= limits::FAILURES_WINDOW {
                *count = 0;
            }
            *count += 1;
            *since = Instant::now();
        }
    }

    /// The right one was given.
    pub(super) fn forget(&self, keys: &[String]) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            failures.remove(key);
        }
    }
}

/// The least that a wait is told to be.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_waits_after_some_wrong_passwords_and_not_after_a_right_one() {
        let failures = Failures::default();
        let keys = failures.keys("ruth", None);
        for _ in 0..limits::MAX_FAILURES {
            assert!(failures.admit(&keys).is_ok());
            failures.count(&keys);
        }
        assert!(failures.admit(&keys).is_err());
        assert!(failures.admit(&failures.keys("anna", None)).is_ok());
        failures.forget(&keys);
        assert!(failures.admit(&keys).is_ok());
    }

    #[test]
    fn an_address_waits_whatever_names_it_tries() {
        let failures = Failures::default();
        let from = Some("10.0.0.1".parse().unwrap());
        for name in ["a", "b", "c", "d", "e"] {
            failures.count(&failures.keys(name, from));
        }
        assert!(failures.admit(&failures.keys("f", from)).is_err());
        assert!(failures.admit(&failures.keys("f", Some("10.0.0.2".parse().unwrap()))).is_ok());
    }
}
