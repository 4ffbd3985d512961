//! What a sealed file keeps out: every way of cutting, moving, swapping, extending and flipping its parts.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};

use cloister_seal::{DataKey, Error, Header, Opener, Purpose, Sealed, Sealer, is_sealed, limits};
use proptest::prelude::*;
use support::{content, header, key};

/// Bytes of a small chunk, and of it when sealed.
const CHUNK: usize = 64;
const SEALED_CHUNK: usize = CHUNK + 16;

fn seal_as(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(Vec::new(), header, &key()).unwrap();
    sealer.write_all(content).unwrap();
    sealer.finish().unwrap()
}

fn seal(content: &[u8]) -> Vec<u8> {
    seal_as(&header(), content)
}

fn open(file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut opener = Sealed::read_header(file)?.open(&key(), Purpose::Model)?;
    let mut content = Vec::new();
    opener.read_to_end(&mut content)?;
    Ok(content)
}

/// Where the first chunk starts: behind everything that an empty file has but its tag.
fn first_chunk() -> usize {
    seal(&[]).len() - 16
}

/// The sealed chunks of a file.
fn chunks(file: &[u8]) -> Vec<Vec<u8>> {
    file[first_chunk()..].chunks(SEALED_CHUNK).map(<[u8]>::to_vec).collect()
}

fn with_chunks(file: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [&file[..first_chunk()], &chunks.concat()].concat()
}

#[test]
fn content_of_every_length_around_a_chunk_comes_back() {
    for length in [0, 1, 63, 64, 65, 127, 128, 129, 640, 1000] {
        assert_eq!(open(&seal(&content(length))).unwrap(), content(length), "{length} bytes");
    }
}

#[test]
fn content_of_whole_chunks_ends_in_a_full_one() {
    assert_eq!(chunks(&seal(&content(128))).len(), 2);
    assert_eq!(chunks(&seal(&[])).len(), 1);
}

#[test]
fn the_header_can_be_read_without_the_key() {
    let file = seal(&content(10));
    assert_eq!(*Sealed::read_header(&file[..]).unwrap().header(), header());
}

#[test]
fn two_seals_of_the_same_content_differ() {
    assert_ne!(seal(&content(10)), seal(&content(10)));
}

