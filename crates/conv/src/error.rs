use thiserror::Error;

/// Why a graph cannot be computed here.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// A node's parts do not fit together.
    #[error("{node}: {problem}")]
    Node {
        /// What it is, and its number.
        node: String,
        /// What does not fit.
        problem: String,
    },
    /// It would take too much memory.
    #[error("it would take {needed} bytes of memory, and {limit} is the limit")]
    TooLarge {
        /// Bytes that it would take.
        needed: u64,
        /// [`crate::limits::MAX_BYTES`]
        limit: u64,
    },
    /// It has too many nodes.
    #[error("it has {given} nodes, and {limit} are the limit")]
    TooMany {
        /// How many it has.
        given: usize,
        /// [`crate::limits::MAX_NODES`]
        limit: usize,
    },
    /// Inputs or outputs are not as the graph has them.
    #[error("{what} has {given} numbers, and {expected} are needed")]
    Size {
        /// Which.
        what: String,
        /// What was given.
        given: usize,
        /// What is needed.
        expected: usize,
    },
}
