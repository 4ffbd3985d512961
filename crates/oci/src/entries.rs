//! The entries of a tar that may be hostile, one after the other: how many, how long their names, and how much in all is bounded.
//!
//! The tar crate's own reader takes long names of any length into memory; it is used raw, and names are put together here.

use std::io::{self, Read};

use tar::{Archive, EntryType, PaxExtensions};

use crate::error::{Error, Result, excerpt};
use crate::limits;

/// How much of a tar is taken.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    SymbolicLink,
    HardLink,
    Other,
}

/// One entry, without its content.
#[derive(Debug)]
pub(crate) struct Item {
    /// Its parts joined by slashes, without any at the ends.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
}

/// Calls `each` with every entry and its content, then reads to the source's end.
pub(crate) fn walk(
    what: &str,
    from: impl Read,
    bounds: Bounds,
    mut each: impl FnMut(&Item, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let bad = |problem: &str| Error::BadArchive { what: what.to_owned(), problem: problem.to_owned() };
    let broken = |error: io::Error| Error::archive(what, error);
    let mut archive = Archive::new(Capped { from, what, left: bounds.bytes, limit: bounds.bytes });
    let mut name = Name::default();
    let mut count = 0;
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        count += 1;
        if count > bounds.entries {
            return Err(bad(&format!("it has more than {} entries", bounds.entries)));
        }
        let (kind, size) = (entry.header().entry_type(), entry.header().entry_size().map_err(broken)?);
        if name.extend(kind, size, &mut entry, what)? {
            continue;
        }
        let raw = name.path.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = plain(&raw)
            .ok_or_else(|| bad(&format!("{:?} leads out of it", excerpt(&String::from_utf8_lossy(&raw)))))?;
        let kind = match kind {
            EntryType::Regular | EntryType::Continuous if raw.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::SymbolicLink,
            EntryType::Link => Kind::HardLink,
            // Its header goes on in its content, so that what follows would be misread.
            EntryType::GNUSparse => return Err(bad("it has sparse entries")),
            _ => Kind::Other,
        };
        each(&Item { path, kind, size }, &mut entry)?;
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(())
}

/// What entries in front of an entry say of it.
#[derive(Default)]
struct Name {
    path: Option<Vec<u8>>,
}

impl Name {
    /// Takes the next entry's name, which may have one.
    fn named(&mut self, path: Vec<u8>, what: &str) -> Result<()> {
        if self.path.replace(path).is_none() {
            return Ok(());
        }
        let problem = "an entry of it has two names, and readers differ in which they take".to_owned();
        Err(Error::BadArchive { what: what.to_owned(), problem })
    }

    /// Takes an entry that only says something of the next, if it is one.
    fn extend(&mut self, kind: EntryType, size: u64, entry: &mut impl Read, what: &str) -> Result<bool> {
        let bad = |problem: &str| Error::BadArchive { what: what.to_owned(), problem: problem.to_owned() };
        let extension = matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        );
        if !extension {
            return Ok(false);
        }
        if size > limits::TAR_EXTENSION {
            return Err(bad("a name or an extended header in it is longer than 64 KiB"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|error| Error::archive(what, error))?;
        if bytes.len() as u64 != size {
            return Err(bad("it ends early"));
        }
        match kind {
            EntryType::GNULongName => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                bytes.truncate(end);
                self.named(bytes, what)?;
            }
            EntryType::XHeader | EntryType::XGlobalHeader => {
                for record in PaxExtensions::new(&bytes) {
                    let record = record.map_err(|error| Error::archive(what, error))?;
                    match record.key_bytes() {
                        b"path" if kind == EntryType::XHeader => self.named(record.value_bytes().to_vec(), what)?,
                        // They would change how the next entries are to be read.
                        b"path" | b"size" => return Err(bad("an extended header in it sets path or size")),
                        key if key.starts_with(b"GNU.sparse") => return Err(bad("it has sparse entries")),
                        _ => {}
                    }
                }
            }
            // Links are never followed, so their targets do not matter.
            _ => {}
        }
        Ok(true)
    }
}

/// The path without empty parts and dots; none where it climbs.
pub(crate) fn plain(path: &[u8]) -> Option<Vec<u8>> {
    if path.len() > limits::PATH || path.contains(&0) {
        return None;
    }
    let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.iter().any(|part| *part == b"..") {
        return None;
    }
    Some(parts.join(&b'/'))
}

/// Copies an entry's content, all of it.
pub(crate) fn copy(what: &str, item: &Item, from: &mut dyn Read, to: &mut dyn io::Write) -> Result<()> {
    let copied = io::copy(from, to).map_err(|error| Error::archive(what, error))?;
    if copied != item.size {
        return Err(Error::BadArchive { what: what.to_owned(), problem: "it ends early".to_owned() });
    }
    Ok(())
}

/// A reader that does not give more than a number of bytes.
struct Capped<'a, R> {
    from: R,
    what: &'a str,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Capped<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(to)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(Error::TooLarge { what: format!("{}, unpacked,", self.what), limit: self.limit }.into_io());
            }
        }
        Ok(read)
    }
}
