//! What a reader of receipts refuses: bytes that were changed, forged, or could be read in two ways.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod common;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use ciborium::Value;
use cloister_receipt::{Error, Receipt, SigningKey, Unverified, limits};
use common::{DOCUMENT, exam, image, least, scores, together};
use proptest::prelude::*;

/// The protected header of every receipt, byte by byte: `{1: -35, 3: "application/vnd.cloister.receipt+cbor"}`.
fn protected() -> Vec<u8> {
    [&[0xa2, 0x01, 0x38, 0x22, 0x03, 0x78, 37][..], b"application/vnd.cloister.receipt+cbor"].concat()
}

fn verify(bytes: &[u8], key: &SigningKey) -> Result<Receipt, Error> {
    Unverified::parse(bytes)?.verify(key.public_key_der())
}

fn cbor(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// The payload of an honest receipt.
fn payload(receipt: &Receipt) -> Vec<u8> {
    let bytes = receipt.sign(&SigningKey::generate().unwrap(), DOCUMENT).unwrap();
    let Value::Tag(18, parts) = ciborium::from_reader(&bytes[..]).unwrap() else { panic!("no tag") };
    parts.into_array().unwrap().remove(2).into_bytes().unwrap()
}

/// A receipt with such headers, payload and signature.
fn file(protected: Vec<u8>, unprotected: Value, payload: Vec<u8>, signature: Vec<u8>) -> Vec<u8> {
    let parts = vec![Value::Bytes(protected), unprotected, Value::Bytes(payload), Value::Bytes(signature)];
    cbor(&Value::Tag(18, Box::new(Value::Array(parts))))
}

fn with_document(document: &[u8]) -> Value {
    Value::Map(vec![(text("attestation"), Value::Bytes(document.to_vec()))])
}

/// What a reader says to a payload, whoever signed it.
fn read(payload: &[u8]) -> Result<(), Error> {
    let file = file(protected(), with_document(DOCUMENT), payload.to_vec(), vec![0; limits::SIGNATURE]);
    Unverified::parse(&file).map(|_| ())
}

/// The entries of a payload's map, or of one inside of it.
fn entries<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Vec<(Value, Value)> {
    let mut here = value;
    for name in path {
        let map = match here {
            Value::Array(items) => items[0].as_map_mut(),
            here => here.as_map_mut(),
        };
        here = map.unwrap().iter_mut().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value).unwrap();
    }
    match here {
        Value::Array(items) => items[0].as_map_mut().unwrap(),
        here => here.as_map_mut().unwrap(),
    }
}

/// An honest exam's payload whose map at `path` was changed.
fn changed(path: &[&str], change: impl FnOnce(&mut Vec<(Value, Value)>)) -> Vec<u8> {
    let mut value = ciborium::from_reader(&payload(&exam())[..]).unwrap();
    change(entries(&mut value, path));
    cbor(&value)
}

/// The same with one value replaced.
fn replaced(path: &[&str], field: &str, value: Value) -> Vec<u8> {
    changed(path, |entries| entries.iter_mut().find(|(key, _)| key.as_text() == Some(field)).unwrap().1 = value)
}

#[test]
fn every_changed_byte_is_refused_the_documents_too() {
    let key = SigningKey::generate().unwrap();
    let good = image().sign(&key, DOCUMENT).unwrap();
    assert_eq!(verify(&good, &key), Ok(image()));
    for index in 0..good.len() {
        for flip in [0x01, 0x20, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[index] ^= flip;
            assert!(verify(&bad, &key).is_err(), "byte {index} by {flip:#x}");
        }
    }
}

#[test]
fn a_receipt_that_is_cut_or_goes_on_is_refused() {
    let key = SigningKey::generate().unwrap();
    let good = least().sign(&key, DOCUMENT).unwrap();
    for end in 0..good.len() {
        assert_eq!(verify(&good[..end], &key), Err(Error::NotReceipt), "{end} bytes");
    }
    assert_eq!(verify(&[&good[..], &[0]].concat(), &key), Err(Error::NotDeterministic));
    let endless = [&good[..], &vec![0; limits::RECEIPT]].concat();
    assert_eq!(verify(&endless, &key), Err(Error::TooLarge { bytes: endless.len() }));
}

