//! Which operations arrived, and which of them changed something: so that a test can say that a second run changes nothing.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::{MAX_OPERATION, MAX_RECORDED};

/// How the names of operations begin that leave everything as it was.
const READING: [&str; 14] = [
    "AssumeRole",
    "BatchCheck",
    "BatchGet",
    "Decrypt",
    "Describe",
    "Encrypt",
    "Generate",
    "Get",
    "List",
    "ReEncrypt",
    "Sign",
    "Simulate",
    "Validate",
    "Verify",
];

#[derive(Default)]
pub(crate) struct Calls(Mutex<Recorded>);

#[derive(Default)]
struct Recorded {
    arrived: BTreeMap<String, u64>,
    changes: Vec<String>,
}

impl Calls {
    /// Counts an operation, whatever becomes of it.
    pub(crate) fn arrived(&self, operation: &str) {
        let mut recorded = self.lock();
        let known = recorded.arrived.contains_key(operation);
        if operation.len() <= MAX_OPERATION && (known || recorded.arrived.len() < MAX_RECORDED) {
            *recorded.arrived.entry(operation.to_owned()).or_default() += 1;
        }
    }

    /// Remembers an operation that was carried out, if it is one that changes something.
    pub(crate) fn succeeded(&self, operation: &str) {
        let mut recorded = self.lock();
        let reads = operation.is_empty() || READING.iter().any(|prefix| operation.starts_with(prefix));
        if !reads && operation.len() <= MAX_OPERATION && recorded.changes.len() < MAX_RECORDED {
            recorded.changes.push(operation.to_owned());
        }
    }

    pub(crate) fn count(&self, operation: &str) -> u64 {
        self.lock().arrived.get(operation).copied().unwrap_or_default()
    }

    pub(crate) fn changes(&self) -> Vec<String> {
        self.lock().changes.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
