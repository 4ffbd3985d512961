//! The two documents that AWS hardware signed: they verify in their own hours and in no others, and not with a bit changed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test fails as the test does, or says that it skips"
)]

mod encoding;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloister_attest::{Error, Place, Root, parse, verify};
use proptest::prelude::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When the documents were signed, from their own timestamps: 2024-12-13T07:37:58.960Z and 2024-08-07T06:38:09.640Z.
const SIGNED_MS: [u64; 2] = [1_734_075_478_960, 1_723_012_689_640];

fn documents() -> Option<[(Vec<u8>, SystemTime); 2]> {
    let read = |name| cloister_test_data::read(&format!("nitro/{name}"));
    let signed = SIGNED_MS.map(|millis| UNIX_EPOCH + Duration::from_millis(millis));
    Some([(read("attestation-1.cbor")?, signed[0]), (read("attestation-2.cbor")?, signed[1])])
}

#[test]
fn both_documents_verify_at_their_own_time() {
    let Some(documents) = documents() else { return };
    let expected = [
        (
            "i-0f1cd77d37fd8bcc9-enc018e7aa61e2040ff",
            "189038eccf28a3a098949e402f3b3d86a876f4915c5b02d546abb5d8c507ceb1755b8192d8cfca66e8f226160ca4c7a6",
        ),
        (
            "i-084e1dd2f1b2c529b-enc0190fecc5b166251",
            "5fec1b73727425848d725d68f4a062c634061a035067bd0b9a6dc73e25ed5013dfe7ccbf8a7e9857eceb0841c4cb6ae6",
        ),
    ];
    for ((document, signed), (module, pcr0)) in documents.iter().zip(expected) {
        let verified = verify(document, &Root::amazon(), *signed).unwrap();
        assert_eq!(verified.module_id, module);
        assert_eq!(verified.pcrs[&0], encoding::hex(pcr0));
        assert_eq!(verified.pcrs.keys().copied().collect::<Vec<_>>(), (0..16).collect::<Vec<_>>());
        assert_eq!(verified.timestamp, *signed);
        assert_eq!((verified.user_data.as_ref(), verified.nonce.as_ref()), (None, None));
        assert_eq!(verified.public_key.as_ref().map(Vec::len), Some(64));
        assert_eq!(verified.cabundle.len(), 4);
    }
}

#[test]
fn both_documents_are_refused_a_day_later_and_a_day_earlier() {
    let Some(documents) = documents() else { return };
    for (document, signed) in &documents {
        let later = verify(document, &Root::amazon(), *signed + DAY).unwrap_err();
        assert!(matches!(later, Error::Expired { .. }), "{later}");
        let earlier = verify(document, &Root::amazon(), *signed - DAY).unwrap_err();
        assert!(matches!(earlier, Error::NotYetValid { .. }), "{earlier}");
    }
}

#[test]
fn the_signing_certificate_counts_to_the_second() {
    let Some([(document, _), _]) = documents() else { return };
    // The first document's leaf: 2024-12-13 05:57:42 to 08:57:45 UTC.
    let (from, until) = (1_734_069_462, 1_734_080_265);
    let at = |seconds| verify(&document, &Root::amazon(), UNIX_EPOCH + Duration::from_secs(seconds));
    assert!(at(until).is_ok());
    assert!(matches!(at(until + 1), Err(Error::Expired { place: Place::Leaf, .. })));
    assert!(matches!(at(from - 1), Err(Error::NotYetValid { place: Place::Leaf, .. })));
    // From then on the certificate is valid, yet the document was signed 100 minutes later.
    assert!(matches!(at(from), Err(Error::FromTheFuture { .. })));
}

#[test]
fn a_document_is_refused_under_another_root_than_its_own() {
    let Some([(document, signed), _]) = documents() else { return };
    // A regional CA of the chain: a good certificate of AWS's, and not the root.
    let regional = parse(&document).unwrap().cabundle.remove(1);
    let other = Root::from_pem(&encoding::pem(&regional)).unwrap();
    let error = verify(&document, &other, signed).unwrap_err();
    assert_eq!(error, Error::UnpinnedRoot { found: Root::amazon().fingerprint(), pinned: other.fingerprint() });
}

