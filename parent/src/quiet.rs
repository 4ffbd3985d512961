//! Log lines that an outsider can cause, kept apart.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::limits;

/// Lets one line pass each [`limits::LOG_INTERVAL`], and counts those that do not.
#[derive(Default)]
pub(crate) struct Quiet(Mutex<State>);

#[derive(Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl Quiet {
    /// The lines suppressed since the last one, when this one may be written.
    pub(crate) fn admit(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < limits::LOG_INTERVAL) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::Quiet;

    #[test]
    fn the_first_line_passes_and_those_right_after_do_not() {
        let quiet = Quiet::default();
        assert_eq!(quiet.admit(), Some(0));
        assert_eq!(quiet.admit(), None);
        assert_eq!(quiet.admit(), None);
        std::thread::sleep(crate::limits::LOG_INTERVAL);
        assert_eq!(quiet.admit(), Some(2));
    }
}
