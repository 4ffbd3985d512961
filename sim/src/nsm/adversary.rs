//! For tests of verifiers: documents that an honest module never signs, with signatures that are right.
//!
//! All of them hang from a simulated root; what they probe is that a verifier looks at more than signatures.

use cloister_nsm::AttestRequest;

pub use ciborium::Value;

pub use super::chain::{Draft, Level};
pub use super::document::Payload;
use super::{Authority, Error, Simulated, SimulatedNsm};

/// A document whose payload was changed before it was signed. `edit` gets the map's entries in their order.
pub fn resigned(
    nsm: &SimulatedNsm,
    request: &AttestRequest,
    edit: impl FnOnce(&mut Payload),
) -> Result<Vec<u8>, Error> {
    nsm.document(request, edit)
}

/// The same, replacing one field's value, which must exist.
pub fn with_field(
    nsm: &SimulatedNsm,
    request: &AttestRequest,
    field: &str,
    value: impl Into<Value>,
) -> Result<Vec<u8>, Error> {
    let mut value = Some(value.into());
    resigned(nsm, request, |entries| {
        let entry = entries.iter_mut().find(|(name, _)| name.as_text() == Some(field));
        if let (Some(entry), Some(value)) = (entry, value.take()) {
            entry.1 = value;
        }
    })
}

/// A module whose chain was issued wrongly: `spoil` sees each certificate before it is signed.
pub fn with_chain(
    authority: &Authority,
    simulated: Simulated,
    spoil: &dyn Fn(Level, &mut Draft),
) -> Result<SimulatedNsm, Error> {
    SimulatedNsm::with_spoilt_chain(authority, simulated, spoil)
}
