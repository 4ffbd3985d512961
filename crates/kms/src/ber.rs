//! A cursor over BER that the caller drives down a known grammar.
//!
//! It never recurses and never guesses: the caller names each tag that it expects, so nesting can be no deeper than the grammar
//! (X.690: 8.1.2 tags, 8.1.3 lengths). Lengths are either indefinite, on constructed elements only, or in their shortest
//! definite form, as DER and KMS write them.

use crate::cms::Error;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// Context tag 0, primitive.
pub(crate) const CONTEXT_0: u8 = 0x80;
/// Context tag 0, constructed.
pub(crate) const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;

const CONSTRUCTED: u8 = 0x20;
const INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// A constructed element that was entered and must be left.
#[must_use]
pub(crate) struct Scope {
    outer_end: usize,
    indefinite: bool,
}

/// The cursor.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, end: bytes.len() }
    }

    /// The next tag, without moving; none at the end of a definite element or of the input.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    /// Steps into a constructed element of `tag`, which `what` names in errors.
    pub(crate) fn enter(&mut self, tag: u8, what: &'static str) -> Result<Scope, Error> {
        let outer_end = self.end;
        match self.header(tag, what)? {
            Some(length) => {
                self.end = self.position.checked_add(length).filter(|end| *end <= outer_end).ok_or(Error::Truncated)?;
                Ok(Scope { outer_end, indefinite: false })
            }
            None => Ok(Scope { outer_end, indefinite: true }),
        }
    }

    /// Whether the element has nothing more to read.
    pub(crate) fn is_over(&self, scope: &Scope) -> bool {
        if scope.indefinite { self.rest().starts_with(&END_OF_CONTENTS) } else { self.rest().is_empty() }
    }

    /// Steps out of an element, which must have been read whole.
    pub(crate) fn leave(&mut self, scope: Scope, what: &'static str) -> Result<(), Error> {
        if scope.indefinite {
            if self.take(END_OF_CONTENTS.len())? != END_OF_CONTENTS {
                return Err(Error::Unexpected { what });
            }
        } else if !self.rest().is_empty() {
            return Err(Error::Unexpected { what });
        }
        self.end = scope.outer_end;
        Ok(())
    }

    /// Reads a primitive element of `tag` whole.
    pub(crate) fn primitive(&mut self, tag: u8, what: &'static str) -> Result<&'a [u8], Error> {
        let length = self.header(tag, what)?.ok_or(Error::BadLength)?;
        self.take(length)
    }

    /// Reads bytes that must equal `expected`: for parts of which just one encoding is accepted.
    pub(crate) fn verbatim(&mut self, expected: &[u8], mismatch: Error) -> Result<(), Error> {
        match self.rest().get(..expected.len()) {
            Some(found) if found == expected => {
                self.position += expected.len();
                Ok(())
            }
            _ => Err(mismatch),
        }
    }

    /// Ends the reading: nothing may follow.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest().is_empty() { Ok(()) } else { Err(Error::TrailingBytes) }
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..self.end).unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let taken = self.rest().get(..length).ok_or(Error::Truncated)?;
        self.position += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1)?.first().copied().ok_or(Error::Truncated)
    }

    /// Reads a tag and a length; none stands for an indefinite length.
    fn header(&mut self, tag: u8, what: &'static str) -> Result<Option<usize>, Error> {
        if self.byte()? != tag {
            return Err(Error::Unexpected { what });
        }
        let first = self.byte()?;
        if first == INDEFINITE {
            return if tag & CONSTRUCTED != 0 { Ok(None) } else { Err(Error::BadLength) };
        }
        if first < INDEFINITE {
            return Ok(Some(usize::from(first)));
        }
        let digits = self.take(usize::from(first & 0x7f))?;
        // Two digits count to 65,535, past every bound of this crate.
        let length = match *digits {
            [low] if low >= INDEFINITE => usize::from(low),
            [high, low] if high != 0 => usize::from(high) << 8 | usize::from(low),
            _ => return Err(Error::BadLength),
        };
        Ok(Some(length))
    }
}
