//! One address type for vsock, hybrid vsock, Unix and TCP; listeners, dialers and the relay between two streams.
