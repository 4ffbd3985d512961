//! The kernel's clock, set once at boot where it is wrong: a machine without a clock of its own begins in 1970.

use std::time::{Duration, SystemTime};

use cloister_nsm::Nsm;
use rustix::time::{ClockId, Timespec, clock_settime};

use super::Error;
use crate::clock::{self, module_time};
use crate::disclose::{Words, words};

/// Sets the clock to the security module's time where the two are further apart than is allowed, and says so. The module's time is what
/// every document carries and what clients go by; the kernel's comes from the same hypervisor and vouches for nothing. A module that
/// gives no time is left to the boot's own comparison, which can tell the parent.
///
/// # Errors
/// When the kernel does not let its clock be set.
pub fn set(nsm: &dyn Nsm) -> Result<Option<Words>, Error> {
    let Err(clock::Error::Apart { by, ahead }) = clock::measure(nsm) else { return Ok(None) };
    let Ok(time) = module_time(nsm) else { return Ok(None) };
    clock_settime(ClockId::Realtime, timespec(time)).map_err(|error| Error::Clock(error.into()))?;
    Ok(Some(words![
        "the kernel's clock was ",
        by.as_secs(),
        " s ",
        if ahead { "ahead of" } else { "behind" },
        " the security module's at boot, and was set to it"
    ]))
}

fn timespec(time: SystemTime) -> Timespec {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timespec { tv_sec: since.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: since.subsec_nanos().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_set_to_the_nanosecond() {
        let set = timespec(SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789));
        assert_eq!((set.tv_sec, set.tv_nsec), (1_700_000_000, 123_456_789));
    }
}
