//! JPEG 2000 (ISO/IEC 15444-1; PS3.5, A.4.4): one component, decoded by hayro-jpeg2000, which forbids unsafe code.
//!
//! The codestream's markers are walked first. What its decoder allocates, and how long it takes, follows from numbers in them, which
//! a few bytes could set to anything.

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use crate::{
    Counted, Refusal,
    attributes::Format,
    limits::{
        MAX_BIT_PLANES, MAX_DECOMPOSITIONS, MAX_LAYERS, MAX_TILE_PARTS, MIN_CODE_BLOCK_SAMPLES, MIN_PRECINCT_EXPONENT,
    },
};

const DAMAGED: Refusal = Refusal::Pixels("no JPEG 2000 codestream");
const UNUSUAL: Refusal = Refusal::Pixels("a JPEG 2000 codestream with parts that mammograms do not need");

/// Decodes one image into cells.
pub(crate) fn decode(bytes: &[u8], format: &Format) -> Result<Vec<u16>, Refusal> {
    let signed = check(bytes, format)?;
    let settings = DecodeSettings { resolve_palette_indices: false, strict: true, target_resolution: None };
    let image = Image::new(bytes, &settings).map_err(|_| DAMAGED)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|_| Refusal::Pixels("JPEG 2000 packets"))?;
    let [component] = decoded.components() else { return Err(Refusal::Mismatch("components")) };
    if component.samples().len() != format.pixels() || !(8..=16).contains(&component.bit_depth()) {
        return Err(Refusal::Mismatch("rows and columns"));
    }
    // hayro-jpeg2000 raises signed samples too by half of the range, which only unsigned ones are (G.1.2). f32 holds whole numbers of
    // 16 bits exactly; those of lossy images lie between, and reach a little past the ends.
    let range = 1i32 << component.bit_depth();
    let raised = if signed { range / 2 } else { 0 };
    let cell = |&sample: &f32| {
        let whole = sample.round_ties_even().clamp(0.0, (range - 1) as f32) as i32;
        ((whole - raised) & 0xFFFF) as u16
    };
    Ok(component.samples().iter().map(cell).collect())
}

/// Walks over the markers of the main header and of tile-parts (15444-1, annex A). Says whether samples are signed.
fn check(bytes: &[u8], format: &Format) -> Result<bool, Refusal> {
    let mut rest = bytes.strip_prefix(&[0xFF, 0x4F]).ok_or(DAMAGED)?;
    let (marker, size, after) = segment(rest)?;
    if marker != 0x51 {
        return Err(DAMAGED);
    }
    let signed = check_size(size, format)?;
    rest = after;
    let mut parts = 0;
    let mut seen = (false, false);
    loop {
        if let [0xFF, 0xD9, ..] = rest {
            break;
        }
        let (marker, content, after) = segment(rest)?;
        match marker {
            0x52 if parts == 0 && !seen.0 => {
                check_style(content)?;
                seen.0 = true;
            }
            0x5C if parts == 0 && !seen.1 => {
                check_quantization(content)?;
                seen.1 = true;
            }
            // Comments, lengths of tile-parts and of packets.
            0x64 | 0x55 | 0x57 => {}
            0x90 => {
                parts += 1;
                if parts > MAX_TILE_PARTS {
                    return Err(Refusal::TooMany(Counted::CodestreamParts));
                }
                rest = behind_tile_part(rest, content, after)?;
                continue;
            }
            _ => return Err(UNUSUAL),
        }
        rest = after;
    }
    if seen == (true, true) && parts > 0 { Ok(signed) } else { Err(DAMAGED) }
}

