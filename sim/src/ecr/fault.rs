//! Failures on demand, by operation. For tests, through the library only.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::exception::Exception;

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Too many requests: `ThrottlingException`.
    Throttling,
    /// The session has ended: `ExpiredTokenException`.
    ExpiredToken,
    /// ECR itself failed: `ServerException`, with status 500.
    Internal,
}

/// The faults in force, and for how many calls still.
#[derive(Default)]
pub(super) struct Faults(Mutex<BTreeMap<String, (Fault, u32)>>);

impl Faults {
    pub(super) fn set(&self, operation: &str, times: u32, fault: Fault) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.to_owned(), (fault, times));
    }

    /// The failure of one call, if it is to fail.
    pub(super) fn next(&self, operation: &str) -> Option<Exception> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, times) = faults.get_mut(operation)?;
        *times = times.checked_sub(1)?;
        Some(fault.exception())
    }
}

impl Fault {
    fn exception(self) -> Exception {
        match self {
            Self::Throttling => Exception::new("ThrottlingException", "Rate exceeded"),
            Self::ExpiredToken => {
                Exception::new("ExpiredTokenException", "The security token included in the request is expired")
            }
            Self::Internal => Exception::failure("ServerException"),
        }
    }
}
