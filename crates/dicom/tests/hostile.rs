//! Files that were made to do harm are refused, quickly and in little memory.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::io::Write;
use std::time::{Duration, Instant};

use cloister_dicom::{Counted, Damage, DecodeLimits, Refusal, read};
use flate2::{Compression, write::DeflateEncoder};
use support::{DEFLATED, EXPLICIT, JPEG, RLE, UNDEFINED, attributes, claim, element, encapsulated, meta};

const PIXEL_DATA: u32 = 0x7FE0_0010;
const ITEM: u32 = 0xFFFE_E000;

fn refusal(file: &[u8]) -> Refusal {
    let start = Instant::now();
    let refusal = read(file, &DecodeLimits::default()).expect_err("a file that is refused");
    assert!(start.elapsed() < Duration::from_secs(30), "{refusal} took {:?}", start.elapsed());
    let said = format!("{refusal} {refusal:?}");
    assert!(!said.contains("SEKRET"), "{said}");
    refusal
}

fn native(rows: u16, columns: u16) -> Vec<u8> {
    let pixels = vec![7; 2 * usize::from(rows) * usize::from(columns)];
    [meta(EXPLICIT), attributes(rows, columns), element(PIXEL_DATA, "OW", &pixels)].concat()
}

fn rle(rows: u16, columns: u16, frame: &[u8]) -> Vec<u8> {
    [meta(RLE), attributes(rows, columns), encapsulated(&[frame])].concat()
}

/// A frame of RLE with these segments.
fn frame(segments: &[&[u8]]) -> Vec<u8> {
    let mut header = [0u32; 16];
    header[0] = segments.len() as u32;
    let mut at = 64;
    for (slot, segment) in header[1..].iter_mut().zip(segments) {
        *slot = at;
        at += segment.len() as u32;
    }
    [header.iter().flat_map(|number| number.to_le_bytes()).collect(), segments.concat()].concat()
}

#[test]
fn a_whole_file_is_read_and_every_shorter_one_refused() {
    let file = native(8, 9);
    let mammogram = read(&file, &DecodeLimits::default()).unwrap();
    assert!(mammogram.pixels.iter().all(|&grey| grey == 0x0707));
    for length in 0..file.len() {
        refusal(&file[..length]);
    }
}

#[test]
fn what_is_no_dicom_file_is_called_so() {
    for bytes in [&b""[..], b"DICM", b"\x89PNG\r\n\x1a\n", &[0; 132], &meta(EXPLICIT)[128..]] {
        assert_eq!(refusal(bytes), Refusal::NotDicom);
    }
}

#[test]
fn a_file_above_the_limit_is_refused_unread() {
    let limits = DecodeLimits { file_bytes: 100, ..DecodeLimits::default() };
    let refused = read(&native(8, 9), &limits).unwrap_err();
    assert!(matches!(refused, Refusal::FileTooLarge { limit: 100, .. }));
}

#[test]
fn lengths_that_lie_are_refused() {
    let start = [meta(EXPLICIT), attributes(8, 9)].concat();
    for length in [UNDEFINED - 1, 1 << 31, 1 << 30, 1000] {
        let file = [&start[..], &claim(0x0040_0001, "OB", length, b"few")].concat();
        assert_eq!(refusal(&file), Refusal::Truncated);
    }
    let file = [&start[..], &claim(0x0040_0001, "CS", 60_000, b"few")].concat();
    assert_eq!(refusal(&file), Refusal::Truncated);
    // An element longer than its item, an item longer than its sequence.
    let inner = claim(0x0008_0100, "SH", 50, b"few");
    let item = [claim(ITEM, "", inner.len() as u32, &inner), element(0x0009_0001, "LO", &[b' '; 100])].concat();
    let file = [&start[..], &claim(0x0054_0220, "SQ", inner.len() as u32 + 8, &item)].concat();
    assert_eq!(refusal(&file), Refusal::Damaged(Damage::Length));
    let file = [&start[..], &claim(0x0054_0220, "SQ", 12, &claim(ITEM, "", 100, &[0; 100]))].concat();
    assert_eq!(refusal(&file), Refusal::Damaged(Damage::Length));
    let file = [&start[..], &claim(0x0040_0001, "UT", UNDEFINED, b"")].concat();
    assert_eq!(refusal(&file), Refusal::Damaged(Damage::UndefinedLength));
    let file = [&start[..], &claim(0x0040_0001, "ZZ", 2, b"  ")].concat();
    assert_eq!(refusal(&file), Refusal::Damaged(Damage::ValueRepresentation));
}

#[test]
fn ten_thousand_nested_sequences_are_refused() {
    for vr in ["SQ", "UN"] {
        let level = [claim(0x0008_1140, vr, UNDEFINED, &[]), claim(ITEM, "", UNDEFINED, &[])].concat();
        let inside = [claim(0x0008_1140, "", UNDEFINED, &[]), claim(ITEM, "", UNDEFINED, &[])].concat();
        let nested = if vr == "SQ" { level.repeat(10_000) } else { [level, inside.repeat(10_000)].concat() };
        let file = [meta(EXPLICIT), nested].concat();
        assert_eq!(refusal(&file), Refusal::TooMany(Counted::Levels));
    }
}