/// A marker's number, its segment's content, and what follows.
fn segment(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Refusal> {
    let [0xFF, marker, rest @ ..] = bytes else {
        return Err(if bytes.len() < 2 { Refusal::Truncated } else { DAMAGED });
    };
    let length = rest.first_chunk().map(|&length| usize::from(u16::from_be_bytes(length))).ok_or(Refusal::Truncated)?;
    let (content, after) = rest.split_at_checked(length).ok_or(Refusal::Truncated)?;
    Ok((*marker, content.get(2..).ok_or(DAMAGED)?, after))
}

/// The size segment (A.5.1): one component that is the image, at the origin, in tiles that are not tiny.
fn check_size(content: &[u8], format: &Format) -> Result<bool, Refusal> {
    let (head, component) = content.split_first_chunk::<36>().ok_or(DAMAGED)?;
    let ([.., 0, 1], &[depth, 1, 1]) = (head, component) else { return Err(Refusal::Mismatch("components")) };
    let (_, grid) = head.split_first_chunk::<2>().ok_or(DAMAGED)?;
    let numbers = grid.as_chunks::<4>().0;
    let mut numbers = numbers.iter().map(|&number| u32::from_be_bytes(number) as usize);
    let mut next = || numbers.next().unwrap_or(0);
    let (width, height, left, top) = (next(), next(), next(), next());
    let (tile_width, tile_height, tile_left, tile_top) = (next(), next(), next(), next());
    if (height, width) != (format.rows, format.columns) {
        return Err(Refusal::Mismatch("rows and columns"));
    }
    if (left, top, tile_left, tile_top) != (0, 0, 0, 0) || tile_width == 0 || tile_height == 0 {
        return Err(UNUSUAL);
    }
    let tiles = width.div_ceil(tile_width).saturating_mul(height.div_ceil(tile_height));
    if tiles > MAX_TILE_PARTS {
        return Err(Refusal::TooMany(Counted::CodestreamParts));
    }
    let signed = depth & 0x80 != 0;
    let precision = u16::from(depth & 0x7F) + 1;
    let fits = if signed || format.signed { precision == format.stored } else { precision >= format.stored };
    if !fits || precision > format.allocated || signed && !format.signed {
        return Err(Refusal::Mismatch("bits a sample"));
    }
    Ok(signed)
}

/// The coding style (A.6.1): few layers and decompositions, code-blocks and precincts that are not tiny.
fn check_style(content: &[u8]) -> Result<(), Refusal> {
    let &[style, _, layers_high, layers_low, components, levels, width, height, _, _, ref precincts @ ..] = content
    else {
        return Err(DAMAGED);
    };
    let layers = u16::from_be_bytes([layers_high, layers_low]);
    if width > 8 || height > 8 || components != 0 {
        return Err(UNUSUAL);
    }
    let block = 1u32 << (width + 2) << (height + 2);
    let tiny = |size: &u8| size & 0x0F < MIN_PRECINCT_EXPONENT || size >> 4 < MIN_PRECINCT_EXPONENT;
    let usual = (1..=MAX_LAYERS).contains(&layers)
        && levels <= MAX_DECOMPOSITIONS
        && (MIN_CODE_BLOCK_SAMPLES..=4096).contains(&block)
        && (style & 1 == 0 || precincts.len() == usize::from(levels) + 1 && !precincts.iter().any(tiny));
    if usual { Ok(()) } else { Err(UNUSUAL) }
}

/// The quantization (A.6.4): no more bit-planes than 16 bits a sample need.
fn check_quantization(content: &[u8]) -> Result<(), Refusal> {
    let (&style, steps) = content.split_first().ok_or(DAMAGED)?;
    let exponents: Vec<u8> = match style & 0x1F {
        0 => steps.iter().map(|step| step >> 3).collect(),
        1 | 2 => steps.as_chunks::<2>().0.iter().map(|[high, _]| high >> 3).collect(),
        _ => return Err(DAMAGED),
    };
    let guard = style >> 5;
    if exponents.iter().any(|exponent| guard + exponent > MAX_BIT_PLANES + 1) { Err(UNUSUAL) } else { Ok(()) }
}

/// Steps over a tile-part (A.4.2), whose own header may only hold what changes nothing that was checked.
fn behind_tile_part<'a>(start: &'a [u8], content: &[u8], mut header: &[u8]) -> Result<&'a [u8], Refusal> {
    let &[_, _, a, b, c, d, _, _] = content else { return Err(DAMAGED) };
    let length = match u32::from_be_bytes([a, b, c, d]) as usize {
        // The last one reaches to the end of the codestream.
        0 => start.len().checked_sub(2).ok_or(Refusal::Truncated)?,
        length => length,
    };
    let after = start.get(length..).ok_or(Refusal::Truncated)?;
    while !header.starts_with(&[0xFF, 0x93]) {
        let (marker, _, next) = segment(header)?;
        // Comments and lengths of packets.
        if !matches!(marker, 0x64 | 0x58) {
            return Err(UNUSUAL);
        }
        header = next;
    }
    if length < 14 || header.len() < after.len() { Err(DAMAGED) } else { Ok(after) }
}
