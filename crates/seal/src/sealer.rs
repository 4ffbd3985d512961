//! Writing a sealed file.

use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::header::Header;
use crate::key::DataKey;
use crate::stream::{Flag, PREFIX, Stream};

/// Seals what is written to it. Holds one chunk in memory.
///
/// Call [`Sealer::finish`]: a sealer that is dropped leaves a file without its last chunk, which opens as
/// [`Error::Truncated`].
pub struct Sealer<W: Write> {
    writer: W,
    stream: Stream,
    chunk: Zeroizing<Vec<u8>>,
    chunk_size: usize,
    failed: bool,
}

impl<W: Write> Sealer<W> {
    /// Writes the header and starts the content. `key` is the one that `header.wrapped_key` wraps, and seals nothing
    /// else but results.
    pub fn new(mut writer: W, header: &Header, key: &DataKey) -> Result<Self> {
        header.check()?;
        let bytes = header.encode()?;
        let mut prefix = [0; PREFIX];
        aws_lc_rs::rand::fill(&mut prefix).map_err(|_| Error::Crypto)?;
        writer.write_all(&bytes).and_then(|()| writer.write_all(&prefix)).map_err(Error::Io)?;
        let stream = Stream::new(key, header.salt.as_ref(), &bytes, prefix)?;
        let chunk_size = usize::try_from(header.chunk_size).map_err(|_| Error::Header)?;
        let chunk = Zeroizing::new(Vec::with_capacity(chunk_size));
        Ok(Self { writer, stream, chunk, chunk_size, failed: false })
    }

    /// Seals the last chunk, flushes, and returns what was written to.
    pub fn finish(mut self) -> Result<W> {
        self.seal(Flag::Last)?;
        self.writer.flush().map_err(Error::Io)?;
        Ok(self.writer)
    }

    fn seal(&mut self, flag: Flag) -> Result<()> {
        if self.failed {
            return Err(Error::Failed);
        }
        // Unset only when all went well: half a chunk may have been written.
        self.failed = true;
        let tag = self.stream.seal(&mut self.chunk, flag)?;
        self.writer.write_all(&self.chunk).and_then(|()| self.writer.write_all(&tag)).map_err(Error::Io)?;
        self.stream.advance();
        self.chunk.clear();
        self.failed = false;
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        if content.is_empty() {
            return Ok(0);
        }
        // A full chunk waits until more content shows that it is not the last.
        if self.chunk.len() == self.chunk_size {
            self.seal(Flag::More)?;
        }
        let taken = content.len().min(self.chunk_size - self.chunk.len());
        self.chunk.extend_from_slice(content.get(..taken).unwrap_or_default());
        Ok(taken)
    }

    /// Flushes the chunks that are full. The one that is not stays in memory, since its end decides how it is sealed.
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