#[test]
fn each_claim_changed_and_signed_by_a_key_of_ones_own_is_refused() {
    let (key, own) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let changes: [fn(&mut Receipt); 22] = [
        |_| {},
        |r| r.nonce = None,
        |r| r.nonce = Some(vec![8; 32]),
        |r| r.time += std::time::Duration::from_millis(1),
        |r| r.software.push('0'),
        |r| r.kernels.push('f'),
        |r| r.model.name.push('o'),
        |r| r.model.version += 1,
        |r| r.model.digest[47] ^= 1,
        |r| r.preprocessing.push('1'),
        |r| r.crops.seed = None,
        |r| r.crops.count = 1,
        |r| {
            r.views.pop();
            r.breasts.remove("right");
        },
        |r| r.views[0].bytes_sha256[0] ^= 1,
        |r| r.views[1].pixels_sha256[0] ^= 1,
        |r| r.views[2].sop_instance_uid = None,
        |r| r.views[3].window[0] += 1,
        |r| r.views[3].best_center[1] += 1,
        |r| r.views[3].scores = scores(0.1_f64.next_up()),
        |r| r.views.iter_mut().flat_map(|view| &mut view.map).for_each(|map| map.sha256[0] ^= 1),
        |r| r.views.iter_mut().for_each(|view| view.map = None),
        |r| r.breasts.clear(),
    ];
    let honest = exam().sign(&key, DOCUMENT).unwrap();
    let signature = &honest[honest.len() - limits::SIGNATURE..];
    for (index, change) in changes.into_iter().enumerate() {
        let mut receipt = exam();
        change(&mut receipt);
        let forged = receipt.sign(&own, DOCUMENT).unwrap();
        assert_eq!(verify(&forged, &key), Err(Error::BadSignature), "change {index}, own signature");
        let spliced = [&forged[..forged.len() - limits::SIGNATURE], signature].concat();
        assert_eq!(verify(&spliced, &key).is_ok(), index == 0, "change {index}, the honest signature");
    }
}

#[test]
fn a_signature_of_the_key_on_anything_else_is_no_receipts() {
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let payload = payload(&image());
    let accepted = |external_data: &[u8], context: &str| {
        let covered = Value::Array(vec![
            text(context),
            Value::Bytes(protected()),
            Value::Bytes(external_data.to_vec()),
            Value::Bytes(payload.clone()),
        ]);
        let signature = key.sign(&SystemRandom::new(), &cbor(&covered)).unwrap();
        let file = file(protected(), with_document(DOCUMENT), payload.clone(), signature.as_ref().to_vec());
        Unverified::parse(&file).unwrap().verify(der.as_ref())
    };
    assert_eq!(accepted(b"cloister receipt 1a document", "Signature1"), Ok(image()), "as docs/receipts.md says");
    for (external_data, context) in [
        (&b""[..], "Signature1"),
        (b"cloister receipt 1", "Signature1"),
        (b"a document", "Signature1"),
        (b"cloister receipt 2a document", "Signature1"),
        (b"cloister receipt 1another document", "Signature1"),
        (b"cloister receipt 1a document", "Signature"),
    ] {
        assert_eq!(accepted(external_data, context), Err(Error::BadSignature), "{context} {external_data:?}");
    }
}

#[test]
fn other_headers_are_refused() {
    let payload = payload(&image());
    let parse = |protected: Vec<u8>, unprotected: Value, signature: usize| {
        Unverified::parse(&file(protected, unprotected, payload.clone(), vec![0; signature])).map(|_| ())
    };
    assert_eq!(parse(protected(), with_document(DOCUMENT), 96), Ok(()));
    let es256 = [&[0xa2, 0x01, 0x26], &protected()[4..]].concat();
    for other in [vec![], vec![0xa0], vec![0xa1, 0x01, 0x38, 0x22], es256] {
        assert_eq!(parse(other, with_document(DOCUMENT), 96), Err(Error::ProtectedHeader));
    }
    let twice = [with_document(DOCUMENT), with_document(DOCUMENT)].into_iter().flat_map(|map| map.into_map().unwrap());
    let more = vec![(text("attestation"), Value::Bytes(DOCUMENT.to_vec())), (Value::from(4), Value::Bytes(vec![1]))];
    for other in [
        Value::Map(vec![]),
        Value::Map(twice.collect()),
        Value::Map(more),
        Value::Map(vec![(text("attestation"), text("a document"))]),
        Value::Map(vec![(text("voucher"), Value::Bytes(DOCUMENT.to_vec()))]),
        Value::Array(vec![]),
        with_document(&[]),
        with_document(&vec![0; limits::DOCUMENT + 1]),
    ] {
        assert_eq!(parse(protected(), other, 96), Err(Error::UnprotectedHeader));
    }
    for bytes in [0, 95, 97] {
        assert_eq!(parse(protected(), with_document(DOCUMENT), bytes), Err(Error::SignatureLength { bytes }));
    }
}

