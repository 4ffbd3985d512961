//! Stored pixels to greys.

use std::borrow::Cow;

use ndarray::Array2;

use crate::{
    Damage, Refusal,
    attributes::{Format, Greys},
    codes::Syntax,
    jpeg, jpeg2000, rle,
    scan::PixelBytes,
};

/// Decodes pixels and maps them to greys, `[row, column]`.
pub(crate) fn read(
    stored: &PixelBytes<'_>,
    syntax: Syntax,
    format: &Format,
    greys: &Greys,
) -> Result<Array2<u16>, Refusal> {
    let mut cells = match (syntax, stored) {
        (Syntax::Implicit | Syntax::Explicit | Syntax::Deflated, PixelBytes::Native(bytes)) => native(bytes, format)?,
        (Syntax::Rle, PixelBytes::Encapsulated(fragments)) => match fragments.as_slice() {
            // One fragment for each frame (PS3.5, A.4.2).
            [frame] => rle::decode(frame, format)?,
            _ => return Err(Refusal::Pixels("RLE in other than one fragment")),
        },
        (Syntax::JpegLossless, PixelBytes::Encapsulated(fragments)) => jpeg::decode(&joined(fragments), format)?,
        (Syntax::Jpeg2000, PixelBytes::Encapsulated(fragments)) => jpeg2000::decode(&joined(fragments), format)?,
        _ => return Err(Refusal::Damaged(Damage::Encapsulation)),
    };
    map(&mut cells, format, greys);
    Array2::from_shape_vec((format.rows, format.columns), cells).map_err(|_| Refusal::Damaged(Damage::PixelLength))
}

/// Pixels without compression (PS3.5, 8.1 and 8.2): cells in little-endian order, a byte more where the length would be odd.
fn native(bytes: &[u8], format: &Format) -> Result<Vec<u16>, Refusal> {
    let wide = format.allocated == 16;
    let length = format.pixels() * if wide { 2 } else { 1 };
    if bytes.len() != length && bytes.len() != length.next_multiple_of(2) {
        return Err(Refusal::Damaged(Damage::PixelLength));
    }
    let bytes = bytes.get(..length).unwrap_or_default();
    let mut cells = cloister_imaging::greys(format.pixels());
    if wide {
        cells.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, cell)| *to = u16::from_le_bytes(*cell));
    } else {
        cells.iter_mut().zip(bytes).for_each(|(to, cell)| *to = u16::from(*cell));
    }
    Ok(cells)
}

/// A frame that its writer cut into fragments, in one piece (PS3.5, A.4).
fn joined<'a>(fragments: &[&'a [u8]]) -> Cow<'a, [u8]> {
    match fragments {
        [frame] => Cow::Borrowed(frame),
        fragments => Cow::Owned(fragments.concat()),
    }
}

/// Cells to greys: bits above the stored ones do not count, padding becomes 0, MONOCHROME1 is turned around.
///
/// Numbers stay as they are otherwise. Signed ones that go below 0 are all raised, so that the lowest is 0; signed MONOCHROME1 is
/// measured from the highest number that the bits can hold, as unsigned is.
fn map(cells: &mut [u16], format: &Format, greys: &Greys) {
    let is_padding = |value: i32| greys.padding.is_some_and(|(low, high)| (low..=high).contains(&value));
    let highest = if format.signed { (1 << (format.stored - 1)) - 1 } else { (1 << format.stored) - 1 };
    let values = cells.iter().map(|&cell| format.value(cell)).filter(|&value| !is_padding(value));
    let lowest = if format.signed && !greys.inverted { values.min().unwrap_or(0).min(0) } else { 0 };
    for cell in cells {
        let value = format.value(*cell);
        let grey = match (is_padding(value), greys.inverted) {
            (true, _) => 0,
            (false, true) => highest - value,
            (false, false) => value - lowest,
        };
        // In range for every value of 16 bits, signed or not.
        *cell = u16::try_from(grey).unwrap_or(0);
    }
}
