//! Linux's archive of an initial file system: cpio of the form "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use aws_lc_rs::digest::{Context, SHA384};

use crate::limits;
use crate::ramdisk::{File, Unreadable};

const MAGIC: &[u8; 6] = b"070701";
/// Magic, and thirteen numbers of eight hexadecimal digits.
const HEAD: usize = 6 + 13 * 8;
const END: &str = "TRAILER!!!";
/// Names and contents are padded to multiples of this.
const ALIGNMENT: usize = 4;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// What is put at a path.
pub(crate) enum Content<'a> {
    Directory,
    File { mode: u32, bytes: &'a [u8] },
    Character { mode: u32, major: u32, minor: u32 },
}

/// Writes an archive: sorted by path, owned by root, dated 1970, numbered from 1.
pub(crate) fn write(entries: &BTreeMap<&str, Content<'_>>) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (path, content)) in (1..).zip(entries) {
        let (mode, links, device, bytes): (_, _, _, &[u8]) = match content {
            Content::Directory => (DIRECTORY | 0o755, 2, (0, 0), &[]),
            Content::File { mode, bytes } => (REGULAR | mode, 1, (0, 0), bytes),
            Content::Character { mode, major, minor } => (CHARACTER | mode, 1, (*major, *minor), &[]),
        };
        entry(&mut archive, [number, mode, links], device, path, bytes);
    }
    entry(&mut archive, [0, 0, 1], (0, 0), END, &[]);
    archive
}

fn entry(archive: &mut Vec<u8>, [number, mode, links]: [u32; 3], device: (u32, u32), path: &str, bytes: &[u8]) {
    let (size, name_size) = (bytes.len() as u32, path.len() as u32 + 1);
    let (owner, group, time, check) = (0, 0, 0, 0);
    let fields = [number, mode, owner, group, links, time, size, 0, 0, device.0, device.1, name_size, check];
    archive.extend_from_slice(MAGIC);
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(path.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(bytes);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(ALIGNMENT), 0);
}

/// Lists an archive, or several one after the other as Linux takes them. Contents are hashed as they go by, and not kept.
/// At most `most` bytes are read.
pub(crate) fn list(input: impl Read, most: u64) -> Result<Vec<File>, Unreadable> {
    // Zeros between archives are read one by one.
    let mut reader = Reader { input: BufReader::new(input).take(most + 1), position: 0 };
    let (mut files, mut paths) = (Vec::new(), 0);
    while let Some(head) = reader.head()? {
        let Some(file) = reader.entry(&head)? else { continue };
        paths += file.path.len();
        if files.len() == limits::FILES || paths > limits::PATHS {
            return Err(Unreadable::TooManyFiles);
        }
        files.push(file);
    }
    Ok(files)
}

struct Reader<R> {
    input: io::Take<R>,
    position: u64,
}

