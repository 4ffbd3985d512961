//! What two companies set up in their AWS accounts so that a model of the one runs on the images of the other: keys that open for a
//! measured image alone, repositories and their replication, the role of the pods.
//!
//! Each verb reads what is there, and makes a [`Plan`] of [`Change`]s: what is wanted and there already is no change, so that a verb that is
//! run twice changes nothing the second time. A plan can be shown and thrown away; [`Account::apply`] carries out one step of it.
//! Policies are read and written as JSON values, and what stands in them that this crate did not write stays.

mod account;
mod error;
mod keys;
pub mod limits;
mod names;
mod plan;
mod replication;
mod repositories;
mod roles;
pub mod statement;

pub use account::{Account, Settings};
pub use error::{Error, Result};
pub use keys::{FoundKey, KeyUse, KeyWish};
pub use names::{AccountId, Consumer, RepositoryName, role_arn};
pub use plan::{Action, Change, Plan, Step};
pub use replication::{Destination, replicates};
pub use repositories::{ReplicationStatus, Stored};
pub use roles::{RoleWish, ServiceAccount, trust_policy};
