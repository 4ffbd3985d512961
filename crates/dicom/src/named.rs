//! Attributes that a caller names, for a program that stands where patients have names anyway. The enclave is not to call it.

use cloister_imaging::DecodeLimits;

use crate::{Refusal, mammogram::with_data, tag::Tag};

/// Values as a file has them, with their padding. They may say whose the file is, and print nothing.
pub struct Named(Vec<(Tag, Vec<u8>)>);

impl Named {
    /// An attribute's value; nothing where the file has none.
    pub fn value(&self, tag: Tag) -> Option<&[u8]> {
        self.0.iter().find(|(named, _)| *named == tag).map(|(_, value)| value.as_slice())
    }
}

/// Reads attributes outside all sequences, each of at most 4096 bytes, up to the pixels.
///
/// # Errors
/// A [`Refusal`] where the file cannot be walked over. What it shows does not matter here; [`crate::read`] judges that.
pub fn named(bytes: &[u8], limits: &DecodeLimits, tags: &[Tag]) -> Result<Named, Refusal> {
    with_data(bytes, limits, tags, |data, _| {
        let value = |tag: &Tag| data.value(*tag).map(|value| (*tag, value.to_vec()));
        Ok(Named(tags.iter().filter_map(value).collect()))
    })
}
