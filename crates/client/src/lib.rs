//! Connect, verify, then send.