#[test]
fn a_file_cut_at_a_chunks_boundary_is_told_to_be_cut_short() {
    let file = seal(&content(200));
    let whole = chunks(&file);
    assert_eq!(whole.len(), 4);
    for count in 0..whole.len() {
        let error = open(&with_chunks(&file, &whole[..count])).unwrap_err();
        assert!(matches!(error, Error::Truncated), "{count} chunks: {error}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for length in [150, 128, 0] {
        let file = seal(&content(length));
        for end in 0..file.len() {
            let error = open(&file[..end]).unwrap_err();
            let expected = match error {
                Error::NotSealed => end < 8,
                Error::Truncated => true,
                Error::NotAuthentic { .. } => end > first_chunk(),
                _ => false,
            };
            assert!(expected, "{end} of {} bytes: {error}", file.len());
        }
    }
}

#[test]
fn a_sealer_that_was_never_finished_leaves_a_file_that_is_cut_short() {
    for length in [0, 64, 100, 200] {
        let mut file = Vec::new();
        let mut sealer = Sealer::new(&mut file, &header(), &key()).unwrap();
        sealer.write_all(&content(length)).unwrap();
        sealer.flush().unwrap();
        drop(sealer);
        assert!(matches!(open(&file), Err(Error::Truncated)), "{length} bytes");
    }
}

#[test]
fn chunks_in_another_order_are_refused() {
    let file = seal(&content(256));
    let order = |order: [usize; 4]| with_chunks(&file, &order.map(|index| chunks(&file)[index].clone()));
    assert!(open(&order([0, 1, 2, 3])).is_ok());
    assert!(matches!(open(&order([1, 0, 2, 3])), Err(Error::NotAuthentic { chunk: 0 })));
    assert!(matches!(open(&order([0, 2, 1, 3])), Err(Error::NotAuthentic { chunk: 1 })));
    assert!(matches!(open(&order([0, 1, 3, 2])), Err(Error::NotAuthentic { chunk: 2 })));
}

#[test]
fn a_chunk_left_out_or_repeated_is_refused() {
    let file = seal(&content(256));
    let parts = chunks(&file);
    let out = [parts[0].clone(), parts[2].clone(), parts[3].clone()];
    assert!(matches!(open(&with_chunks(&file, &out)), Err(Error::NotAuthentic { chunk: 1 })));
    let twice = [parts[0].clone(), parts[0].clone(), parts[1].clone(), parts[2].clone(), parts[3].clone()];
    assert!(matches!(open(&with_chunks(&file, &twice)), Err(Error::NotAuthentic { chunk: 1 })));
}

#[test]
fn bytes_behind_the_last_chunk_are_refused() {
    // When the last chunk is full it is seen to be whole; a shorter one melts with what follows.
    let full = seal(&content(128));
    let last = chunks(&full)[1].clone();
    assert!(matches!(open(&[&full[..], &last].concat()), Err(Error::TrailingBytes)), "the last chunk twice");
    assert!(matches!(open(&[&full[..], &[0]].concat()), Err(Error::TrailingBytes)), "one byte");
    let partial = seal(&content(100));
    let last = chunks(&partial)[1].clone();
    assert!(matches!(open(&[&partial[..], &last].concat()), Err(Error::NotAuthentic { chunk: 1 })));
    assert!(matches!(open(&[&partial[..], &[0]].concat()), Err(Error::NotAuthentic { chunk: 1 })));
}

#[test]
fn no_bit_of_a_file_can_be_changed() {
    let mut file = seal(&content(150));
    for position in 0..file.len() {
        for bit in 0..8 {
            file[position] ^= 1 << bit;
            assert!(open(&file).is_err(), "bit {bit} of byte {position}");
            file[position] ^= 1 << bit;
        }
    }
    assert!(open(&file).is_ok());
}

#[test]
fn each_part_that_is_changed_has_its_own_error() {
    let file = seal(&content(150));
    let changed = |position: usize| {
        let mut file = file.clone();
        file[position] ^= 1;
        open(&file).unwrap_err()
    };
    let find = |needle: &[u8]| file.windows(needle.len()).position(|part| part == needle).unwrap();
    assert!(matches!(changed(0), Error::NotSealed), "magic");
    assert!(matches!(changed(8), Error::Version(0)), "version");
    assert!(matches!(changed(9), Error::Limit { part: "header", .. }), "header's length");
    assert!(matches!(changed(13), Error::Header | Error::NotAuthentic { .. }), "header's length by one");
    assert!(matches!(changed(find(b"1234")), Error::NotAuthentic { chunk: 0 }), "key ARN");
    assert!(matches!(changed(find(&[0xab; 184])), Error::NotAuthentic { chunk: 0 }), "wrapped key");
    assert!(matches!(changed(find(b"a model")), Error::NotAuthentic { chunk: 0 }), "context");
    assert!(matches!(changed(find(b"purpose") + 8), Error::Header), "purpose");
    assert!(matches!(changed(first_chunk() - 1), Error::NotAuthentic { chunk: 0 }), "nonce prefix");
    assert!(matches!(changed(first_chunk()), Error::NotAuthentic { chunk: 0 }), "first chunk");
    assert!(matches!(changed(first_chunk() + CHUNK), Error::NotAuthentic { chunk: 0 }), "first chunk's tag");
    assert!(matches!(changed(file.len() - 1), Error::NotAuthentic { chunk: 2 }), "last chunk's tag");
}

#[test]
fn a_header_from_another_file_is_refused() {
    let other = Header { context: BTreeMap::from([("model".into(), "b model".into())]), ..header() };
    let (one, two) = (seal(&content(150)), seal_as(&other, &content(150)));
    let chunks_of_one = &one[first_chunk()..];
    // With the other file's nonce prefix, and with its own: the key is the same in both.
    let head_of_two = &two[..two.len() - chunks_of_one.len()];
    let own_prefix = [&head_of_two[..head_of_two.len() - 7], &one[first_chunk() - 7..first_chunk()]].concat();
    for head in [head_of_two, &own_prefix] {
        let swapped = [head, chunks_of_one].concat();
        assert_eq!(Sealed::read_header(&swapped[..]).unwrap().header().context["model"], "b model");
        assert!(matches!(open(&swapped), Err(Error::NotAuthentic { chunk: 0 })));
    }
}

#[test]
fn another_chunk_size_in_the_header_is_refused() {
    let other = Header { chunk_size: 65, ..header() };
    let one = seal(&content(150));
    let two = seal_as(&other, &content(150));
    let head = &two[..two.len() - (one.len() - first_chunk())];
    assert!(matches!(open(&[head, &one[first_chunk()..]].concat()), Err(Error::NotAuthentic { chunk: 0 })));
}

#[test]
fn another_key_opens_nothing() {
    let file = seal(&content(150));
    let mut opener = Sealed::read_header(&file[..]).unwrap().open(&DataKey::new([0x43; 32]), Purpose::Model).unwrap();
    let mut out = [0; 1];
    let error = opener.read(&mut out).unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::NotAuthentic { chunk: 0 })));
    assert_eq!(out, [0]);
    let again = opener.read(&mut out).unwrap_err();
    assert!(matches!(Error::of(&again), Some(Error::Failed)));
}

