//! A stand-in for AWS's control planes but KMS, and for ECR above all: an HTTPS server in front of moto.
//!
//! What is real: AWS's own clients, TLS, the wire format, and, where [`Config::registry`] names one, a real registry in which the images
//! lie. What stands in:
//! - moto is every service's control plane, reached through here (ECR, STS, IAM): it takes requests as they came, keeps accounts apart by
//!   access key, and checks neither signatures nor IAM policies. Nor does this server.
//! - `DescribeImageReplicationStatus`, which moto lacks, is answered here: by the replication rules and registry policies that moto holds,
//!   and otherwise as a test says ([`Running::set_replication`]), or by the number of times that somebody looked. Nothing is copied: when
//!   a replication is first said to be complete, the repository is made in the destination's account, and both see one registry.
//!   Unlike ECR's, it covers images that were pushed before the rule, and a refusal ends when the policy allows it.
//! - `DescribeImages`, `ListImages`, `BatchGetImage` and `BatchDeleteImage` are answered from the registry, if there is one: all on one
//!   page, images without a tag only by digest, pushed when they were first seen here. Deleting by tag deletes the image.
//! - [`Running::fault`] fails the next calls of an ECR operation as ECR does when it is busy, or credentials have ended.

mod fault;
mod images;
mod limits;
mod registry;
mod replication;
mod server;

pub use fault::Fault;
pub use registry::{RegistryAccess, RegistryError};
pub use replication::State;
pub use server::{Config, Running, Server, StartError};
