//! The Nitro Security Module: the trait that the enclave speaks to, and the device behind it.