impl<R: Read> Reader<R> {
    /// The next head, behind any zeros; none at the end.
    fn head(&mut self) -> Result<Option<[u8; HEAD]>, Unreadable> {
        let mut head = [0; HEAD];
        while head.first() == Some(&0) {
            let [first, ..] = &mut head;
            match self.input.read(std::slice::from_mut(first)) {
                Ok(0) if self.input.limit() == 0 => return Err(Unreadable::TooLarge),
                Ok(0) => return Ok(None),
                Ok(_) => self.position += 1,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Unreadable::of(&error)),
            }
        }
        let [_, rest @ ..] = &mut head;
        self.fill(rest)?;
        if head.starts_with(MAGIC) { Ok(Some(head)) } else { Err(Unreadable::NotAnArchive) }
    }

    /// The entry behind a head; none where it is the end of an archive.
    fn entry(&mut self, head: &[u8; HEAD]) -> Result<Option<File>, Unreadable> {
        let numbers = numbers(head).ok_or(Unreadable::NotAnArchive)?;
        let [_, mode, owner, group, links, time, size, _, _, major, minor, name_size, _] = numbers;
        if name_size == 0 || name_size as usize > limits::PATH {
            return Err(Unreadable::NotAnArchive);
        }
        let mut path = vec![0; name_size as usize];
        self.fill(&mut path)?;
        self.skip_padding()?;
        if path.pop() != Some(0) || path.contains(&0) {
            return Err(Unreadable::NotAnArchive);
        }
        let sha384 = self.content(size)?;
        self.skip_padding()?;
        if path == END.as_bytes() {
            return Ok(None);
        }
        Ok(Some(File { path, mode, owner, group, links, time, size, device: (major, minor), sha384 }))
    }

    fn content(&mut self, size: u32) -> Result<[u8; limits::PCR], Unreadable> {
        let mut context = Context::new(&SHA384);
        let mut left = size as usize;
        let mut chunk = [0; 16 * 1024];
        while left > 0 {
            let part = chunk.len().min(left);
            let part = chunk.get_mut(..part).unwrap_or_default();
            self.fill(part)?;
            context.update(part);
            left -= part.len();
        }
        let mut value = [0; limits::PCR];
        value.copy_from_slice(context.finish().as_ref());
        Ok(value)
    }

    fn skip_padding(&mut self) -> Result<(), Unreadable> {
        let odd = (self.position % ALIGNMENT as u64) as usize;
        let mut padding = [0; ALIGNMENT];
        self.fill(padding.get_mut(..(ALIGNMENT - odd) % ALIGNMENT).unwrap_or_default())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), Unreadable> {
        self.input
            .read_exact(buffer)
            .map_err(|error| if self.input.limit() == 0 { Unreadable::TooLarge } else { Unreadable::of(&error) })?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}

fn numbers(head: &[u8; HEAD]) -> Option<[u32; 13]> {
    let mut numbers = [0; 13];
    for (number, digits) in numbers.iter_mut().zip(head.get(MAGIC.len()..)?.chunks_exact(8)) {
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()))?;
        *number = u32::from_str_radix(digits, 16).ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        write(&BTreeMap::from([("a", Content::Directory), ("a/b", Content::File { mode: 0o644, bytes: b"12345" })]))
    }

    fn paths(files: &[File]) -> Vec<&[u8]> {
        files.iter().map(|file| file.path.as_slice()).collect()
    }

    #[test]
    fn archives_one_after_the_other_are_listed_as_linux_unpacks_them() {
        let two = [&archive()[..], &[0; 512], &archive()].concat();
        assert_eq!(paths(&list(&two[..], u64::MAX - 1).unwrap()), [&b"a"[..], b"a/b", b"a", b"a/b"]);
    }

    #[test]
    fn more_than_the_bound_is_refused_whether_it_is_content_or_zeros() {
        let archive = archive();
        let most = archive.len() as u64;
        assert_eq!(list(&archive[..], most).map(|files| files.len()), Ok(2));
        assert_eq!(list(&archive[..], most - 5), Err(Unreadable::TooLarge));
        assert_eq!(list(io::repeat(0), most), Err(Unreadable::TooLarge));
    }

    #[test]
    fn every_truncation_is_refused_but_one_between_entries() {
        let archive = archive();
        for length in 0..archive.len() {
            match list(&archive[..length], u64::MAX - 1) {
                Ok(files) => assert!(files.len() < 3 && length % 4 == 0, "{length}"),
                Err(error) => assert!(matches!(error, Unreadable::Damaged(_)), "{length}: {error}"),
            }
        }
    }

    #[test]
    fn numbers_and_names_that_are_none_are_refused() {
        let archive = archive();
        let name_size = MAGIC.len() + 11 * 8;
        for (at, bytes) in
            [(0, "070707"), (6, "0000000g"), (6, "+0000001"), (name_size, "00000000"), (name_size, "00001001")]
        {
            let mut wrong = archive.clone();
            wrong[at..at + bytes.len()].copy_from_slice(bytes.as_bytes());
            assert_eq!(list(&wrong[..], u64::MAX - 1), Err(Unreadable::NotAnArchive), "{at} {bytes}");
        }
    }
}