#[test]
fn anything_but_a_tagged_sign1_is_no_receipt() {
    let good = image().sign(&SigningKey::generate().unwrap(), DOCUMENT).unwrap();
    assert_eq!(good[0], 0xd2, "tag 18");
    let sign = [&[0xd8, 98], &good[1..]].concat();
    let nested = [&[0xd2], &good[..]].concat();
    let three = cbor(&Value::Tag(18, Box::new(Value::Array(vec![Value::Null, Value::Null, Value::Null]))));
    for other in [&good[1..], &sign, &nested, &three, b"", b"{}", &[0xd2; 4096], &[0x9f; 4096], &[0x5f]] {
        assert_eq!(Unverified::parse(other).map(|_| ()), Err(Error::NotReceipt));
    }
}

#[test]
fn signatures_nested_in_headers_are_refused_before_anything_follows_them() {
    // Each header holds a counter signature (label 7) whose own protected header holds the next.
    let mut header = vec![0xa0];
    while header.len() < limits::RECEIPT - 1024 {
        let signature = Value::Array(vec![Value::Bytes(header), Value::Map(vec![]), Value::Bytes(vec![])]);
        header = cbor(&Value::Map(vec![(Value::from(7), signature)]));
    }
    let bomb = file(header, with_document(DOCUMENT), payload(&least()), vec![0; limits::SIGNATURE]);
    assert_eq!(Unverified::parse(&bomb).map(|_| ()), Err(Error::ProtectedHeader));
}

#[test]
fn other_versions_and_unknown_fields_are_refused() {
    assert_eq!(read(&payload(&exam())), Ok(()));
    assert_eq!(read(&replaced(&[], "v", Value::from(2))), Err(Error::Version(2)));
    assert_eq!(read(&replaced(&[], "v", Value::from(0))), Err(Error::Version(0)));
    let unknown = || (text("zzzzzzzzzzzzzzzzzzzzz"), Value::from(1));
    for path in [&[][..], &["model"], &["crops"], &["views"], &["views", "map"]] {
        assert_eq!(read(&changed(path, |entries| entries.push(unknown()))), Err(Error::UnknownField), "in {path:?}");
        assert_eq!(read(&changed(path, |entries| entries.push(entries[0].clone()))), Err(Error::Payload));
        assert_eq!(read(&changed(path, |entries| entries[0].0 = Value::from(1))), Err(Error::Payload));
    }
    for (path, field) in [
        (&[][..], "v"),
        (&[], "time"),
        (&[], "software"),
        (&[], "kernels"),
        (&[], "model"),
        (&[], "preprocessing"),
        (&[], "crops"),
        (&[], "views"),
        (&["model"], "digest"),
        (&["crops"], "count"),
        (&["views"], "laterality"),
        (&["views", "map"], "label"),
        (&["views", "map"], "sha256"),
    ] {
        let without = changed(path, |entries| entries.retain(|(key, _)| key.as_text() != Some(field)));
        assert_eq!(read(&without), Err(Error::MissingField(field)));
    }
    let one_unscored = changed(&["views"], |entries| entries.retain(|(key, _)| key.as_text() != Some("scores")));
    assert!(matches!(read(&one_unscored), Err(Error::Field { field: "scores", .. })));
}

