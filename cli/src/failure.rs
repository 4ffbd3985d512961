//! How a command fails: one sentence for a person, and an exit code for a script (the numbers of BSD `sysexits.h`).

use std::fmt;

/// A command that did not succeed.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command line itself was wrong (64).
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { code: 64, message: message.to_string() }
    }

    /// A file or image that cannot be used (65).
    pub fn input(message: impl fmt::Display) -> Self {
        Self { code: 65, message: message.to_string() }
    }

    /// A service that cannot be reached, or that cannot answer now (69).
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self { code: 69, message: message.to_string() }
    }

    /// Something that could not be verified, so that nothing was sent or trusted (77).
    pub fn not_verified(message: impl fmt::Display) -> Self {
        Self { code: 77, message: message.to_string() }
    }

    /// The same, and what it was about.
    pub fn about(self, what: &str) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// Two things that were compared and are not the same (1).
    pub fn different(message: impl fmt::Display) -> Self {
        Self { code: 1, message: message.to_string() }
    }

    /// The same, and what else went wrong.
    pub fn and(self, other: Self) -> Self {
        Self { message: format!("{}; besides, {}", self.message, other.message), ..self }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
