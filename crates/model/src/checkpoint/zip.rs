//! Zip archives whose entries are stored as they are, the only kind that PyTorch writes (PKWARE's APPNOTE 6.3, sections 4.3 and
//! 4.5.3). Entries are parts of the bytes that were given, so nothing can grow.

use std::collections::BTreeMap;

use super::CheckpointError;
use crate::limits;

/// End of central directory: its signature, its length without the comment, and the longest comment.
const END: [u8; 4] = *b"PK\x05\x06";
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: usize = 0xffff;

/// The same for archives with 64-bit sizes, and what points to it.
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";
const LOCATOR_64_BYTES: usize = 20;

/// A file in the central directory, and before its bytes.
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const CENTRAL_BYTES: usize = 46;
const LOCAL: [u8; 4] = *b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;

/// The extra field with 64-bit sizes, and the values that stand for "see there".
const EXTRA_64: u16 = 1;
const SEE_64: u64 = 0xffff_ffff;

/// The flag of encrypted entries.
const ENCRYPTED: u16 = 1;

pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    entries: BTreeMap<String, Entry>,
}

struct Entry {
    header: usize,
    length: usize,
    checksum: u32,
}

type Result<T> = std::result::Result<T, CheckpointError>;

impl<'a> Archive<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        let (count, mut at) = directory(bytes)?;
        if count > limits::MAX_ZIP_ENTRIES {
            return Err(CheckpointError::TooLarge("number of zip entries"));
        }
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let (name, entry, next) = central(bytes, at)?;
            if entries.insert(name, entry).is_some() {
                return Err(broken("two entries have one name"));
            }
            at = next;
        }
        Ok(Self { bytes, entries })
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    pub(super) fn entry(&self, name: &str) -> Result<&'a [u8]> {
        let entry = self.entries.get(name).ok_or_else(|| CheckpointError::MissingEntry(name.to_owned()))?;
        let header = part(self.bytes, entry.header, LOCAL_BYTES)?;
        if !header.starts_with(&LOCAL) {
            return Err(broken("an entry is not where the directory says"));
        }
        let names = usize::from(u16_at(header, 26)) + usize::from(u16_at(header, 28));
        let contents = part(self.bytes, entry.header + LOCAL_BYTES + names, entry.length)?;
        if crc32fast::hash(contents) != entry.checksum {
            return Err(broken("an entry's checksum is wrong"));
        }
        Ok(contents)
    }
}

/// How many entries there are, and where the first one's description is.
fn directory(bytes: &[u8]) -> Result<(usize, usize)> {
    let first = bytes.len().saturating_sub(END_BYTES + MAX_COMMENT_BYTES);
    let last = bytes.len().checked_sub(END_BYTES).ok_or(CheckpointError::Truncated)?;
    let at = (first..=last).rev().find(|at| bytes[*at..].starts_with(&END)).ok_or(CheckpointError::Truncated)?;
    let end = part(bytes, at, END_BYTES)?;
    let locator = at.checked_sub(LOCATOR_64_BYTES).map(|at| &bytes[at..]).filter(|rest| rest.starts_with(&LOCATOR_64));
    match locator {
        None => Ok((u16_at(end, 10).into(), u32_at(end, 16) as usize)),
        Some(locator) => {
            let end = part(bytes, size(u64_at(locator, 8))?, 56)?;
            if !end.starts_with(&END_64) {
                return Err(broken("its 64-bit directory is not where it says"));
            }
            Ok((size(u64_at(end, 32))?, size(u64_at(end, 48))?))
        }
    }
}

/// One description in the central directory: the entry's name, the entry, and where the next description is.
fn central(bytes: &[u8], at: usize) -> Result<(String, Entry, usize)> {
    let fixed = part(bytes, at, CENTRAL_BYTES)?;
    if !fixed.starts_with(&CENTRAL) {
        return Err(broken("its directory is not where it says"));
    }
    if u16_at(fixed, 8) & ENCRYPTED != 0 || u16_at(fixed, 10) != 0 {
        return Err(broken("an entry is compressed or encrypted; PyTorch stores entries as they are"));
    }
    let name_length = u16_at(fixed, 28).into();
    let extra_length = u16_at(fixed, 30).into();
    let name = part(bytes, at + CENTRAL_BYTES, name_length)?;
    let extra = part(bytes, at + CENTRAL_BYTES + name_length, extra_length)?;
    let next = at + CENTRAL_BYTES + name_length + extra_length + usize::from(u16_at(fixed, 32));
    // 64-bit values follow in the extra field, in this order, each only if its short one says so.
    let mut wide = extra_64(extra);
    let mut value = |short: u32| match u64::from(short) {
        SEE_64 => match wide.split_first_chunk::<8>() {
            Some((long, rest)) => {
                wide = rest;
                size(u64::from_le_bytes(*long))
            }
            None => Err(broken("a 64-bit size is missing")),
        },
        short => size(short),
    };
    let length = value(u32_at(fixed, 24))?;
    if value(u32_at(fixed, 20))? != length {
        return Err(broken("an entry has two lengths"));
    }
    let header = value(u32_at(fixed, 42))?;
    let name = String::from_utf8(name.to_vec()).map_err(|_| broken("a name is not UTF-8"))?;
    Ok((name, Entry { header, length, checksum: u32_at(fixed, 16) }, next))
}

fn extra_64(mut extra: &[u8]) -> &[u8] {
    while let Some((header, rest)) = extra.split_first_chunk::<4>() {
        let length = u16_at(header, 2).into();
        match rest.split_at_checked(length) {
            Some((field, _)) if u16_at(header, 0) == EXTRA_64 => return field,
            Some((_, rest)) => extra = rest,
            None => break,
        }
    }
    &[]
}

fn part(bytes: &[u8], at: usize, length: usize) -> Result<&[u8]> {
    at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or(CheckpointError::Truncated)
}

/// Anything longer than the file is caught where it is used.
fn size(value: u64) -> Result<usize> {
    usize::try_from(value).ok().filter(|size| *size <= isize::MAX as usize).ok_or(CheckpointError::Truncated)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn broken(reason: &str) -> CheckpointError {
    CheckpointError::Zip(reason.to_owned())
}
