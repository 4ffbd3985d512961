//! JPEG lossless (ITU-T T.81, annex H; process 14 of PS3.5, A.4.1), one component.
//!
//! Our own, and not jpeg-decoder's (0.3.2): that one takes ten bytes a pixel, and does not begin anew after restart markers, so that
//! images with them come out wrong and nobody is told.

use crate::{Counted, Refusal, attributes::Format, limits::MAX_JPEG_SEGMENTS};

/// Bits that one look into a table decides; longer codes, which are rare, are searched for.
const LOOKUP_BITS: u32 = 9;

/// A Huffman table of difference categories (T.81, C.2 and F.2.2.3).
struct Table {
    /// For each prefix of [`LOOKUP_BITS`] bits: category and length, or a length of 0.
    lookup: Vec<(u8, u8)>,
    /// For each length 1 to 16: the first code, the code behind the last, and the first one's place in `values`.
    lengths: [(u32, u32, usize); 16],
    values: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, Refusal> {
        let mut table =
            Self { lookup: vec![(0, 0); 1 << LOOKUP_BITS], lengths: [(0, 0, 0); 16], values: values.to_vec() };
        let (mut code, mut place) = (0u32, 0usize);
        for (index, (&count, entry)) in counts.iter().zip(&mut table.lengths).enumerate() {
            let length = index as u32 + 1;
            *entry = (code, code + u32::from(count), place);
            for &value in values.iter().skip(place).take(usize::from(count)) {
                if code >= 1 << length || value > 16 {
                    return Err(Refusal::Pixels("a JPEG Huffman table is none"));
                }
                if length <= LOOKUP_BITS {
                    let first = (code << (LOOKUP_BITS - length)) as usize;
                    for slot in table.lookup.iter_mut().skip(first).take(1 << (LOOKUP_BITS - length)) {
                        *slot = (value, length as u8);
                    }
                }
                code += 1;
            }
            place += usize::from(count);
            code <<= 1;
        }
        Ok(table)
    }

    /// A category and the length of its code, for the next 16 bits.
    fn find(&self, bits: u32) -> Option<(u8, u32)> {
        match self.lookup.get((bits >> (16 - LOOKUP_BITS)) as usize) {
            Some(&(value, length)) if length > 0 => return Some((value, u32::from(length))),
            _ => {}
        }
        (1u32..).zip(&self.lengths).skip(LOOKUP_BITS as usize).find_map(|(length, &(first, end, place))| {
            let code = bits >> (16 - length);
            let index = (first..end).contains(&code).then(|| place + (code - first) as usize)?;
            Some((*self.values.get(index)?, length))
        })
    }
}

/// What stands before the samples.
#[derive(Default)]
struct Header {
    tables: [Option<Table>; 4],
    /// Bits a sample, rows, columns.
    frame: Option<(u8, u16, u16)>,
    /// Samples between restart markers; 0 for none.
    restart: usize,
}

/// The scan's parameters (T.81, B.2.3).
struct Scan {
    table: usize,
    predictor: u8,
    point_transform: u8,
}

/// Decodes one image into cells.
pub(crate) fn decode(bytes: &[u8], format: &Format) -> Result<Vec<u16>, Refusal> {
    let mut header = Header::default();
    let (scan, samples) = header.read(bytes)?;
    let (precision, rows, columns) = header.frame.ok_or(Refusal::Pixels("a JPEG scan without its frame"))?;
    if (usize::from(rows), usize::from(columns)) != (format.rows, format.columns) {
        return Err(Refusal::Mismatch("rows and columns"));
    }
    if !(format.stored..=format.allocated).contains(&u16::from(precision)) {
        return Err(Refusal::Mismatch("bits a sample"));
    }
    if !(1..=7).contains(&scan.predictor) || scan.point_transform >= precision {
        return Err(Refusal::Pixels("a JPEG scan that is not lossless"));
    }
    // Whole rows (T.81, H.1.1).
    if !header.restart.is_multiple_of(format.columns) {
        return Err(Refusal::Pixels("JPEG restarts within a row"));
    }
    let table = header.tables.get(scan.table).and_then(Option::as_ref);
    let table = table.ok_or(Refusal::Pixels("a JPEG Huffman table is missing"))?;
    let mut bits = Bits { bytes: samples, held: 0, count: 0 };
    let mut cells = cloister_imaging::greys(format.pixels());
    let first = 1u16 << (precision - scan.point_transform - 1);
    let restart_rows = header.restart / format.columns;
    let mut above: &[u16] = &[];
    for (y, row) in cells.chunks_exact_mut(format.columns).enumerate() {
        if restart_rows > 0 && y > 0 && y.is_multiple_of(restart_rows) {
            bits.restart((y / restart_rows - 1) % 8)?;
            above = &[];
        }
        decode_row(row, above, first, scan.predictor, table, &mut bits)?;
        above = row;
    }
    if scan.point_transform > 0 {
        cells.iter_mut().for_each(|cell| *cell <<= scan.point_transform);
    }
    Ok(cells)
}

