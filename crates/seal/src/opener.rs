//! Reading a sealed file.

use std::io::{self, Read};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::header::{Header, Purpose, fill};
use crate::key::DataKey;
use crate::stream::{Flag, PREFIX, Stream, TAG};

/// A sealed file whose header was read. The header is anyone's word until the first chunk was opened.
pub struct Sealed<R: Read> {
    reader: R,
    header: Header,
    bytes: Vec<u8>,
    prefix: [u8; PREFIX],
}

/// Whether a file that begins like this says that it is a sealed one.
pub fn is_sealed(beginning: &[u8]) -> bool {
    Header::begins(beginning)
}

impl<R: Read> Sealed<R> {
    /// Reads the header.
    pub fn read_header(mut reader: R) -> Result<Self> {
        let (header, bytes) = Header::read(&mut reader)?;
        let mut prefix = [0; PREFIX];
        if fill(&mut reader, &mut prefix)? < PREFIX {
            return Err(Error::Truncated);
        }
        Ok(Self { reader, header, bytes, prefix })
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Starts reading the content. Refuses a file that was sealed for another purpose than `expected`.
    pub fn open(self, key: &DataKey, expected: Purpose) -> Result<Opener<R>> {
        let found = self.header.purpose;
        if found != expected {
            return Err(Error::Purpose { expected, found });
        }
        let chunk_size = usize::try_from(self.header.chunk_size).map_err(|_| Error::Header)?;
        Ok(Opener {
            reader: self.reader,
            stream: Stream::new(key, self.header.salt.as_ref(), &self.bytes, self.prefix)?,
            sealed: vec![0; chunk_size + TAG + 1],
            filled: 0,
            content: Zeroizing::new(vec![0; chunk_size]),
            released: 0,
            opened: 0,
            state: State::Open,
        })
    }
}

/// The content of a sealed file. Holds one chunk in memory, and releases no byte before its chunk proved authentic.
///
/// It ends, with `Ok(0)`, only behind a last chunk that is authentic and followed by nothing. An error is an
/// [`io::Error`] around an [`Error`] of this crate; [`Error::of`] finds it. After an error every read fails.
pub struct Opener<R: Read> {
    reader: R,
    stream: Stream,
    /// One chunk with its tag, and the byte behind it, which tells whether another follows.
    sealed: Vec<u8>,
    filled: usize,
    content: Zeroizing<Vec<u8>>,
    /// `content[released..opened]` waits to be read.
    released: usize,
    opened: usize,
    state: State,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Open,
    Ended,
    Failed,
}

impl<R: Read> Opener<R> {
    fn next_chunk(&mut self) -> Result<()> {
        let rest = self.sealed.get_mut(self.filled..).unwrap_or_default();
        self.filled += fill(&mut self.reader, rest)?;
        let full = self.sealed.len() - 1;
        let last = self.filled <= full;
        let (flag, length) = if last { (Flag::Last, self.filled) } else { (Flag::More, full) };
        self.opened = self.open_chunk(length, flag)?;
        self.released = 0;
        self.stream.advance();
        if last {
            self.state = State::Ended;
        } else {
            // The byte behind the chunk is the next one's first.
            self.sealed.copy_within(full.., 0);
            self.filled = 1;
        }
        Ok(())
    }

    /// Opens the chunk in `sealed[..length]` and returns the length of its content.
    fn open_chunk(&mut self, length: usize, flag: Flag) -> Result<usize> {
        let sealed = self.sealed.get(..length).unwrap_or_default();
        let size = length.checked_sub(TAG).ok_or(Error::Truncated)?;
        let content = self.content.get_mut(..size).ok_or(Error::Truncated)?;
        let chunk = self.stream.chunk();
        if self.stream.open(sealed, content, flag)? {
            return if size == 0 && chunk > 0 { Err(Error::EmptyLastChunk) } else { Ok(size) };
        }
        // With the other flag, an authentic chunk tells what happened behind it.
        let (other, reason) = match flag {
            Flag::Last => (Flag::More, Error::Truncated),
            Flag::More => (Flag::Last, Error::TrailingBytes),
        };
        let authentic = self.stream.open(sealed, content, other)?;
        Err(if authentic { reason } else { Error::NotAuthentic { chunk } })
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.released == self.opened {
            match self.state {
                State::Ended => return Ok(0),
                State::Failed => return Err(Error::Failed.into()),
                State::Open => {}
            }
            if let Err(error) = self.next_chunk() {
                self.state = State::Failed;
                self.opened = self.released;
                return Err(error.into());
            }
        }
        let mut ready = self.content.get(self.released..self.opened).unwrap_or_default();
        let count = ready.read(buffer)?;
        self.released += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn an_empty_last_chunk_behind_a_full_one_is_refused_even_when_authentic() {
        let header = Header {
            purpose: Purpose::Model,
            key_arn: "arn".into(),
            wrapped_key: vec![1],
            context: BTreeMap::new(),
            chunk_size: 64,
            salt: None,
        };
        let (key, prefix, bytes) = (DataKey::new([1; 32]), [2; PREFIX], header.encode().unwrap());
        let mut stream = Stream::new(&key, None, &bytes, prefix).unwrap();
        let mut chunk = [3; 64];
        let full = stream.seal(&mut chunk, Flag::More).unwrap();
        stream.advance();
        let empty = stream.seal(&mut [], Flag::Last).unwrap();
        let file = [&bytes[..], &prefix, &chunk, &full, &empty].concat();
        let mut opener = Sealed::read_header(&file[..]).unwrap().open(&key, Purpose::Model).unwrap();
        let error = opener.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(matches!(Error::of(&error), Some(Error::EmptyLastChunk)), "{error}");
    }
}
