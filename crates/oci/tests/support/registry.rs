//! The registry of these tests: one user, who may do everything.

pub use cloister_test_data::registry::{DockerRegistry, NAME};

pub const USER: &str = "cloister";
pub const PASSWORD: &str = "open sesame";

/// bcrypt of the least cost, made once with crypt(3).
const LOGIN: cloister_test_data::registry::Login = cloister_test_data::registry::Login {
    user: USER,
    password: PASSWORD,
    hash: "$2b$04$d0BPQyfgj02CSjoDtF/mRuwz2ltemzOV1TYes87EhyhTrLdbvGgRK",
};

pub fn plain() -> DockerRegistry {
    DockerRegistry::start(&LOGIN, false)
}

pub fn tls() -> DockerRegistry {
    DockerRegistry::start(&LOGIN, true)
}
