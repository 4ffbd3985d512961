//! The launch policy: what the parent may set at all, and what may leave besides answers and the events of the enclave's own life.

use serde::Deserialize;

/// What the parent may do at launch, and what it may learn. The least by default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Launch {
    /// The settings that are taken from the parent; any other that it sends keeps the enclave from becoming ready.
    pub parent_may_set: Vec<Setting>,
    /// Whether log records go to the parent.
    pub logs: bool,
    /// Whether figures of memory are among the metrics.
    pub memory_figures: bool,
}

/// What a parent can set, where the measured configuration lets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Images waiting for a processor, in place of `serve.queue`.
    Queue,
    /// Processors to use, in place of `serve.threads`.
    Threads,
}

impl Setting {
    /// Its name, in the measured configuration and from the parent.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Threads => "threads",
        }
    }
}
