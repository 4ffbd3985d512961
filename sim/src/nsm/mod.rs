//! A simulated Nitro Security Module. Simulation proves the protocol, not confidentiality.
