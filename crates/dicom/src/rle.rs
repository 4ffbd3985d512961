//! RLE lossless (PS3.5, annex G): one PackBits segment for each byte of a cell, the high byte's first.

use crate::{Refusal, attributes::Format};

const HEADER: usize = 64;

/// Decodes one frame into cells. What a segment unpacks to is bounded by the image, whatever the segment says.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Vec<u16>, Refusal> {
    let header: &[u8; HEADER] = frame.first_chunk().ok_or(Refusal::Truncated)?;
    let mut numbers = header.as_chunks().0.iter().map(|&number| u32::from_le_bytes(number) as usize);
    let segments = usize::from(format.allocated / 8);
    if numbers.next() != Some(segments) {
        return Err(Refusal::Mismatch("RLE segments"));
    }
    let offsets: Vec<usize> = numbers.take(segments).collect();
    let mut cells = cloister_imaging::greys(format.pixels());
    for (index, &start) in offsets.iter().enumerate() {
        let end = offsets.get(index + 1).copied().unwrap_or(frame.len());
        if start < HEADER {
            return Err(Refusal::Pixels("an RLE segment lies in the header"));
        }
        let segment = frame.get(start..end).ok_or(Refusal::Pixels("an RLE segment lies outside the frame"))?;
        unpack(segment, &mut cells)?;
    }
    Ok(cells)
}

/// Shifts every cell up by a byte and puts the segment's bytes below (PS3.5, G.3).
fn unpack(mut segment: &[u8], mut cells: &mut [u16]) -> Result<(), Refusal> {
    const LONGER: Refusal = Refusal::Pixels("an RLE segment unpacks to more than the image");
    while !cells.is_empty() {
        let (&control, rest) = segment.split_first().ok_or(Refusal::Truncated)?;
        segment = rest;
        match control {
            0..=127 => {
                let count = usize::from(control) + 1;
                let (literal, rest) = segment.split_at_checked(count).ok_or(Refusal::Truncated)?;
                let (run, after) = cells.split_at_mut_checked(count).ok_or(LONGER)?;
                for (cell, byte) in run.iter_mut().zip(literal) {
                    *cell = *cell << 8 | u16::from(*byte);
                }
                (segment, cells) = (rest, after);
            }
            129..=255 => {
                let (byte, rest) = segment.split_first().ok_or(Refusal::Truncated)?;
                let (run, after) = cells.split_at_mut_checked(257 - usize::from(control)).ok_or(LONGER)?;
                for cell in run {
                    *cell = *cell << 8 | u16::from(*byte);
                }
                (segment, cells) = (rest, after);
            }
            128 => {}
        }
    }
    // A byte makes the length even.
    if segment.len() > 1 { Err(LONGER) } else { Ok(()) }
}