#[test]
fn an_image_cannot_be_opened_as_a_model() {
    let file = seal_as(&Header { purpose: Purpose::Image, ..header() }, &content(10));
    let refused = Sealed::read_header(&file[..]).unwrap().open(&key(), Purpose::Model).err();
    assert!(matches!(refused, Some(Error::Purpose { expected: Purpose::Model, found: Purpose::Image })));
    // Nor after its header was made to say that it is one.
    let at = file.windows(5).position(|part| part == b"image").unwrap();
    let mut renamed = file;
    renamed[at..at + 5].copy_from_slice(b"model");
    assert!(matches!(open(&renamed), Err(Error::NotAuthentic { chunk: 0 })));
}

#[test]
fn the_chunks_before_a_bad_one_are_released_and_no_more() {
    let mut file = seal(&content(200));
    let second = first_chunk() + SEALED_CHUNK;
    file[second] ^= 1;
    let mut opener = Sealed::read_header(&file[..]).unwrap().open(&key(), Purpose::Model).unwrap();
    let mut released = Vec::new();
    let error = opener.read_to_end(&mut released).unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::NotAuthentic { chunk: 1 })));
    assert_eq!(released, content(64));
}

#[test]
fn another_encoding_of_the_same_header_is_refused() {
    let file = seal(&[]);
    // The chunk size, 64, in three bytes instead of two: 0x18 0x40 becomes 0x19 0x00 0x40.
    let at = file.windows(2).position(|part| part == [0x18, 0x40]).unwrap();
    let mut longer = [&file[..at], &[0x19, 0x00, 0x40], &file[at + 2..]].concat();
    longer[12] += 1;
    assert!(matches!(Sealed::read_header(&longer[..]).err(), Some(Error::Header)));
}

#[test]
fn what_the_header_cannot_hold_is_refused_when_sealing() {
    let refused = |header: Header| Sealer::new(Vec::new(), &header, &key()).err().unwrap();
    let part = |error: Error| match error {
        Error::Limit { part, .. } => part,
        other => panic!("{other}"),
    };
    assert_eq!(part(refused(Header { key_arn: String::new(), ..header() })), "key ARN's length");
    assert_eq!(part(refused(Header { key_arn: "a".repeat(2049), ..header() })), "key ARN's length");
    assert_eq!(part(refused(Header { wrapped_key: Vec::new(), ..header() })), "wrapped key's length");
    assert_eq!(part(refused(Header { wrapped_key: vec![0; 6145], ..header() })), "wrapped key's length");
    let large = BTreeMap::from([("a".to_owned(), "b".repeat(8192))]);
    assert_eq!(part(refused(Header { context: large, ..header() })), "context's length");
    let many = (0..65).map(|index| (index.to_string(), String::new())).collect();
    assert_eq!(part(refused(Header { context: many, ..header() })), "context's number of entries");
    assert_eq!(part(refused(Header { chunk_size: 63, ..header() })), "chunk size");
    assert_eq!(part(refused(Header { chunk_size: 4 * 1024 * 1024 + 1, ..header() })), "chunk size");
    // The largest of everything still fits.
    let largest = Header {
        key_arn: "a".repeat(limits::KEY_ARN),
        wrapped_key: vec![0; limits::WRAPPED_KEY],
        context: (0..64).map(|index| (format!("{index:0>64}"), "b".repeat(64))).collect(),
        ..header()
    };
    assert_eq!(open(&seal_as(&largest, b"content")).unwrap(), b"content");
}

#[test]
fn a_header_that_claims_to_be_huge_is_refused_before_it_is_read() {
    let mut file = seal(&[])[..13].to_vec();
    file[9..13].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(matches!(open(&file), Err(Error::Limit { part: "header", .. })));
}

#[test]
fn a_data_key_has_32_bytes() {
    assert!(DataKey::from_slice(&[0; 32]).is_ok());
    for length in [0, 16, 31, 33] {
        assert!(matches!(DataKey::from_slice(&vec![0; length]), Err(Error::KeyLength(found)) if found == length));
    }
}

fn image() -> Header {
    Header { purpose: Purpose::Image, ..header() }
}

