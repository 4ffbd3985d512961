//! ECR's limits, and the stand-in's own on what it remembers.

/// Longest name of a repository (API reference, `repositoryName`).
pub(crate) const MAX_NAME: usize = 256;
/// Longest tag (distribution specification).
pub(crate) const MAX_TAG: usize = 128;
/// Tags of one repository that are looked up; each costs a request.
pub(crate) const MAX_TAGS: usize = 1000;
/// Images and replications that are remembered: more than a test makes.
pub(crate) const MAX_REMEMBERED: usize = 10_000;
