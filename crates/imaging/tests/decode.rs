//! PNG files, good and bad. They are built here byte by byte, so that nothing but the PNG specification is trusted.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use cloister_imaging::{DecodeLimits, Error, decode};
use ndarray::{Array2, array};
use proptest::prelude::*;

const GREY: u8 = 0;
const RGB: u8 = 2;
const INDEXED: u8 = 3;
const GREY_ALPHA: u8 = 4;
const RGBA: u8 = 6;

struct Header {
    width: u32,
    height: u32,
    depth: u8,
    colour: u8,
    interlaced: bool,
}

impl Header {
    fn grey(width: u32, height: u32, depth: u8) -> Self {
        Self { width, height, depth, colour: GREY, interlaced: false }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (b << 16) | a
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checked = [kind.as_slice(), data].concat();
    [&(data.len() as u32).to_be_bytes(), checked.as_slice(), &crc32(&checked).to_be_bytes()].concat()
}

/// A zlib stream of stored blocks.
fn stored(data: &[u8]) -> Vec<u8> {
    let blocks = data.chunks(u16::MAX.into()).enumerate().flat_map(|(number, block)| {
        let last = (number + 1) * usize::from(u16::MAX) >= data.len();
        let length = block.len() as u16;
        [&[u8::from(last)], &length.to_le_bytes()[..], &(!length).to_le_bytes(), block].concat()
    });
    [0x78, 0x01].into_iter().chain(blocks).chain(adler32(data).to_be_bytes()).collect()
}

/// A file of one IDAT chunk; `rows` start with a filter byte each.
fn png(header: &Header, rows: &[u8]) -> Vec<u8> {
    let Header { width, height, depth, colour, interlaced } = *header;
    let format = [depth, colour, 0, 0, u8::from(interlaced)];
    let ihdr = chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &format].concat());
    let palette = if colour == INDEXED { chunk(b"PLTE", &[1, 2, 3, 4, 5, 6]) } else { Vec::new() };
    [b"\x89PNG\r\n\x1a\n", &ihdr[..], &palette, &chunk(b"IDAT", &stored(rows)), &chunk(b"IEND", b"")].concat()
}

fn sixteen_bit() -> (Vec<u8>, Array2<u16>) {
    let rows = [0, 0x00, 0x01, 0x01, 0x00, 0xff, 0xff, 0, 0x12, 0x34, 0x00, 0x00, 0x80, 0x00];
    (png(&Header::grey(3, 2, 16), &rows), array![[1, 256, 65535], [0x1234, 0, 0x8000]])
}

fn read(bytes: &[u8]) -> Result<Array2<u16>, Error> {
    decode(bytes, &DecodeLimits::default())
}

#[test]
fn sixteen_bit_values_are_taken_as_they_are() {
    let (file, pixels) = sixteen_bit();
    assert_eq!(read(&file).unwrap(), pixels);
}

#[test]
fn eight_bit_values_are_taken_as_they_are() {
    let file = png(&Header::grey(3, 2, 8), &[0, 0, 1, 255, 0, 7, 128, 0]);
    assert_eq!(read(&file).unwrap(), array![[0, 1, 255], [7, 128, 0]]);
}

#[test]
fn filtered_rows_are_restored() {
    // The second row is the first plus 1 (filter 2: up).
    let file = png(&Header::grey(2, 2, 16), &[0, 0, 10, 0, 20, 2, 0, 1, 0, 1]);
    assert_eq!(read(&file).unwrap(), array![[10, 20], [11, 21]]);
}

