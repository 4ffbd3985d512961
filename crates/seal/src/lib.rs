//! The sealed file: a header in the clear, and AES-256-GCM chunks behind it, streamed both ways in constant memory.
//!
//! `docs/sealed-format.md` gives the layout byte by byte. What it is not: a way to get the data key (that is
//! `cloister-kms`), nor a judgement on the header: whoever opens a file compares the key ARN and the context with what
//! they expect before they ask for the key.

mod error;
mod header;
mod key;
pub mod limits;
mod older;
mod opener;
mod sealer;
mod stream;

pub use error::{Error, Result};
pub use header::{Header, Purpose};
pub use key::DataKey;
pub use older::{Older, OlderError};
pub use opener::{Opener, Sealed, is_sealed};
pub use sealer::Sealer;