#[test]
fn claims_that_cannot_be_are_refused_whoever_signed_them() {
    let bytes = |length: usize| Value::Bytes(vec![0; length]);
    let numbers = |numbers: &[i64]| Value::Array(numbers.iter().map(|number| Value::from(*number)).collect());
    for (path, field, value) in [
        (&[][..], "nonce", bytes(15)),
        (&[], "nonce", Value::Null),
        (&[], "time", Value::from(0)),
        (&[], "time", Value::from(-1)),
        (&[], "time", Value::from(u64::MAX)),
        (&[], "software", text("line\nbreak")),
        (&[], "preprocessing", bytes(4)),
        (&[], "views", Value::Array(vec![])),
        (&["crops"], "seed", Value::from(1_u64 << 32)),
        (&["crops"], "seed", Value::Float(1.0)),
        (&["model"], "digest", bytes(47)),
        (&["views"], "bytes_sha256", bytes(33)),
        (&["views"], "laterality", text("R")),
        (&["views"], "rows", Value::from(0)),
        (&["views"], "window", numbers(&[0, 1, 0])),
        (&["views"], "window", numbers(&[0, 1, 0, -1])),
        (&["views"], "best_center", numbers(&[0, 1, 0])),
        (&["views", "map"], "sha256", bytes(31)),
        (&["views", "map"], "label", bytes(4)),
    ] {
        let error = read(&replaced(path, field, value.clone())).unwrap_err();
        assert!(matches!(error, Error::Field { field: named, .. } if named == field), "{field} {value:?}: {error}");
    }
    assert!(matches!(read(&replaced(&[], "v", text("1"))), Err(Error::Field { field: "v", .. })));
}

#[test]
fn scores_that_are_no_probabilities_are_refused_whoever_signed_them() {
    let wrong = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -0.5, 1.5];
    let wrong = wrong.map(Value::Float).into_iter().chain([Value::from(1), Value::Null, text("0.5")]);
    for value in wrong {
        for path in [&["views", "scores"][..], &["breasts", "left"]] {
            let read = read(&replaced(path, "benign", value.clone()));
            assert!(matches!(read, Err(Error::Field { field: "scores", .. })), "{path:?} {value:?}: {read:?}");
        }
    }
}

#[test]
fn another_encoding_of_the_same_claims_is_refused() {
    let good = payload(&exam());
    let at = |needle: &[u8]| good.windows(needle.len()).position(|bytes| bytes == needle).unwrap();
    let spliced = |start: usize, length: usize, new: &[u8]| [&good[..start], new, &good[start + length..]].concat();
    // "v": 1 in two bytes.
    let long_integer = spliced(at(b"\x61v\x01") + 2, 1, &[0x18, 1]);
    // "benign": 0.25 is f93400 in half precision; as a single it is fa3e800000.
    let wide_float = spliced(at(b"benign\xf9\x34\x00") + 6, 3, &[0xfa, 0x3e, 0x80, 0, 0]);
    // "model" as two chunks of text.
    let chunks = spliced(at(b"\x65model"), 6, b"\x7f\x62mo\x63del\xff");
    let reordered = changed(&[], |entries| entries.swap(0, 1));
    let endless_map = [&[0xbf], &good[1..], &[0xff]].concat();
    let longer = [&good[..], &[0]].concat();
    for other in [long_integer, wide_float, chunks, reordered, endless_map, longer] {
        assert_eq!(read(&other), Err(Error::NotDeterministic));
    }
    let empty_breasts = replaced(&[], "breasts", Value::Map(vec![]));
    assert_eq!(read(&empty_breasts), Err(Error::NotDeterministic), "absent, and not empty");
    let mut unscored = ciborium::from_reader(&payload(&together())[..]).unwrap();
    assert_eq!(read(&cbor(&unscored)), Ok(()));
    // Where the order of the keys has its place.
    entries(&mut unscored, &["views"]).insert(2, (text("scores"), Value::Map(vec![])));
    assert_eq!(read(&cbor(&unscored)), Err(Error::NotDeterministic), "absent, and not empty");
}

proptest! {
    #[test]
    fn no_bytes_panic_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(Unverified::parse(&bytes).is_err());
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn no_change_of_a_receipt_panics_the_reader_or_passes(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<proptest::sample::Index>(),
    ) {
        let key = SigningKey::generate().unwrap();
        let good = least().sign(&key, DOCUMENT).unwrap();
        let mut bad = good.clone();
        for (index, byte) in changes {
            bad[index.index(good.len())] = byte;
        }
        prop_assert_eq!(verify(&bad, &key).is_ok(), bad == good);
        bad.truncate(cut.index(good.len()));
        prop_assert!(verify(&bad, &key).is_err());
    }
}
