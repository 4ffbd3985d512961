//! One walk over a data set: no recursion, no allocation that a length in the file decides, values of a closed list only.
//!
//! A sequence of known length that is not on the list is stepped over, whatever it holds; one of undefined length has to be walked to
//! find its end, with a stack of its own that [`MAX_DEPTH`] bounds.

use crate::{
    Counted, Damage, Refusal,
    limits::{MAX_DEPTH, MAX_ELEMENTS, MAX_FRAGMENTS, MAX_KEPT, MAX_VALUE_BYTES},
    tag::{ENTERED, Tag, is_read},
};

const UNDEFINED: u32 = u32::MAX;

/// A value as the file has it.
pub(crate) struct Found<'a> {
    /// The sequences around it, outermost first; an item's number in the innermost.
    path: Vec<Tag>,
    item: usize,
    tag: Tag,
    value: &'a [u8],
}

/// Pixels as the file has them.
pub(crate) enum PixelBytes<'a> {
    Native(&'a [u8]),
    /// The fragments without the offset table (PS3.5, A.4).
    Encapsulated(Vec<&'a [u8]>),
}

/// What was found in a data set.
pub(crate) struct DataSet<'a> {
    found: Vec<Found<'a>>,
    pub(crate) pixels: Option<PixelBytes<'a>>,
    /// Whether a non-empty ModalityLUTSequence is there.
    pub(crate) modality_lut: bool,
}

impl<'a> DataSet<'a> {
    /// The value of an element outside all sequences.
    pub(crate) fn value(&self, tag: Tag) -> Option<&'a [u8]> {
        self.values(&[], tag).next().map(|(_, value)| value)
    }

    /// The values of an element in the items of a sequence, each with its item's number.
    pub(crate) fn values(&self, path: &[Tag], tag: Tag) -> impl Iterator<Item = (usize, &'a [u8])> {
        self.found
            .iter()
            .filter(move |found| found.tag == tag && found.path == path)
            .map(|found| (found.item, found.value))
    }
}

enum Kind {
    /// Items follow: the sequence's tag if it is on the list, and the number of items so far.
    Sequence {
        tag: Option<Tag>,
        items: usize,
    },
    Item,
    /// Fragments of an icon's pixels, which nobody reads.
    Fragments,
}

struct Level {
    kind: Kind,
    /// Where it ends, or that a delimiter ends it.
    end: Option<usize>,
    implicit: bool,
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    elements: usize,
    stack: Vec<Level>,
    /// What is kept beside the closed list, outside all sequences.
    also: &'a [Tag],
    data: DataSet<'a>,
}

/// Walks over a little-endian data set up to its pixels, or to its end.
pub(crate) fn scan<'a>(bytes: &'a [u8], implicit: bool, also: &'a [Tag]) -> Result<DataSet<'a>, Refusal> {
    let mut walk = Walk { also, ..Walk::new(bytes) };
    walk.run(implicit)?;
    Ok(walk.data)
}

/// Reads the file meta information (PS3.10, 7.1), which is explicit VR little endian: its transfer syntax, and where it ends.
pub(crate) fn scan_meta(bytes: &[u8]) -> Result<(&[u8], usize), Refusal> {
    let mut walk = Walk::new(bytes);
    let mut syntax = None;
    while walk.peek(0).is_some_and(|tag| tag.0 >> 16 == 2) {
        walk.count()?;
        let header = walk.header(false)?;
        let value = walk.take(header.length)?;
        if header.tag == Tag::TRANSFER_SYNTAX && syntax.replace(value).is_some() {
            return Err(Refusal::Damaged(Damage::Twice(header.tag)));
        }
    }
    Ok((syntax.ok_or(Refusal::Missing(Tag::TRANSFER_SYNTAX))?, walk.at))
}

#[derive(PartialEq)]
enum Step {
    On,
    /// The data set's pixels were reached.
    Done,
}

