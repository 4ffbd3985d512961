//! Receipts: what was computed on which input by which model, signed by a key that lives in the enclave alone.
//!
//! What it is not: a verifier of the attestation document that vouches for that key (`cloister-attest`), or of the two together
//! (`cloister-client`).