#[test]
fn no_byte_of_a_document_can_be_changed() {
    let Some(documents) = documents() else { return };
    for (document, signed) in &documents {
        let mut touched = document.clone();
        for position in 0..document.len() {
            let flip = 1 << (position % 8);
            touched[position] ^= flip;
            let result = verify(&touched, &Root::amazon(), *signed);
            assert!(result.is_err(), "byte {position} changed by {flip:#04x} went unnoticed");
            touched[position] ^= flip;
        }
    }
}

#[test]
fn a_bit_flipped_in_each_part_is_told_by_its_own_error() {
    let Some([(document, signed), _]) = documents() else { return };
    let parts = parse(&document).unwrap();
    let at = |needle: &[u8]| document.windows(needle.len()).position(|window| window == needle).unwrap();
    let flipped = |position: usize| {
        let mut touched = document.clone();
        touched[position] ^= 1;
        verify(&touched, &Root::amazon(), signed).unwrap_err()
    };
    assert_eq!(flipped(0), Error::NotSign1, "the array's head");
    assert_eq!(flipped(4), Error::ProtectedHeader, "the algorithm");
    assert!(matches!(flipped(6), Error::NotCbor { .. } | Error::UnprotectedHeader), "the unprotected header");
    assert_eq!(flipped(document.len() - 1), Error::BadSignature, "the signature's s");
    assert_eq!(flipped(document.len() - 96), Error::BadSignature, "the signature's r");
    for part in [parts.module_id.as_bytes(), &parts.pcrs[&0], &parts.pcrs[&4], parts.public_key.as_ref().unwrap()] {
        assert_eq!(flipped(at(part) + 5), Error::BadSignature);
    }
    assert!(matches!(flipped(at(&parts.cabundle[0]) + 200), Error::UnpinnedRoot { .. }));
    for certificate in [&parts.cabundle[1], &parts.cabundle[2], &parts.cabundle[3], &parts.certificate] {
        // The last byte is the certificate's signature's.
        let error = flipped(at(certificate) + certificate.len() - 1);
        assert!(matches!(error, Error::Path(_)), "{error}");
    }
}

#[test]
fn a_document_cut_short_or_made_longer_is_refused() {
    let Some([(document, signed), _]) = documents() else { return };
    for length in (0..document.len()).step_by(7) {
        assert!(parse(&document[..length]).is_err(), "{length} bytes");
    }
    let mut longer = document.clone();
    longer.push(0);
    let error = verify(&longer, &Root::amazon(), signed).unwrap_err();
    assert_eq!(error, Error::TrailingBytes { part: "document" });
    longer.resize(20_000, 0);
    let error = verify(&longer, &Root::amazon(), signed).unwrap_err();
    assert_eq!(error, Error::TooLarge { bytes: 20_000, limit: 0x3000 });
}

#[test]
fn the_chain_is_shown_from_root_to_leaf() {
    let Some([(document, _), _]) = documents() else { return };
    let chain = parse(&document).unwrap().chain().unwrap();
    let names: Vec<_> = chain.iter().map(|certificate| certificate.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "aws.nitro-enclaves",
            "aea2dd81900f360c.ap-south-1.aws.nitro-enclaves",
            "a7fc792f612593ca.zonal.ap-south-1.aws.nitro-enclaves",
            "i-0f1cd77d37fd8bcc9.ap-south-1.aws.nitro-enclaves",
            "i-0f1cd77d37fd8bcc9-enc018e7aa61e2040ff.ap-south-1.aws",
        ]
    );
    assert_eq!(chain[0].fingerprint, Root::amazon().fingerprint());
    assert_eq!(chain[4].not_before, UNIX_EPOCH + Duration::from_secs(1_734_069_462));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = parse(&bytes);
        let _ = parse(&[&[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0], bytes.as_slice()].concat());
    }

    #[test]
    fn a_mutated_document_never_panics_and_never_verifies(
        which in 0usize..2,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let Some(documents) = documents() else { return Ok(()) };
        let (document, signed) = &documents[which];
        let mut touched = document.clone();
        for (index, byte, how) in edits {
            let position = index.index(touched.len());
            match how {
                0 => touched[position] = byte,
                1 => touched.insert(position, byte),
                _ => drop(touched.remove(position)),
            }
        }
        if touched != *document {
            prop_assert!(verify(&touched, &Root::amazon(), *signed).is_err());
        }
        if let Ok(parsed) = parse(&touched) {
            let _ = parsed.chain();
        }
    }
}