/// One row from its differences (T.81, H.1.2.1). `above` is empty in the first row and in the first after a restart.
fn decode_row(
    row: &mut [u16],
    above: &[u16],
    first: u16,
    predictor: u8,
    table: &Table,
    bits: &mut Bits<'_>,
) -> Result<(), Refusal> {
    let mut left = above.first().copied().unwrap_or(first);
    let mut corner = left;
    for (x, cell) in row.iter_mut().enumerate() {
        let up = above.get(x).copied();
        let prediction = match up {
            Some(up) if x > 0 => predict(predictor, left, up, corner),
            // The first row goes by the sample to the left, the first column by the one above.
            _ => left,
        };
        left = prediction.wrapping_add(bits.difference(table)?);
        corner = up.unwrap_or(0);
        *cell = left;
    }
    Ok(())
}

/// T.81, table H.1. Sums are of integers, halves are rounded down, and the result counts modulo 2^16.
fn predict(predictor: u8, left: u16, up: u16, corner: u16) -> u16 {
    let (a, b, c) = (i32::from(left), i32::from(up), i32::from(corner));
    let prediction = match predictor {
        1 => return left,
        2 => return up,
        3 => return corner,
        4 => a + b - c,
        5 => a + ((b - c) >> 1),
        6 => b + ((a - c) >> 1),
        _ => (a + b) >> 1,
    };
    (prediction & 0xFFFF) as u16
}

impl Header {
    /// Reads marker segments up to the scan's (T.81, B.2). Gives its parameters and the bytes of its samples.
    fn read<'a>(&mut self, bytes: &'a [u8]) -> Result<(Scan, &'a [u8]), Refusal> {
        let mut rest = bytes.strip_prefix(&[0xFF, 0xD8]).ok_or(Refusal::Pixels("no JPEG image"))?;
        for _ in 0..MAX_JPEG_SEGMENTS {
            let [0xFF, marker, after @ ..] = rest else { return Err(Refusal::Pixels("no marker where JPEG has one")) };
            if *marker == 0xFF {
                // Fill bytes (T.81, B.1.1.2).
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let length = after.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length)));
            let (segment, next) =
                after.split_at_checked(length.ok_or(Refusal::Truncated)?).ok_or(Refusal::Truncated)?;
            let segment = segment.get(2..).ok_or(Refusal::Pixels("a JPEG segment shorter than its length"))?;
            match marker {
                0xC4 => self.read_tables(segment)?,
                0xC3 => self.read_frame(segment)?,
                0xDA => return Ok((read_scan(segment)?, next)),
                0xDD => match segment {
                    &[high, low] => self.restart = usize::from(u16::from_be_bytes([high, low])),
                    _ => return Err(Refusal::Pixels("a JPEG restart interval of another length")),
                },
                // Quantization, comments, application data.
                0xDB | 0xFE | 0xE0..=0xEF => {}
                0xC0..=0xCF => return Err(Refusal::Pixels("JPEG, but not lossless with Huffman codes")),
                _ => return Err(Refusal::Pixels("a JPEG marker that lossless images do not have")),
            }
            rest = next;
        }
        Err(Refusal::TooMany(Counted::CodestreamParts))
    }

    fn read_tables(&mut self, mut segment: &[u8]) -> Result<(), Refusal> {
        const SHORT: Refusal = Refusal::Pixels("a JPEG Huffman table is cut short");
        while let Some((&class_and_place, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let total = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(total).ok_or(SHORT)?;
            let place = self.tables.get_mut(usize::from(class_and_place));
            *place.ok_or(Refusal::Pixels("a JPEG Huffman table for what lossless images do not have"))? =
                Some(Table::new(counts, values)?);
            segment = rest;
        }
        Ok(())
    }

    fn read_frame(&mut self, segment: &[u8]) -> Result<(), Refusal> {
        let &[precision, rows_high, rows_low, columns_high, columns_low, 1, _, _, _] = segment else {
            return Err(Refusal::Mismatch("components"));
        };
        let rows = u16::from_be_bytes([rows_high, rows_low]);
        let columns = u16::from_be_bytes([columns_high, columns_low]);
        match self.frame.replace((precision, rows, columns)) {
            None => Ok(()),
            Some(_) => Err(Refusal::Pixels("two JPEG frames")),
        }
    }
}