struct Header {
    tag: Tag,
    /// `None` in implicit VR.
    vr: Option<[u8; 2]>,
    length: u32,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let data = DataSet { found: Vec::new(), pixels: None, modality_lut: false };
        Self { bytes, at: 0, elements: 0, stack: Vec::new(), also: &[], data }
    }

    fn run(&mut self, implicit: bool) -> Result<(), Refusal> {
        loop {
            self.leave_ended()?;
            let (kind, implicit) = match self.stack.last() {
                None if self.at == self.bytes.len() => return Ok(()),
                None => (&Kind::Item, implicit),
                Some(level) => (&level.kind, level.implicit),
            };
            let step = match kind {
                Kind::Sequence { .. } => Self::item,
                Kind::Fragments => Self::icon_fragment,
                Kind::Item => Self::element,
            };
            self.count()?;
            if step(self, implicit)? == Step::Done {
                return Ok(());
            }
        }
    }

    /// Leaves levels of known length that end here.
    fn leave_ended(&mut self) -> Result<(), Refusal> {
        while let Some(end) = self.stack.last().and_then(|level| level.end) {
            if self.at < end {
                break;
            }
            if self.at > end {
                return Err(Refusal::Damaged(Damage::Length));
            }
            self.stack.pop();
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Refusal> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS { Err(Refusal::TooMany(Counted::Elements)) } else { Ok(()) }
    }

    /// Where the innermost level of known length ends, or the file.
    fn end(&self) -> usize {
        self.stack.iter().rev().find_map(|level| level.end).unwrap_or(self.bytes.len())
    }

    fn array<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        self.bytes.get(self.at.checked_add(offset)?..)?.first_chunk().copied()
    }

    fn peek(&self, offset: usize) -> Option<Tag> {
        let [a, b, c, d] = self.array(offset)?;
        Some(Tag(u32::from(u16::from_le_bytes([a, b])) << 16 | u32::from(u16::from_le_bytes([c, d]))))
    }

    /// A tag and a length of 32 bits, as items and everything in implicit VR have them (PS3.5, 7.1.3 and 7.5).
    fn short_header(&mut self) -> Result<(Tag, u32), Refusal> {
        let tag = self.peek(0).ok_or(Refusal::Truncated)?;
        let length = u32::from_le_bytes(self.array(4).ok_or(Refusal::Truncated)?);
        self.at += 8;
        Ok((tag, length))
    }

    fn header(&mut self, implicit: bool) -> Result<Header, Refusal> {
        let tag = self.peek(0).ok_or(Refusal::Truncated)?;
        // Delimiters have no value representation, even where everything else has one.
        if implicit || tag.0 >> 16 == 0xFFFE {
            let (tag, length) = self.short_header()?;
            return Ok(Header { tag, vr: None, length });
        }
        let vr: [u8; 2] = self.array(4).ok_or(Refusal::Truncated)?;
        let (length, size) = match &vr {
            b"AE" | b"AS" | b"AT" | b"CS" | b"DA" | b"DS" | b"DT" | b"FD" | b"FL" | b"IS" | b"LO" | b"LT" | b"PN"
            | b"SH" | b"SL" | b"SS" | b"ST" | b"TM" | b"UI" | b"UL" | b"US" => {
                (u32::from(u16::from_le_bytes(self.array(6).ok_or(Refusal::Truncated)?)), 8)
            }
            b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"SQ" | b"SV" | b"UC" | b"UN" | b"UR" | b"UT" | b"UV" => {
                (u32::from_le_bytes(self.array(8).ok_or(Refusal::Truncated)?), 12)
            }
            _ => return Err(Refusal::Damaged(Damage::ValueRepresentation)),
        };
        self.at += size;
        Ok(Header { tag, vr: Some(vr), length })
    }

    /// The next bytes, within the level that they stand in.
    fn take(&mut self, length: u32) -> Result<&'a [u8], Refusal> {
        if length == UNDEFINED {
            return Err(Refusal::Damaged(Damage::UndefinedLength));
        }
        let end = self.end_after(length)?;
        let value = self.bytes.get(self.at..end).ok_or(Refusal::Truncated)?;
        self.at = end;
        Ok(value)
    }

    fn end_after(&self, length: u32) -> Result<usize, Refusal> {
        let end =
            self.at.checked_add(length as usize).filter(|&end| end <= self.bytes.len()).ok_or(Refusal::Truncated)?;
        if end > self.end() { Err(Refusal::Damaged(Damage::Length)) } else { Ok(end) }
    }

    fn push(&mut self, kind: Kind, length: u32, implicit: bool) -> Result<(), Refusal> {
        if self.stack.len() == 2 * MAX_DEPTH {
            return Err(Refusal::TooMany(Counted::Levels));
        }
        let end = if length == UNDEFINED { None } else { Some(self.end_after(length)?) };
        self.stack.push(Level { kind, end, implicit });
        Ok(())
    }

    /// What stands in a sequence: an item, or the delimiter that ends it.
    fn item(&mut self, implicit: bool) -> Result<Step, Refusal> {
        let (tag, length) = self.short_header()?;
        let Some(Level { kind: Kind::Sequence { items, .. }, end, .. }) = self.stack.last_mut() else {
            return Err(Refusal::Damaged(Damage::Item));
        };
        match tag {
            Tag::ITEM => {
                *items += 1;
                self.push(Kind::Item, length, implicit)?;
            }
            Tag::SEQUENCE_END if end.is_none() && length == 0 => {
                self.stack.pop();
            }
            _ => return Err(Refusal::Damaged(Damage::Item)),
        }
        Ok(Step::On)
    }

    fn icon_fragment(&mut self, _implicit: bool) -> Result<Step, Refusal> {
        match self.short_header()? {
            (Tag::ITEM, length) => {
                self.take(length)?;
            }
            (Tag::SEQUENCE_END, 0) => {
                self.stack.pop();
            }
            _ => return Err(Refusal::Damaged(Damage::Item)),
        }
        Ok(Step::On)
    }

    /// An element, in the data set or in an item.
    fn element(&mut self, implicit: bool) -> Result<Step, Refusal> {
        let Header { tag, vr, length } = self.header(implicit)?;
        let outside = self.stack.is_empty();
        if tag.0 >> 16 == 0xFFFE {
            self.end_item(tag, length)?;
        } else if tag == Tag::PIXEL_DATA && outside {
            self.data.pixels = Some(self.pixels(length)?);
            return Ok(Step::Done);
        } else if length == UNDEFINED {
            self.data.modality_lut |= tag == Tag::MODALITY_LUT && outside;
            let items = Kind::Sequence { tag: self.entered(tag), items: 0 };
            let (kind, implicit) = match vr.as_ref() {
                None | Some(b"OB" | b"OW") if tag == Tag::PIXEL_DATA => (Kind::Fragments, implicit),
                Some(b"SQ") => (items, false),
                // Of unknown representation and undefined length: a sequence in implicit VR (PS3.5, 6.2.2).
                Some(b"UN") | None => (items, true),
                Some(_) => return Err(Refusal::Damaged(Damage::UndefinedLength)),
            };
            self.push(kind, length, implicit)?;
        } else if let Some(entered) = self.entered(tag) {
            let implicit = match vr.as_ref() {
                Some(b"SQ") => false,
                Some(b"UN") | None => true,
                Some(_) => return Err(Refusal::Damaged(Damage::ValueRepresentation)),
            };
            self.push(Kind::Sequence { tag: Some(entered), items: 0 }, length, implicit)?;
        } else {
            self.data.modality_lut |= tag == Tag::MODALITY_LUT && outside && length != 0;
            let value = self.take(length)?;
            self.keep(tag, value)?;
        }
        Ok(Step::On)
    }

    fn end_item(&mut self, tag: Tag, length: u32) -> Result<(), Refusal> {
        match self.stack.last() {
            Some(Level { end: None, .. }) if tag == Tag::ITEM_END && length == 0 => {
                self.stack.pop();
                Ok(())
            }
            _ => Err(Refusal::Damaged(Damage::Item)),
        }
    }

    /// The listed sequences around this point and the item's number in the innermost; nothing inside a sequence that is not listed.
    fn path(&self) -> Option<(Vec<Tag>, usize)> {
        let mut path = Vec::new();
        let mut item = 0;
        for level in &self.stack {
            match level.kind {
                Kind::Sequence { tag: Some(tag), items } => {
                    path.push(tag);
                    item = items;
                }
                Kind::Sequence { tag: None, .. } | Kind::Fragments => return None,
                Kind::Item => {}
            }
        }
        Some((path, item))
    }

    fn entered(&self, tag: Tag) -> Option<Tag> {
        let (mut path, _) = self.path()?;
        path.push(tag);
        ENTERED.contains(&path.as_slice()).then_some(tag)
    }

    fn keep(&mut self, tag: Tag, value: &'a [u8]) -> Result<(), Refusal> {
        let wanted = |path: &[Tag]| is_read(path, tag) || (path.is_empty() && self.also.contains(&tag));
        let Some((path, item)) = self.path().filter(|(path, _)| wanted(path)) else { return Ok(()) };
        if value.len() > MAX_VALUE_BYTES {
            return Err(Refusal::Value(tag));
        }
        if self.data.found.len() == MAX_KEPT {
            return Err(Refusal::TooMany(Counted::Elements));
        }
        if self.data.values(&path, tag).any(|(other, _)| other == item) {
            return Err(Refusal::Damaged(Damage::Twice(tag)));
        }
        self.data.found.push(Found { path, item, tag, value });
        Ok(())
    }

    fn pixels(&mut self, length: u32) -> Result<PixelBytes<'a>, Refusal> {
        if length != UNDEFINED {
            return self.take(length).map(PixelBytes::Native);
        }
        // The first item is the table of offsets, which may be empty (PS3.5, A.4).
        let mut fragments = Vec::new();
        let mut offsets = true;
        loop {
            match self.short_header()? {
                (Tag::ITEM, length) => {
                    let fragment = self.take(length)?;
                    if !std::mem::take(&mut offsets) {
                        fragments.push(fragment);
                    }
                }
                (Tag::SEQUENCE_END, 0) => return Ok(PixelBytes::Encapsulated(fragments)),
                _ => return Err(Refusal::Damaged(Damage::Item)),
            }
            if fragments.len() > MAX_FRAGMENTS {
                return Err(Refusal::TooMany(Counted::Fragments));
            }
        }
    }
}
