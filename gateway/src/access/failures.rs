//! Wrong passwords, counted by name and by address: after some, both wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

/// Those that are remembered.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<String, Failed>>);

struct Failed {
    count: u32,
    since: Instant,
    /// Somebody who has to wait for it has been told so.
    told: bool,
}

impl Failed {
    /// How long it still has to wait.
    fn left(&self) -> Option<Duration> {
        let left = limits::FAILURES_WINDOW.checked_sub(self.since.elapsed())?;
        (self.count >= limits::MAX_FAILURES).then_some(left)
    }
}

impl Failures {
    /// What a try is counted by.
    pub(super) fn keys(&self, name: &str, from: Option<IpAddr>) -> Vec<String> {
        let mut keys = vec![format!("name {}", name.chars().take(limits::MAX_NAME_BYTES).collect::<String>())];
        keys.extend(from.map(|from| format!("from {from}")));
        keys
    }

    /// Whether another try is let in; otherwise the seconds to wait, and whether that is news of the name or the address.
    pub(super) fn admit(&self, keys: &[String]) -> Result<(), (u64, bool)> {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut longest, mut news) = (None, false);
        for key in keys {
            let Some(failed) = failures.get_mut(key) else { continue };
            let Some(left) = failed.left() else { continue };
            longest = longest.max(Some(left));
            news |= !std::mem::replace(&mut failed.told, true);
        }
        longest.map_or(Ok(()), |left| Err((left.as_secs() + 1, news)))
    }

    /// Counts a wrong password. The wait begins with the last that counted.
    pub(super) fn count(&self, keys: &[String]) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if failures.len() >= limits::MAX_REMEMBERED && !failures.contains_key(key) {
                forget_quietest(&mut failures);
            }
            let begin = || Failed { count: 0, since: Instant::now(), told: false };
            let failed = failures.entry(key.clone()).or_insert_with(begin);
            if failed.since.elapsed() >= limits::FAILURES_WINDOW {
                *failed = begin();
            }
            failed.count += 1;
            failed.since = Instant::now();
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

fn forget_quietest(failures: &mut HashMap<String, Failed>) {
    let quietest = failures.iter().min_by_key(|(_, failed)| failed.since).map(|(key, _)| key.clone());
    if let Some(key) = quietest {
        failures.remove(&key);
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
    fn a_wait_is_news_once() {
        let failures = Failures::default();
        let keys = failures.keys("ruth", None);
        for _ in 0..limits::MAX_FAILURES {
            failures.count(&keys);
        }
        let news = || failures.admit(&keys).unwrap_err().1;
        assert_eq!([news(), news(), news()], [true, false, false]);
    }

    #[test]
    fn many_other_names_let_nobody_off_who_has_just_failed() {
        let failures = Failures::default();
        let name = |number: usize| failures.keys(&format!("name {number}"), None);
        failures.count(&name(0));
        let ruth = failures.keys("ruth", None);
        for _ in 0..limits::MAX_FAILURES {
            failures.count(&ruth);
        }
        for number in 1..limits::MAX_REMEMBERED {
            failures.count(&name(number));
        }
        let failed = failures.0.lock().unwrap();
        assert_eq!(failed.len(), limits::MAX_REMEMBERED);
        assert!(!failed.contains_key("name name 0"), "the quietest is forgotten");
        drop(failed);
        assert!(failures.admit(&ruth).is_err());
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