fn read_scan(segment: &[u8]) -> Result<Scan, Refusal> {
    match *segment {
        [1, _, tables, predictor, 0, approximation] if approximation < 16 => {
            Ok(Scan { table: usize::from(tables >> 4), predictor, point_transform: approximation })
        }
        _ => Err(Refusal::Pixels("a JPEG scan that is not lossless, of one component")),
    }
}

/// Bits of the samples, without stuffed zeros (T.81, F.1.2.3). Behind the last there are none, and whoever needs more is refused.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn fill(&mut self) {
        while self.count <= 48 {
            let taken = match self.bytes {
                [0xFF, 0, ..] => 2,
                // A marker ends the samples.
                [0xFF, ..] | [] => return,
                _ => 1,
            };
            let byte = self.bytes.first().copied().unwrap_or(0);
            self.bytes = self.bytes.get(taken..).unwrap_or_default();
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    /// The next 16 bits, with zeros behind the last.
    fn peek(&self) -> u32 {
        let bits = if self.count >= 16 { self.held >> (self.count - 16) } else { self.held << (16 - self.count) };
        (bits & 0xFFFF) as u32
    }

    fn take(&mut self, count: u32) -> Result<u32, Refusal> {
        self.count = self.count.checked_sub(count).ok_or(Refusal::Truncated)?;
        Ok(((self.held >> self.count) & ((1 << count) - 1)) as u32)
    }

    /// One difference, modulo 2^16 (T.81, H.1.2.2 and F.2.2.1).
    fn difference(&mut self, table: &Table) -> Result<u16, Refusal> {
        if self.count < 32 {
            self.fill();
        }
        let (category, length) = table.find(self.peek()).ok_or(Refusal::Pixels("a JPEG code that is none"))?;
        self.take(length)?;
        match category {
            0 => Ok(0),
            16 => Ok(1 << 15),
            category => {
                let bits = self.take(u32::from(category))?;
                let negative = bits < 1 << (category - 1);
                let low = if negative { (1 << category) - 1 } else { 0 };
                Ok((bits.wrapping_sub(low) & 0xFFFF) as u16)
            }
        }
    }

    /// Goes behind the restart marker with this number.
    fn restart(&mut self, number: usize) -> Result<(), Refusal> {
        // What is left of a byte is filled with ones; whole bytes would be samples that belong nowhere.
        if self.count >= 8 {
            return Err(Refusal::Pixels("JPEG samples where a restart had to be"));
        }
        (self.held, self.count) = (0, 0);
        while let [0xFF, 0xFF, ..] = self.bytes {
            self.bytes = self.bytes.get(1..).unwrap_or_default();
        }
        match self.bytes {
            [0xFF, marker, rest @ ..] if usize::from(*marker) == 0xD0 + number => {
                self.bytes = rest;
                Ok(())
            }
            _ => Err(Refusal::Pixels("no JPEG restart where one had to be")),
        }
    }
}
