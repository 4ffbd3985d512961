//! How often each client may ask: as many requests at once as in a minute, and then one whenever its share of the minute is over.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits;

const MINUTE: Duration = Duration::from_secs(60);

/// A token bucket for each client (the "virtual scheduling" of ITU-T I.371): all that is kept of one is when all of its requests so
/// far will have had their share of time.
pub(super) struct Rate<K> {
    share: Duration,
    paid_until: Mutex<HashMap<K, Instant>>,
}

impl<K: Copy + Eq + Hash> Rate<K> {
    pub(super) fn new(requests_per_minute: u32) -> Self {
        Self { share: MINUTE / requests_per_minute.max(1), paid_until: Mutex::default() }
    }

    /// Lets one request of a client in, or says after which time the next one will be let in.
    pub(super) fn take(&self, client: K, now: Instant) -> Result<(), Duration> {
        let mut table = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let paid_until = table.get(&client).map_or(now, |&paid| paid.max(now)) + self.share;
        let wait = paid_until.saturating_duration_since(now + MINUTE);
        if !wait.is_zero() {
            return Err(wait);
        }
        if !table.contains_key(&client) && table.len() >= limits::MAX_CLIENTS {
            make_room(&mut table, now);
        }
        table.insert(client, paid_until);
        Ok(())
    }
}

/// Forgets whoever has nothing left to wait for: such a client is as good as new. If there is none, the one that is nearest to it.
fn make_room<K: Copy + Eq + Hash>(table: &mut HashMap<K, Instant>, now: Instant) {
    table.retain(|_, paid_until| *paid_until > now);
    if table.len() >= limits::MAX_CLIENTS {
        let nearest = table.iter().min_by_key(|(_, paid_until)| **paid_until).map(|(client, _)| *client);
        nearest.map(|client| table.remove(&client));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_ask_a_minute_s_requests_at_once_and_then_at_the_stated_time() {
        let (rate, begun) = (Rate::new(6), Instant::now());
        for _ in 0..6 {
            rate.take("one", begun).unwrap();
        }
        let wait = rate.take("one", begun).unwrap_err();
        assert_eq!(wait, Duration::from_secs(10));
        assert!(rate.take("one", begun + wait - Duration::from_millis(1)).is_err(), "the time stated is not too long");
        assert!(rate.take("one", begun + wait).is_ok(), "and not too short");
        assert!(rate.take("one", begun + wait).is_err());
        assert!(rate.take("other", begun).is_ok(), "another client's share is its own");
    }

    #[test]
    fn a_refused_request_costs_nothing_and_a_quiet_minute_gives_all_back() {
        let (rate, begun) = (Rate::new(2), Instant::now());
        let taken = |at| (0..10).filter(|_| rate.take((), at).is_ok()).count();
        assert_eq!(taken(begun), 2);
        assert_eq!(taken(begun + Duration::from_secs(30)), 1);
        assert_eq!(taken(begun + 10 * MINUTE), 2, "and no more, however long it was quiet");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_those_first_who_lose_least() {
        let (rate, begun) = (Rate::new(2), Instant::now());
        rate.take(usize::MAX, begun).unwrap();
        rate.take(usize::MAX, begun).unwrap();
        for client in 0..3 * limits::MAX_CLIENTS {
            rate.take(client, begun).unwrap();
        }
        assert_eq!(rate.paid_until.lock().unwrap().len(), limits::MAX_CLIENTS);
        assert!(rate.take(usize::MAX, begun).is_err(), "who has used up its share is remembered");
        rate.take(usize::MAX - 1, begun + 2 * MINUTE).unwrap();
        assert_eq!(rate.paid_until.lock().unwrap().len(), 1, "those who are as good as new are forgotten");
    }
}