#[test]
fn interlaced_files_are_read() {
    // PNG section 8.1: the seven passes of a 3 x 3 image, of which the second and third hold nothing.
    let passes: [&[&[u16]]; 5] = [&[&[1]], &[&[3]], &[&[7, 9]], &[&[2], &[8]], &[&[4, 5, 6]]];
    let rows: Vec<u8> = passes
        .concat()
        .iter()
        .flat_map(|row| std::iter::once(0).chain(row.iter().flat_map(|value| value.to_be_bytes())))
        .collect();
    let file = png(&Header { interlaced: true, ..Header::grey(3, 3, 16) }, &rows);
    assert_eq!(read(&file).unwrap(), array![[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
}

/// A file so large that two threads read it, of the same pixels with and without interlacing.
fn large(interlaced: bool) -> (Vec<u8>, Array2<u16>) {
    let (width, height) = (640u16, 500u16);
    let pixels = Array2::from_shape_fn((height.into(), width.into()), |(y, x)| (97 * y + 31 * x) as u16);
    // PNG section 8.1: first row and column of each pass, and the steps to the next.
    let passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)];
    let passes = if interlaced { passes.to_vec() } else { vec![(0, 0, 1, 1)] };
    let rows = passes.into_iter().flat_map(|(top, left, down, across)| {
        let rows = (top..height).step_by(down);
        rows.map(move |y| (y, (left..width).step_by(across)))
    });
    let bytes: Vec<u8> = rows
        .flat_map(|(y, row)| {
            std::iter::once(0).chain(row.flat_map(move |x| (97 * y).wrapping_add(31 * x).to_be_bytes()))
        })
        .collect();
    (png(&Header { interlaced, ..Header::grey(width.into(), height.into(), 16) }, &bytes), pixels)
}

#[test]
fn large_files_are_read_interlaced_or_not_and_the_still_image_of_an_animation() {
    let (plain, pixels) = large(false);
    assert!(read(&plain).unwrap() == pixels);
    let (interlaced, _) = large(true);
    assert!(read(&interlaced).unwrap() == pixels);
    let (start, end) = plain.split_at(33);
    let animated = [start, &chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), end].concat();
    assert!(read(&animated).unwrap() == pixels);
}

#[test]
fn what_is_wrong_with_a_large_file_is_told_as_of_a_small_one() {
    let (file, _) = large(false);
    for cut in [60, 1000, 65_600, 300_000, file.len() - 20, file.len() - 13] {
        assert_eq!(read(&file[..cut]), Err(Error::Truncated), "{cut}");
    }
    for at in [45, 70_000, file.len() - 20, file.len() - 14] {
        let mut touched = file.clone();
        touched[at] ^= 0xff;
        assert!(matches!(read(&touched), Err(Error::Damaged)), "{at}");
    }
}

#[test]
fn a_transparent_grey_level_changes_no_pixel() {
    let (file, pixels) = sixteen_bit();
    let (start, end) = file.split_at(33);
    let marked = [start, &chunk(b"tRNS", &[0, 1]), end].concat();
    assert_eq!(read(&marked).unwrap(), pixels);
}

#[test]
fn coloured_files_are_refused() {
    for colour in [RGB, RGBA] {
        let file = png(&Header { colour, ..Header::grey(1, 1, 8) }, &[0, 1, 2, 3, 4]);
        assert_eq!(read(&file), Err(Error::Colour));
    }
}

#[test]
fn a_palette_is_refused() {
    let file = png(&Header { colour: INDEXED, ..Header::grey(1, 1, 8) }, &[0, 1]);
    assert_eq!(read(&file), Err(Error::Palette));
}

#[test]
fn an_alpha_channel_is_refused() {
    for depth in [8, 16] {
        let file = png(&Header { colour: GREY_ALPHA, ..Header::grey(1, 1, depth) }, &[0, 1, 2, 3, 4]);
        assert_eq!(read(&file), Err(Error::Alpha));
    }
}

#[test]
fn fewer_than_8_bits_are_refused() {
    for depth in [1, 2, 4] {
        assert_eq!(read(&png(&Header::grey(1, 1, depth), &[0, 0x80])), Err(Error::BitDepth(depth)));
    }
}

#[test]
fn other_formats_are_not_png_files() {
    let dicom = [&[0u8; 128][..], b"DICM"].concat();
    for bytes in [&b""[..], b"\xff\xd8\xff\xe0\x00\x10JFIF", b"GIF89a", b"\x89PNH\r\n\x1a\n", &dicom] {
        assert_eq!(read(bytes), Err(Error::NotPng));
    }
}

