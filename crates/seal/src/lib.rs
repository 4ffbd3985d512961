//! The sealed file: a header and AES-256-GCM chunks, streamed.
