//! Whether the parent is there at all. An enclave whose parent is gone has no clients and never will: its relay went too, and nothing
//! would end it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::limits;

/// What came of asking, over all requests.
#[derive(Clone)]
pub(super) struct Presence {
    limit: Duration,
    since: Arc<Mutex<Since>>,
    gone: watch::Sender<bool>,
}

#[derive(Default)]
struct Since {
    heard: bool,
    missed: Option<Instant>,
}

impl Presence {
    /// A parent that is gone when for `limit` nothing reached it, or as many times longer as it may take to come up.
    pub(super) fn within(limit: Duration) -> Self {
        Self { limit, since: Arc::default(), gone: watch::Sender::new(false) }
    }

    /// One request more, and whether the parent answered it with anything. Only a miss can find that it is gone: a machine that stood
    /// still for an hour asks before it judges.
    pub(super) fn note(&self, answered: bool) {
        self.note_at(answered, Instant::now());
    }

    fn note_at(&self, answered: bool, now: Instant) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            *since = Since { heard: true, missed: None };
            return;
        }
        let missed = *since.missed.get_or_insert(now);
        let limit = if since.heard { self.limit } else { self.limit * limits::PARENT_FIRST_TIMES };
        if now.duration_since(missed) >= limit {
            self.gone.send_replace(true);
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        *self.gone.borrow()
    }

    /// Completes when the parent is gone.
    pub(super) async fn gone(&self) {
        // The sender is in `self`, so that waiting ends with what is waited for.
        let _ = self.gone.subscribe().wait_for(|gone| *gone).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const BEFORE: Duration = Duration::from_secs(59);

    #[test]
    fn a_parent_that_answers_now_and_then_is_there() {
        let presence = Presence::within(LIMIT);
        let mut now = Instant::now();
        for _ in 0..5 {
            presence.note_at(true, now);
            presence.note_at(false, now);
            presence.note_at(false, now + BEFORE);
            now += LIMIT;
        }
        assert!(!presence.is_gone());
    }

    #[test]
    fn one_that_answered_once_is_gone_after_the_limit_and_not_before() {
        let presence = Presence::within(LIMIT);
        let now = Instant::now();
        presence.note_at(true, now);
        presence.note_at(false, now);
        presence.note_at(false, now + BEFORE);
        assert!(!presence.is_gone());
        presence.note_at(false, now + LIMIT);
        assert!(presence.is_gone());
    }

    #[test]
    fn one_that_never_answered_has_longer_to_come_up() {
        let presence = Presence::within(LIMIT);
        let now = Instant::now();
        presence.note_at(false, now);
        presence.note_at(false, now + LIMIT * limits::PARENT_FIRST_TIMES - Duration::from_secs(1));
        assert!(!presence.is_gone());
        presence.note_at(false, now + LIMIT * limits::PARENT_FIRST_TIMES);
        assert!(presence.is_gone());
    }

    #[test]
    fn an_enclave_that_stood_still_asks_before_it_judges() {
        let presence = Presence::within(LIMIT);
        let now = Instant::now();
        presence.note_at(true, now);
        presence.note_at(false, now + LIMIT * 60);
        assert!(!presence.is_gone(), "nothing was asked meanwhile");
        presence.note_at(true, now + LIMIT * 60);
        presence.note_at(false, now + LIMIT * 61);
        assert!(!presence.is_gone());
    }
}