#[test]
fn a_file_cut_anywhere_before_its_last_chunk_is_cut_short() {
    let (file, pixels) = sixteen_bit();
    let last_chunk = file.len() - 12;
    for length in 1..last_chunk {
        assert_eq!(read(&file[..length]), Err(Error::Truncated), "{length} of {} bytes", file.len());
    }
    assert_eq!(read(&file[..last_chunk]).unwrap_or(pixels.clone()), pixels);
}

#[test]
fn a_flipped_bit_in_a_header_or_in_pixels_is_found() {
    let (file, _) = sixteen_bit();
    let last_chunk = file.len() - 12;
    for bit in 0..last_chunk * 8 {
        let mut touched = file.clone();
        touched[bit / 8] ^= 1 << (bit % 8);
        assert!(read(&touched).is_err(), "bit {bit}");
    }
}

#[test]
fn a_file_with_too_few_pixels_is_cut_short_or_damaged() {
    let file = png(&Header::grey(2, 2, 16), &[0, 0, 1, 0, 2]);
    assert!(matches!(read(&file), Err(Error::Truncated | Error::Damaged)));
}

#[test]
fn a_file_that_is_too_long_is_refused_unread() {
    let limits = DecodeLimits { file_bytes: 10, ..DecodeLimits::default() };
    assert_eq!(decode(&[0; 11], &limits), Err(Error::FileTooLarge { bytes: 11, limit: 10 }));
    assert_eq!(decode(&[0; 10], &limits), Err(Error::NotPng));
}

#[test]
fn a_header_that_promises_too_much_is_refused_before_anything_is_allocated() {
    let limits = DecodeLimits { pixels: 1000, side: 100, ..DecodeLimits::default() };
    let refused = |width, height| decode(&png(&Header::grey(width, height, 16), &[0]), &limits).err();
    let too_many = |width, height| Some(Error::TooManyPixels { width, height, pixels: 1000, side: 100 });
    assert_eq!(refused(0x7fff_ffff, 0x7fff_ffff), too_many(0x7fff_ffff, 0x7fff_ffff));
    assert_eq!(refused(101, 1), too_many(101, 1));
    assert_eq!(refused(1, 101), too_many(1, 101));
    assert_eq!(refused(11, 91), too_many(11, 91));
    assert!(!matches!(refused(10, 100), Some(Error::TooManyPixels { .. })));
}

#[test]
fn a_file_that_says_too_much_beside_its_pixels_is_not_called_damaged() {
    let (file, pixels) = sixteen_bit();
    let with = |bytes: usize| {
        let mut file = file.clone();
        // Behind the signature and the header.
        let at = 8 + 25;
        file.splice(at..at, chunk(b"eXIf", &vec![0; bytes]));
        read(&file)
    };
    assert_eq!(with(1 << 20), Ok(pixels));
    assert_eq!(with(9 << 20), Err(Error::Metadata));
}

#[test]
fn an_image_without_pixels_is_refused() {
    for (width, height) in [(0, 1), (1, 0), (0, 0)] {
        assert!(matches!(read(&png(&Header::grey(width, height, 16), &[])), Err(Error::Damaged)));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), signed: bool) {
        let start: &[u8] = if signed { b"\x89PNG\r\n\x1a\n" } else { b"" };
        prop_assert!(read(&[start, &bytes].concat()).is_err());
    }

    #[test]
    fn arbitrary_headers_and_rows_never_panic(
        size in (0u32..20, 0u32..20),
        depth in prop::sample::select(vec![0u8, 1, 2, 4, 8, 16, 32]),
        colour in 0u8..8,
        interlaced: bool,
        rows in prop::collection::vec(any::<u8>(), 0..900),
    ) {
        let file = png(&Header { width: size.0, height: size.1, depth, colour, interlaced }, &rows);
        if let Ok(pixels) = read(&file) {
            prop_assert_eq!(pixels.dim(), (size.1 as usize, size.0 as usize));
        }
    }

    #[test]
    fn touched_files_never_panic(at in prop::collection::vec((0usize..100, any::<u8>()), 1..6)) {
        let (mut file, _) = sixteen_bit();
        for (index, byte) in at {
            if let Some(target) = file.get_mut(index) {
                *target = byte;
            }
        }
        let _ = read(&file);
    }
}
