//! Attestation documents: parse, verify, policy. No I/O, and no clock of its own.
