//! The enclave's clock against the security module's. Where they are far apart, what is dated here would mislead for years, and KMS
//! and clients would refuse what is signed here without saying why.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloister_nsm::{AttestRequest, Nsm};

use crate::disclose::{Disclose, Words, words};
use crate::limits;
use crate::parent::{Event, Events};
use crate::state::State;

/// Why the clock cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The security module gave no time.
    Nsm(#[from] cloister_nsm::Error),
    /// The security module's answer holds no time.
    Document(#[from] cloister_attest::Error),
    /// The clocks are apart.
    Apart {
        /// By how much.
        by: Duration,
        /// Whether the enclave's is ahead.
        ahead: bool,
    },
    /// The comparing thread died.
    Thread(#[from] tokio::task::JoinError),
}

impl Disclose for Error {
    fn words(&self) -> Words {
        match self {
            Self::Nsm(error) => {
                words!["the security module gave no time to compare the clock with: ", error.words()]
            }
            Self::Document(_) => {
                Words::of("the security module's document cannot be read, so that the clock cannot be compared")
            }
            Self::Apart { by, ahead } => words![
                "the enclave's clock is ",
                by.as_secs(),
                " s ",
                if *ahead { "ahead of" } else { "behind" },
                " the security module's; ",
                limits::MAX_CLOCK_DIFFERENCE.as_secs(),
                " s are allowed"
            ],
            Self::Thread(_) => Words::of("the comparison of the clocks ended unexpectedly"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words().fmt(f)
    }
}

/// Compares the two clocks.
///
/// # Errors
/// [`Error::Apart`] past [`limits::MAX_CLOCK_DIFFERENCE`]; a security module that gives no time.
pub async fn compare(nsm: Arc<dyn Nsm>) -> Result<(), Error> {
    tokio::task::spawn_blocking(move || measure(nsm.as_ref())).await?
}

/// The same, on the caller's thread.
pub(crate) fn measure(nsm: &dyn Nsm) -> Result<(), Error> {
    let before = SystemTime::now();
    let module = module_time(nsm)?;
    judge(before, module, SystemTime::now())
}

/// The security module's time, as its documents carry it.
pub(crate) fn module_time(nsm: &dyn Nsm) -> Result<SystemTime, Error> {
    let document = nsm.attest(&AttestRequest::default())?;
    Ok(cloister_attest::parse(&document)?.timestamp)
}

/// The module's time lies somewhere between ours before and after it was asked.
pub(crate) fn judge(before: SystemTime, module: SystemTime, after: SystemTime) -> Result<(), Error> {
    let ahead = before.duration_since(module).unwrap_or_default();
    let behind = module.duration_since(after).unwrap_or_default();
    let by = ahead.max(behind);
    if by > limits::MAX_CLOCK_DIFFERENCE { Err(Error::Apart { by, ahead: ahead > behind }) } else { Ok(()) }
}

/// Goes on comparing.
pub struct Watch {
    /// The security module.
    pub nsm: Arc<dyn Nsm>,
    /// Where a bad clock shows.
    pub state: State,
    /// Where it is told.
    pub events: Events,
    /// Between two comparisons.
    pub interval: Duration,
}

impl Watch {
    /// Compares after each interval; never returns. A clock that comes right again ends what it hindered.
    pub async fn run(self) {
        let mut wrong = false;
        loop {
            tokio::time::sleep(self.interval).await;
            match compare(Arc::clone(&self.nsm)).await {
                Ok(()) if wrong => {
                    wrong = false;
                    self.state.unhindered();
                    if let Some(event) = self.state.ready_event() {
                        self.events.tell(event);
                    }
                }
                Ok(()) => {}
                Err(error) => {
                    let reason = error.words();
                    self.state.hinder(reason.clone());
                    // Each time: the boot may have told meanwhile that all is ready.
                    self.events.tell(Event::Waiting { reason });
                    wrong = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        NOW + Duration::from_secs(seconds)
    }

    #[test]
    fn five_minutes_are_allowed_and_a_second_more_is_not() {
        assert!(judge(at(1000), at(1300), at(1000)).is_ok());
        assert!(judge(at(1300), at(1000), at(1300)).is_ok());
        let slow = judge(at(1000), at(1301), at(1000)).unwrap_err();
        assert!(matches!(slow, Error::Apart { ahead: false, .. }), "{slow}");
        let fast = judge(at(1301), at(1000), at(1301)).unwrap_err();
        assert_eq!(fast.to_string(), "the enclave's clock is 301 s ahead of the security module's; 300 s are allowed");
    }

    #[test]
    fn a_module_that_takes_long_to_answer_does_not_make_the_clock_wrong() {
        assert!(judge(at(1000), at(1400), at(1500)).is_ok());
    }
}
