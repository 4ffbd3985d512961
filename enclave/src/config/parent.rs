//! The parent's endpoints.

use std::time::Duration;

use cloister_transport::Address;
use serde::Deserialize;

use crate::limits;

const CONTROL_PORT: u32 = 9001;
const EGRESS_PORT: u32 = 8000;

/// The parent's endpoints, each at the parent's CID where it is not written out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parent {
    control: Option<Address>,
    egress: Option<Address>,
    /// After so many seconds without an answer the parent is gone, and the enclave ends.
    pub gone_seconds: u64,
    #[serde(skip)]
    pub(super) cid: u32,
}

impl Default for Parent {
    fn default() -> Self {
        Self {
            control: None,
            egress: None,
            gone_seconds: limits::DEFAULT_PARENT_GONE.as_secs(),
            cid: limits::AWS_PARENT_CID,
        }
    }
}

impl Parent {
    /// Sealed model, credentials, events.
    pub fn control(&self) -> Address {
        self.control.clone().unwrap_or(Address::Vsock { cid: self.cid, port: CONTROL_PORT })
    }

    /// How long a parent may be silent before it is gone.
    pub fn gone_after(&self) -> Duration {
        Duration::from_secs(self.gone_seconds)
    }

    /// The CONNECT proxy.
    pub fn egress(&self) -> Address {
        self.egress.clone().unwrap_or(Address::Vsock { cid: self.cid, port: EGRESS_PORT })
    }
}
