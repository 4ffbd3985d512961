//! The STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online authenticated-encryption and its nonce-reuse
//! misuse-resistance", 2015): each chunk's nonce says where it belongs and whether it is the last.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use aws_lc_rs::digest;

use crate::error::{Error, Result};
use crate::key::DataKey;
use crate::limits;

/// Bytes of the nonce's random prefix, which leaves four to the counter and one to the flag.
pub(crate) const PREFIX: usize = 7;

/// Bytes of a chunk's authentication tag.
pub(crate) const TAG: usize = 16;

/// Bytes of the digest that every chunk is bound to.
const DIGEST: usize = 48;

/// Whether a chunk is the last one.
#[derive(Clone, Copy)]
pub(crate) enum Flag {
    More,
    Last,
}

/// A key, at a place in a file.
pub(crate) struct Stream {
    key: LessSafeKey,
    prefix: [u8; PREFIX],
    header: [u8; DIGEST],
    chunk: u32,
}

impl Stream {
    /// `header` is everything that stands before the prefix in the file, and `salt` the one in it.
    pub(crate) fn new(
        key: &DataKey,
        salt: Option<&[u8; limits::SALT]>,
        header: &[u8],
        prefix: [u8; PREFIX],
    ) -> Result<Self> {
        let key = key.of_file(salt)?;
        let mut bound = [0; DIGEST];
        bound.copy_from_slice(digest::digest(&digest::SHA384, header).as_ref());
        Ok(Self { key: LessSafeKey::new(key), prefix, header: bound, chunk: 0 })
    }

    /// The number of the chunk that is next, from 0.
    pub(crate) fn chunk(&self) -> u32 {
        self.chunk
    }

    /// Goes on to the next chunk.
    pub(crate) fn advance(&mut self) {
        self.chunk = self.chunk.saturating_add(1);
    }

    /// Encrypts the chunk in place and returns its tag.
    pub(crate) fn seal(&self, chunk: &mut [u8], flag: Flag) -> Result<[u8; TAG]> {
        let tag = self.key.seal_in_place_separate_tag(self.nonce(flag)?, Aad::from(self.header), chunk);
        let tag = tag.map_err(|_| Error::Crypto)?;
        tag.as_ref().try_into().map_err(|_| Error::Crypto)
    }

    /// Decrypts `sealed`, ciphertext and tag, into `content`, which must have the ciphertext's length. Says whether it
    /// is authentic at this place; if not, `content` means nothing.
    pub(crate) fn open(&self, sealed: &[u8], content: &mut [u8], flag: Flag) -> Result<bool> {
        let Some((ciphertext, tag)) = sealed.split_last_chunk::<TAG>() else { return Err(Error::Truncated) };
        let (nonce, header) = (self.nonce(flag)?, Aad::from(self.header));
        Ok(self.key.open_separate_gather(nonce, header, ciphertext, tag, content).is_ok())
    }

    fn nonce(&self, flag: Flag) -> Result<Nonce> {
        if self.chunk >= limits::CHUNKS {
            return Err(Error::TooLong);
        }
        let mut nonce = [0; NONCE_LEN];
        let (prefix, place) = nonce.split_at_mut(PREFIX);
        prefix.copy_from_slice(&self.prefix);
        let (counter, last) = place.split_at_mut(4);
        counter.copy_from_slice(&self.chunk.to_be_bytes());
        last.copy_from_slice(&[u8::from(matches!(flag, Flag::Last))]);
        Ok(Nonce::assume_unique_for_key(nonce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_too_many_chunks_is_refused_before_a_nonce_repeats() {
        let mut stream = Stream::new(&DataKey::new([1; 32]), None, b"header", [2; PREFIX]).unwrap();
        stream.chunk = limits::CHUNKS - 1;
        let tag = stream.seal(&mut [0; 64], Flag::Last).unwrap();
        stream.advance();
        assert!(matches!(stream.seal(&mut [0; 64], Flag::Last), Err(Error::TooLong)));
        assert!(matches!(stream.open(&[&[0; 64][..], &tag].concat(), &mut [0; 64], Flag::Last), Err(Error::TooLong)));
    }
}