#[test]
fn more_elements_items_values_and_fragments_than_any_file_needs_are_refused() {
    let start = [meta(EXPLICIT), attributes(8, 9)].concat();
    let elements = element(0x0009_0001, "LO", b"").repeat(70_000);
    assert_eq!(refusal(&[&start[..], &elements].concat()), Refusal::TooMany(Counted::Elements));
    let items = claim(0x0009_0001, "SQ", UNDEFINED, &claim(ITEM, "", 0, &[]).repeat(4_000_000));
    assert_eq!(refusal(&[&start[..], &items].concat()), Refusal::TooMany(Counted::Elements));
    let code = claim(ITEM, "", 10, &element(0x0008_0100, "SH", b"x"));
    let codes = claim(0x0054_0222, "SQ", UNDEFINED, &code.repeat(60_000));
    assert_eq!(refusal(&[&start[..], &codes].concat()), Refusal::TooMany(Counted::Elements));
    let file = [meta(RLE), attributes(8, 9), encapsulated(&[&b"xx"[..]; 9000])].concat();
    assert_eq!(refusal(&file), Refusal::TooMany(Counted::Fragments));
}

#[test]
fn an_element_that_comes_twice_is_refused() {
    let file = [native(8, 9)[..].to_vec()].concat();
    let twice = [meta(EXPLICIT), element(0x0020_0062, "CS", b"R"), attributes(8, 9)].concat();
    assert!(read(&file, &DecodeLimits::default()).is_ok());
    assert!(matches!(refusal(&twice), Refusal::Damaged(Damage::Twice(_))));
}

#[test]
fn a_value_of_many_bytes_is_refused() {
    let file =
        [meta(EXPLICIT), element(0x0020_0010, "SH", &[b'1'; 60_000]), element(0x0010_0020, "UN", &[b'1'; 90_000])];
    assert!(matches!(refusal(&file.concat()), Refusal::Value(_)));
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_deflate_bomb_is_refused() {
    let bomb = deflate(&vec![0; 1 << 30]);
    assert!(bomb.len() < 2 << 20);
    let start = Instant::now();
    let refused = read(&[meta(DEFLATED), bomb].concat(), &DecodeLimits::default()).unwrap_err();
    assert_eq!(refused, Refusal::TooMany(Counted::Inflated));
    assert!(start.elapsed() < Duration::from_secs(60));
    let plain = native(8, 9);
    let deflated = deflate(&plain[meta(EXPLICIT).len()..]);
    let file = [meta(DEFLATED), deflated.clone()].concat();
    assert!(read(&file, &DecodeLimits::default()).is_ok());
    for length in 0..deflated.len() {
        refusal(&[&meta(DEFLATED)[..], &deflated[..length]].concat());
    }
}

#[test]
fn a_size_that_nothing_stands_for_is_refused() {
    for syntax in [EXPLICIT, RLE, JPEG] {
        let pixels = if syntax == EXPLICIT { element(PIXEL_DATA, "OW", b"few") } else { encapsulated(&[b"few!"]) };
        let file = [meta(syntax), attributes(65535, 65535), pixels.clone()].concat();
        assert!(matches!(refusal(&file), Refusal::Size { width: 65535, height: 65535, .. }));
        refusal(&[meta(syntax), attributes(5000, 6000), pixels].concat());
    }
}

#[test]
fn rle_is_held_to_the_image() {
    let (high, low) = (&[250u8, 1, 250, 1, 0][..], &[255u8, 3, 0, 4, 246, 5, 0][..]);
    let good = read(&rle(2, 7, &frame(&[high, low])), &DecodeLimits::default()).unwrap();
    let row = [0x0103, 0x0103, 0x0104, 0x0105, 0x0105, 0x0105, 0x0105];
    assert_eq!(good.pixels.row(0).to_vec(), row);
    assert_eq!(good.pixels.row(1).to_vec(), [0x0105; 7]);
    // A run past the last pixel, whole runs past it, too few, none, other counts, segments outside, backwards and in the header.
    let longer = &[129u8, 1][..];
    let runs = [129u8, 1].repeat(100_000);
    for frame in [
        frame(&[longer, low]),
        frame(&[high, &runs]),
        frame(&[high, &[5, 1, 2]]),
        frame(&[high, &[255, 1]]),
        frame(&[high, &[]]),
        frame(&[high]),
        frame(&[high, low, low]),
        frame(&[])[..40].to_vec(),
        [&frame(&[high, low])[..4], &u32::MAX.to_le_bytes(), &frame(&[high, low])[8..]].concat(),
        [&frame(&[high, low])[..4], &70u32.to_le_bytes(), &64u32.to_le_bytes(), &frame(&[high, low])[12..]].concat(),
        [&frame(&[high, low])[..4], &8u32.to_le_bytes(), &frame(&[high, low])[8..]].concat(),
    ] {
        refusal(&rle(2, 7, &frame));
    }
    let two = [meta(RLE), attributes(2, 7), encapsulated(&[&frame(&[high, low]), &frame(&[high, low])])].concat();
    refusal(&two);
}

/// A JPEG lossless image of one grey, of this size: every difference is 0, in one bit.
fn jpeg(precision: u8, rows: u16, columns: u16, restart: Option<u16>, samples: &[u8]) -> Vec<u8> {
    let [rows, columns] = [rows, columns].map(u16::to_be_bytes);
    let mut image =
        vec![0xFF, 0xD8, 0xFF, 0xC3, 0, 11, precision, rows[0], rows[1], columns[0], columns[1], 1, 1, 0x11, 0];
    image.extend([0xFF, 0xC4, 0, 20, 0, 1]);
    image.extend([0; 15]);
    image.push(0);
    if let Some(restart) = restart {
        image.extend([0xFF, 0xDD, 0, 4]);
        image.extend(restart.to_be_bytes());
    }
    image.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0]);
    image.extend(samples);
    image.extend([0xFF, 0xD9]);
    image
}

