//! PNG files to pixels, within limits.

use std::io::{Cursor, ErrorKind};

use ndarray::Array2;
use png::{BitDepth, ColorType, DecodingError, Reader, Transformations};

use crate::{Error, limits, memory};

mod filter;
mod rows;

/// The eight bytes that every PNG file starts with (PNG, third edition, section 5.2).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What a file may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Longest file, in bytes.
    pub file_bytes: usize,
    /// Most pixels. Decoding takes two bytes a pixel (three for 8-bit files) and little else.
    pub pixels: usize,
    /// Longest side, in pixels.
    pub side: usize,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { file_bytes: limits::MAX_FILE_BYTES, pixels: limits::MAX_PIXELS, side: limits::MAX_SIDE }
    }
}

/// Reads a greyscale PNG of 8 or 16 bits, as `[y, x]`.
///
/// 16-bit values are taken as they are, and so are 8-bit ones (0 to 255): every crop is normalised by its own mean and deviation,
/// so that a scale would change nothing but 256 grey levels stay 256. Gamma, colour-space and transparency chunks say nothing
/// about the exposure and are ignored. Interlaced files are read. Of an animation, the still image is read.
///
/// # Errors
/// A file that is too long, is not a PNG, is cut short or damaged; one that is coloured, has a palette or an alpha channel, or
/// fewer than 8 bits a pixel; an image larger than `limits` allows, which is found before its pixels are allocated.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Array2<u16>, Error> {
    if bytes.len() > limits.file_bytes {
        return Err(Error::FileTooLarge { bytes: bytes.len(), limit: limits.file_bytes });
    }
    if !bytes.starts_with(SIGNATURE) {
        let cut = !bytes.is_empty() && SIGNATURE.starts_with(bytes);
        return Err(if cut { Error::Truncated } else { Error::NotPng });
    }
    let scratch = png::Limits { bytes: limits::MAX_PNG_SCRATCH_BYTES };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), scratch);
    decoder.set_transformations(Transformations::IDENTITY);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(refuse)?;
    let (width, height) = (header.width as usize, header.height as usize);
    let depth = check_format(header.color_type, header.bit_depth)?;
    let pixels = width.checked_mul(height).filter(|&pixels| pixels <= limits.pixels);
    let Some(pixels) = pixels.filter(|_| width.max(height) <= limits.side) else {
        return Err(Error::TooManyPixels { width, height, pixels: limits.pixels, side: limits.side });
    };
    let mut reader = decoder.read_info().map_err(refuse)?;
    let plain = !reader.info().interlaced && reader.info().animation_control.is_none();
    let layout = rows::Layout { width, height, bytes: depth as usize };
    let pixels = match (plain && pixels >= TWO_THREADS).then(|| rows::read(bytes, layout)).flatten() {
        Some(pixels) => pixels,
        None => match depth {
            Depth::Eight => read_8_bit(&mut reader, pixels)?,
            Depth::Sixteen => read_16_bit(&mut reader, pixels)?,
        },
    };
    Array2::from_shape_vec((height, width), pixels).map_err(|_| Error::Damaged)
}

/// From so many pixels on, a second thread is worth being started.
const TWO_THREADS: usize = 1 << 18;

/// Bytes of a grey.
#[derive(Clone, Copy)]
enum Depth {
    Eight = 1,
    Sixteen = 2,
}

fn check_format(colour: ColorType, depth: BitDepth) -> Result<Depth, Error> {
    match (colour, depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => Ok(Depth::Sixteen),
        (ColorType::Grayscale, BitDepth::Eight) => Ok(Depth::Eight),
        (ColorType::Grayscale, fewer) => Err(Error::BitDepth(fewer as u8)),
        (ColorType::Indexed, _) => Err(Error::Palette),
        (ColorType::GrayscaleAlpha, _) => Err(Error::Alpha),
        (ColorType::Rgb | ColorType::Rgba, _) => Err(Error::Colour),
    }
}

fn read_16_bit(reader: &mut Reader<Cursor<&[u8]>>, pixels: usize) -> Result<Vec<u16>, Error> {
    let mut samples = memory::greys(pixels);
    reader.next_frame(bytemuck::cast_slice_mut(&mut samples)).map_err(refuse)?;
    // PNG stores the high byte first (section 7.1).
    for sample in &mut samples {
        *sample = u16::from_be(*sample);
    }
    Ok(samples)
}

fn read_8_bit(reader: &mut Reader<Cursor<&[u8]>>, pixels: usize) -> Result<Vec<u16>, Error> {
    let mut samples = vec![0u8; pixels];
    reader.next_frame(&mut samples).map_err(refuse)?;
    let mut greys = memory::greys(pixels);
    greys.iter_mut().zip(samples).for_each(|(grey, sample)| *grey = sample.into());
    Ok(greys)
}

fn refuse(error: DecodingError) -> Error {
    match error {
        DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => Error::Truncated,
        DecodingError::LimitsExceeded => Error::Metadata,
        // The library's own words are for programmers, and repeat what is in the file.
        _ => Error::Damaged,
    }
}
