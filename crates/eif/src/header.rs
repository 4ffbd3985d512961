//! The header of an image: 548 bytes, big-endian, with a table of the sections and a checksum of everything but itself.

use crate::error::{Error, Result};
use crate::image::Kind;
use crate::limits;

/// Bytes of the header.
pub(crate) const HEADER: usize = 548;

/// Bytes of the head of a section: type, flags, size.
pub(crate) const SECTION_HEAD: usize = 12;

const MAGIC: [u8; 4] = *b".eif";
const VERSION: u16 = 4;
/// The one flag of the header: the image is for arm64.
const ARM64: u16 = 1;
/// Where the checksum stands: at the end of the header.
const CHECKSUM: usize = HEADER - 4;

/// What the header says besides where its sections are. None of it is measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// For arm64 rather than x86-64.
    pub arm64: bool,
    /// The memory that an enclave has if it is started without a number, in bytes.
    pub memory: u64,
    /// The processors that an enclave has if it is started without a number.
    pub cpus: u64,
}

impl Default for Header {
    /// x86-64, a gibibyte and two processors: what AWS's tools write.
    fn default() -> Self {
        Self { arm64: false, memory: 1 << 30, cpus: 2 }
    }
}

/// Where the table puts a section: the offset of its head, and the bytes behind the head.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

impl Header {
    /// The header, and the table of those sections behind it; the checksum is still zero.
    pub(crate) fn encode(&self, sizes: &[u64]) -> Vec<u8> {
        let mut places = [Place::default(); limits::SECTIONS];
        let mut offset = HEADER as u64;
        for (place, size) in places.iter_mut().zip(sizes) {
            *place = Place { offset, size: *size };
            offset += SECTION_HEAD as u64 + size;
        }
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&(if self.arm64 { ARM64 } else { 0 }).to_be_bytes());
        bytes.extend_from_slice(&self.memory.to_be_bytes());
        bytes.extend_from_slice(&self.cpus.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(sizes.len() as u16).to_be_bytes());
        bytes.extend(places.iter().flat_map(|place| place.offset.to_be_bytes()));
        bytes.extend(places.iter().flat_map(|place| place.size.to_be_bytes()));
        bytes.extend_from_slice(&[0; 8]);
        bytes
    }

    /// Reads the header of a whole image, checks the checksum, and returns the table.
    pub(crate) fn decode(image: &[u8]) -> Result<(Self, Vec<Place>)> {
        if image.len() > limits::IMAGE {
            return Err(Error::TooLarge(image.len()));
        }
        let fields = image.get(..HEADER).ok_or(Error::TooShort(image.len()))?;
        let mut fields = Fields(fields);
        if fields.take() != MAGIC {
            return Err(Error::Magic);
        }
        match u16::from_be_bytes(fields.take()) {
            VERSION => {}
            other => return Err(Error::Version(other)),
        }
        let flags = u16::from_be_bytes(fields.take());
        let (memory, cpus) = (fields.number(), fields.number());
        let reserved = fields.take() != [0; 2];
        let count = usize::from(u16::from_be_bytes(fields.take()));
        let offsets: Vec<u64> = (0..limits::SECTIONS).map(|_| fields.number()).collect();
        let sizes: Vec<u64> = (0..limits::SECTIONS).map(|_| fields.number()).collect();
        let unused = fields.take() != [0; 4];
        check_checksum(image, u32::from_be_bytes(fields.take()))?;
        if flags & !ARM64 != 0 || reserved || unused {
            return Err(Error::Reserved);
        }
        let mut places: Vec<Place> =
            offsets.into_iter().zip(sizes).map(|(offset, size)| Place { offset, size }).collect();
        if count > places.len() {
            return Err(Error::TooManySections(count));
        }
        if places.split_off(count).iter().any(|place| place.offset != 0 || place.size != 0) {
            return Err(Error::Table(count));
        }
        Ok((Self { arm64: flags == ARM64, memory, cpus }, places))
    }
}

/// Writes the checksum into a whole image.
pub(crate) fn set_checksum(image: &mut [u8]) {
    let checksum = checksum(image).to_be_bytes();
    if let Some(place) = image.get_mut(CHECKSUM..HEADER) {
        place.copy_from_slice(&checksum);
    }
}

fn check_checksum(image: &[u8], stated: u32) -> Result<()> {
    let computed = checksum(image);
    if computed == stated { Ok(()) } else { Err(Error::Checksum { stated, computed }) }
}

/// CRC-32 as in Ethernet, over the image without the checksum's own four bytes.
fn checksum(image: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(image.get(..CHECKSUM).unwrap_or_default());
    crc.update(image.get(HEADER..).unwrap_or_default());
    crc.finalize()
}

/// The head of a section.
pub(crate) fn section_head(kind: Kind, size: u64) -> Vec<u8> {
    let flags = [0; 2];
    [&kind.number().to_be_bytes()[..], &flags, &size.to_be_bytes()].concat()
}

/// Reads the head of the section of that index, which must be where the table says and of the size that it says.
pub(crate) fn read_section_head(head: &[u8], index: usize, place: Place) -> Result<Kind> {
    if head.len() != SECTION_HEAD {
        return Err(Error::Truncated(index));
    }
    let mut fields = Fields(head);
    let number = u16::from_be_bytes(fields.take());
    if fields.take() != [0; 2] {
        return Err(Error::Reserved);
    }
    if fields.number() != place.size {
        return Err(Error::Table(index));
    }
    Kind::of(number).ok_or(Error::SectionKind { index, number })
}

/// Fixed fields, one after the other; zeros past the end, which callers rule out by the length.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }

    fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }
}