fn open_result(file: &[u8]) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    Sealed::read_header(file)?.open(&key(), Purpose::Result)?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn each_result_of_one_image_has_a_key_of_its_own() {
    let (one, other) = (image().of_result().unwrap(), image().of_result().unwrap());
    assert_ne!(one.salt, other.salt);
    assert_eq!(
        (one.purpose, &one.wrapped_key, &one.context),
        (Purpose::Result, &image().wrapped_key, &image().context)
    );
    for header in [&one, &other] {
        assert_eq!(open_result(&seal_as(header, &content(100))).unwrap(), content(100));
    }
    // The other's salt in a result's header is another key and another header.
    let mut file = seal_as(&one, &content(100));
    let place = file.windows(32).position(|window| window == one.salt.unwrap()).unwrap();
    file[place..place + 32].copy_from_slice(&other.salt.unwrap());
    assert!(matches!(open_result(&file), Err(Error::NotAuthentic { chunk: 0 })));
}

#[test]
fn a_salt_stands_in_results_and_in_nothing_else() {
    let salt = image().of_result().unwrap().salt;
    for header in
        [Header { salt, ..image() }, Header { salt, ..header() }, Header { purpose: Purpose::Result, ..header() }]
    {
        assert!(matches!(Sealer::new(Vec::new(), &header, &key()), Err(Error::Limit { part: "salt's length", .. })));
    }
    let result = seal_as(&image().of_result().unwrap(), b"scores");
    // The header's salt: the map's first member.
    let salt = [b"\x64salt\x58\x20".as_slice(), &result[21..53]].concat();
    assert_eq!(result[14..53], salt);
    let short = [&result[..19], b"\x58\x1f", &result[22..]].concat();
    for (file, why) in
        [(short, "a salt of 31 bytes"), (result.iter().copied().take(40).collect(), "cut within the salt")]
    {
        assert!(matches!(open_result(&file), Err(Error::Header | Error::Truncated)), "{why}");
    }
    let image = seal_as(&image(), b"pixels");
    assert!(matches!(open_result(&image), Err(Error::Purpose { .. })));
}

#[test]
fn a_sealed_file_is_known_by_its_first_bytes() {
    assert!(is_sealed(&seal(b"content")));
    assert!(!is_sealed(b"\x89PNG\r\n\x1a\n") && !is_sealed(b"\x89CLS") && !is_sealed(b""));
}

/// Reads in pieces of the given sizes, over and over.
fn read_in_pieces<R: Read>(opener: &mut Opener<R>, sizes: &[usize]) -> Vec<u8> {
    let mut content = Vec::new();
    for size in sizes.iter().cycle() {
        let mut piece = vec![0; *size];
        let count = opener.read(&mut piece).unwrap();
        if count == 0 {
            return content;
        }
        content.extend_from_slice(&piece[..count]);
    }
    content
}

proptest! {
    #[test]
    fn any_content_written_and_read_in_any_pieces_comes_back(
        content in proptest::collection::vec(any::<u8>(), 0..2000),
        chunk_size in 64u32..300,
        writes in proptest::collection::vec(1usize..400, 1..8),
        reads in proptest::collection::vec(1usize..400, 1..8),
    ) {
        let header = Header { chunk_size, ..header() };
        let mut sealer = Sealer::new(Vec::new(), &header, &key()).unwrap();
        let mut rest = &content[..];
        for size in writes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            sealer.write_all(piece).unwrap();
            rest = tail;
        }
        let file = sealer.finish().unwrap();
        let mut opener = Sealed::read_header(&file[..]).unwrap().open(&key(), Purpose::Model).unwrap();
        prop_assert_eq!(read_in_pieces(&mut opener, &reads), content);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), cut in 0usize..300) {
        let _ = open(&bytes);
        let mut file = seal(&content(100));
        file.truncate(cut);
        file.extend_from_slice(&bytes);
        prop_assert!(open(&file).is_err());
    }

    #[test]
    fn any_header_comes_back(
        key_arn in "[ -~]{1,80}",
        wrapped_key in proptest::collection::vec(any::<u8>(), 1..300),
        context in proptest::collection::btree_map("\\PC{0,40}", "\\PC{0,40}", 0..12),
        purpose in prop_oneof![Just(Purpose::Model), Just(Purpose::Image), Just(Purpose::Result)],
    ) {
        let header = Header { purpose, key_arn, wrapped_key, context, chunk_size: 64, salt: None };
        let header = if purpose == Purpose::Result { header.of_result().unwrap() } else { header };
        let file = seal_as(&header, b"");
        let sealed = Sealed::read_header(&file[..]).unwrap();
        prop_assert_eq!(sealed.header(), &header);
    }
}