fn jpeg_file(rows: u16, columns: u16, image: &[u8]) -> Vec<u8> {
    [meta(JPEG), attributes(rows, columns), encapsulated(&[image])].concat()
}

#[test]
fn jpeg_is_held_to_the_attributes() {
    let samples = [0; 9];
    let good = read(&jpeg_file(8, 9, &jpeg(16, 8, 9, None, &samples)), &DecodeLimits::default()).unwrap();
    assert!(good.pixels.iter().all(|&grey| grey == 0x8000));
    for (rows, columns) in [(9, 8), (16, 9), (8, 18), (0, 9), (65535, 65535)] {
        assert_eq!(
            refusal(&jpeg_file(8, 9, &jpeg(16, rows, columns, None, &samples))),
            Refusal::Mismatch("rows and columns")
        );
    }
    for precision in [0, 8, 12, 17, 255] {
        assert_eq!(
            refusal(&jpeg_file(8, 9, &jpeg(precision, 8, 9, None, &samples))),
            Refusal::Mismatch("bits a sample")
        );
    }
    assert_eq!(refusal(&jpeg_file(8, 9, &jpeg(16, 8, 9, None, &samples[..7]))), Refusal::Truncated);
    assert!(matches!(refusal(&jpeg_file(8, 9, &jpeg(16, 8, 9, Some(4), &samples))), Refusal::Pixels(_)));
    assert!(matches!(refusal(&jpeg_file(8, 9, &jpeg(16, 8, 9, Some(9), &samples))), Refusal::Pixels(_)));
    // A code that the table does not have.
    assert!(matches!(refusal(&jpeg_file(8, 9, &jpeg(16, 8, 9, None, &[0x80; 9]))), Refusal::Pixels(_)));
    let image = jpeg(16, 8, 9, None, &samples);
    for length in 0..image.len() - 4 {
        refusal(&jpeg_file(8, 9, &image[..length]));
    }
    // More marker segments than anybody writes.
    let comments = [&image[..2], &[0xFF, 0xFE, 0, 2].repeat(100_000), &image[2..]].concat();
    assert_eq!(refusal(&jpeg_file(8, 9, &comments)), Refusal::TooMany(Counted::CodestreamParts));
}

#[test]
fn pixels_have_the_form_that_the_transfer_syntax_names() {
    let native = element(PIXEL_DATA, "OW", &[0; 2 * 8 * 9]);
    for syntax in [RLE, JPEG] {
        let file = [meta(syntax), attributes(8, 9), native.clone()].concat();
        assert_eq!(refusal(&file), Refusal::Damaged(Damage::Encapsulation));
    }
    let file = [meta(EXPLICIT), attributes(8, 9), encapsulated(&[&[0; 2 * 8 * 9]])].concat();
    assert_eq!(refusal(&file), Refusal::Damaged(Damage::Encapsulation));
}

#[test]
fn what_an_icon_or_a_private_sequence_says_is_not_the_image() {
    let icon =
        [claim(ITEM, "", UNDEFINED, &[]), element(0x0020_0062, "CS", b"R"), encapsulated(&[&b"icon"[..]; 3])].concat();
    let ends = [claim(0xFFFE_E00D, "", 0, &[]), claim(0xFFFE_E0DD, "", 0, &[])].concat();
    let sequence = [claim(0x0088_0200, "SQ", UNDEFINED, &[]), icon, ends.clone()].concat();
    // A sequence in implicit VR behind an unknown representation (PS3.5, 6.2.2).
    let inner = claim(0x0020_0062, "", 2, b"R ");
    let unknown = [claim(0x0089_1001, "UN", UNDEFINED, &claim(ITEM, "", UNDEFINED, &inner)), ends].concat();
    let pixels = element(PIXEL_DATA, "OW", &[7; 2 * 8 * 9]);
    let behind = element(0xFFFC_FFFC, "OB", &[0; 64]);
    let file = [meta(EXPLICIT), attributes(8, 9), sequence, unknown, pixels, behind].concat();
    let mammogram = read(&file, &DecodeLimits::default()).unwrap();
    assert_eq!(mammogram.view.as_str(), "L-CC");
    assert!(mammogram.pixels.iter().all(|&grey| grey == 0x0707));
}
