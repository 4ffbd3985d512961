//! Every bound of this crate.

use std::time::Duration;

/// Tries of one call. Control planes throttle at a few calls a second, and the pauses between tries double.
pub const MAX_TRIES: u32 = 6;
/// The first pause between tries, and the longest.
pub const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// See [`FIRST_PAUSE`].
pub const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// One try. Control planes answer in a second or two, IAM sometimes in ten.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A key policy (KMS, "Resource quotas").
pub const KEY_POLICY_BYTES: usize = 32 * 1024;
/// A registry's policy (ECR, "Service quotas").
pub const REGISTRY_POLICY_BYTES: usize = 10_240;
/// A role's trust policy, unless AWS raised the account's quota (IAM, "Quotas").
pub const TRUST_POLICY_BYTES: usize = 2048;
/// Tries of putting a key policy that KMS finds a principal unknown in, and the pause between: a new role is known everywhere within a minute or so.
pub const PRINCIPAL_TRIES: u32 = 12;
/// See [`PRINCIPAL_TRIES`].
pub const PRINCIPAL_PAUSE: Duration = Duration::from_secs(5);
/// Days in which a deleted key can still be had back; KMS takes 7 to 30.
pub const DELETION_DAYS: i32 = 30;
/// Rules of one registry's replication, and destinations over all of them (ECR, "Private image replication").
pub const REPLICATION_RULES: usize = 10;
/// See [`REPLICATION_RULES`].
pub const REPLICATION_DESTINATIONS: usize = 25;
/// Repositories that are looked through for those that a replication filter takes besides the meant one.
pub const LISTED_REPOSITORIES: usize = 10_000;
/// What is quoted of a service's words.
pub const MESSAGE_CHARS: usize = 500;
/// Letters of a service's name for an error.
pub const CODE_CHARS: usize = 80;
