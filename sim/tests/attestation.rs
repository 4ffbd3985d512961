//! Documents that a verifier must refuse although their signatures are right, each with its own error; and policies over
//! documents of known content.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cloister_attest::{Binding, Document, Error, Expected, Measurement, Place, Policy, Root, parse, verify};
use cloister_nsm::{AttestRequest, Nsm};
use cloister_sim::nsm::adversary::{self, Draft, Level, Payload, Value};
use cloister_sim::nsm::{Authority, Simulated, SimulatedNsm};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};

const TLS_KEY: &[u8] = b"the SubjectPublicKeyInfo of the connection";
const NONCE: &[u8] = b"a nonce of sixteen or more bytes";

struct World {
    authority: Authority,
    root: Root,
    nsm: SimulatedNsm,
}

fn world() -> World {
    let authority = Authority::ephemeral().unwrap();
    let root = Root::from_pem(authority.root_pem()).unwrap();
    let nsm = SimulatedNsm::new(&authority, Simulated::default()).unwrap();
    World { authority, root, nsm }
}

impl World {
    fn request(&self) -> AttestRequest {
        AttestRequest { public_key: None, user_data: Some(Binding::of(TLS_KEY).encode()), nonce: Some(NONCE.to_vec()) }
    }

    fn verify(&self, document: &[u8]) -> Result<Document, Error> {
        verify(document, &self.root, SystemTime::now()).map(|verified| verified.into_document())
    }

    fn verify_with_chain(&self, spoil: &dyn Fn(Level, &mut Draft)) -> Error {
        let nsm = adversary::with_chain(&self.authority, Simulated::default(), spoil).unwrap();
        self.verify(&nsm.attest(&AttestRequest::default()).unwrap()).unwrap_err()
    }

    fn policy(&self) -> Policy {
        self.policy_for(vec![measurement("this release", [0x10; 48])])
    }

    fn policy_for(&self, accept: Vec<Measurement>) -> Policy {
        Policy::new(self.root.clone(), Duration::from_secs(300), accept).unwrap()
    }

    fn check(&self, policy: &Policy, request: &AttestRequest) -> Result<String, Error> {
        let document = self.nsm.attest(request).unwrap();
        let expected = Expected { nonce: Some(NONCE), at: SystemTime::now(), tls_public_key: Some(TLS_KEY) };
        policy.verify(&document, &expected).map(|(_, accepted)| accepted.label)
    }
}

fn measurement(label: &str, pcr0: [u8; 48]) -> Measurement {
    let pcrs = BTreeMap::from([(0, pcr0), (1, [0x11; 48]), (2, [0x12; 48])]);
    Measurement { label: label.into(), until: None, pcrs }
}

#[test]
fn an_honest_document_is_verified_and_accepted() {
    let world = world();
    assert_eq!(world.check(&world.policy(), &world.request()), Ok("this release".into()));
}

#[test]
fn a_document_has_the_byte_shape_of_the_device() {
    let world = world();
    let document = world.nsm.attest(&world.request()).unwrap();
    // The head of the real documents: array of four, protected header, empty map, payload's length in two bytes, map of nine.
    assert_eq!(document[..8], [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x59]);
    assert_eq!(document[10..21], *b"\xa9\x69module_id");
    let names = ["digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"];
    let positions = names.map(|name| document.windows(name.len()).position(|part| part == name.as_bytes()).unwrap());
    assert!(positions.is_sorted(), "{positions:?}");
    let chain = parse(&document).unwrap().chain().unwrap();
    assert_eq!(chain.len(), 5);
    assert!(chain.iter().all(|certificate| certificate.name.contains("simulated")));
    let days = |index: usize| {
        let certificate: &cloister_attest::CertificateSummary = &chain[index];
        certificate.not_after.duration_since(certificate.not_before).unwrap().as_secs_f64() / 86400.0
    };
    assert_eq!([days(1).round(), days(2).round(), days(3).round()], [20.0, 6.0, 1.0]);
    assert_eq!((days(4) * 86400.0).round(), 3.0 * 3600.0 + 3.0);
}

#[test]
fn a_simulated_document_never_passes_as_amazons() {
    let world = world();
    let document = world.nsm.attest(&world.request()).unwrap();
    let error = verify(&document, &Root::amazon(), SystemTime::now()).unwrap_err();
    assert!(matches!(error, Error::UnpinnedRoot { .. }), "{error}");
}

#[test]
fn a_bundle_that_starts_with_the_pinned_root_and_continues_under_another_is_refused() {
    let (world, stranger) = (world(), world());
    let request = world.request();
    let real = parse(&world.nsm.attest(&request).unwrap()).unwrap();
    let document = adversary::resigned(&stranger.nsm, &request, |entries| {
        let bundle = entries.iter_mut().find(|(name, _)| name.as_text() == Some("cabundle")).unwrap();
        bundle.1.as_array_mut().unwrap()[0] = Value::Bytes(real.cabundle[0].clone());
    });
    let error = world.verify(&document.unwrap()).unwrap_err();
    // Both roots have the same name, so only the signature tells them apart.
    assert!(matches!(error, Error::Path(_)), "{error}");
}

#[test]
fn a_document_signed_by_another_key_than_the_leafs_is_refused() {
    let (world, stranger) = (world(), world());
    let request = world.request();
    let real = parse(&world.nsm.attest(&request).unwrap()).unwrap();
    let document = adversary::resigned(&stranger.nsm, &request, |entries| {
        for (name, value) in entries {
            match name.as_text() {
                Some("certificate") => *value = Value::Bytes(real.certificate.clone()),
                Some("cabundle") => {
                    *value = Value::Array(real.cabundle.iter().cloned().map(Value::Bytes).collect());
                }
                _ => {}
            }
        }
    });
    assert_eq!(world.verify(&document.unwrap()), Err(Error::BadSignature));
}

#[test]
fn a_bundle_out_of_order_is_refused() {
    let world = world();
    let document = adversary::resigned(&world.nsm, &world.request(), |entries| {
        let bundle = entries.iter_mut().find(|(name, _)| name.as_text() == Some("cabundle")).unwrap();
        bundle.1.as_array_mut().unwrap().swap(1, 2);
    });
    let error = world.verify(&document.unwrap()).unwrap_err();
    assert!(matches!(error, Error::PathLength { .. } | Error::BrokenChain { .. }), "{error}");
}

#[test]
fn a_bundle_with_a_certificate_too_many_is_refused() {
    let world = world();
    let document = adversary::resigned(&world.nsm, &world.request(), |entries| {
        let bundle = entries.iter_mut().find(|(name, _)| name.as_text() == Some("cabundle")).unwrap();
        let bundle = bundle.1.as_array_mut().unwrap();
        bundle.insert(0, bundle[0].clone());
    });
    let error = world.verify(&document.unwrap()).unwrap_err();
    assert!(matches!(error, Error::Path(_)), "{error}");
}

#[test]
fn an_intermediate_that_is_no_ca_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Zonal {
            draft.params.is_ca = IsCa::ExplicitNoCa;
        }
    });
    assert_eq!(error, Error::BasicConstraints { place: Place::Bundle(2) });
}

#[test]
fn a_leaf_that_is_a_ca_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Leaf {
            draft.params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        }
    });
    assert_eq!(error, Error::BasicConstraints { place: Place::Leaf });
}

#[test]
fn more_cas_than_a_path_length_permits_are_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Regional {
            draft.params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        }
    });
    assert_eq!(error, Error::PathLength { place: Place::Bundle(1), allowed: 1, found: 2 });
}

#[test]
fn an_issuer_that_may_not_sign_certificates_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Instance {
            draft.params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        }
    });
    assert_eq!(error, Error::KeyUsage { place: Place::Bundle(3) });
}

#[test]
fn a_leaf_that_may_not_sign_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Leaf {
            draft.params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        }
    });
    assert_eq!(error, Error::KeyUsage { place: Place::Leaf });
}

#[test]
fn a_leaf_for_tls_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Leaf {
            draft.params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }
    });
    assert_eq!(error, Error::ExtendedKeyUsage { place: Place::Leaf });
}

#[test]
fn a_chain_with_a_weaker_curve_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Zonal {
            draft.algorithm = &PKCS_ECDSA_P256_SHA256;
        }
    });
    assert_eq!(error, Error::NotP384 { place: Place::Bundle(2) });
}

#[test]
fn an_expired_intermediate_is_refused() {
    let error = world().verify_with_chain(&|level, draft| {
        if level == Level::Zonal {
            draft.params.not_after = draft.params.not_before + Duration::from_secs(60);
        }
    });
    assert!(matches!(error, Error::Expired { place: Place::Bundle(2), .. }), "{error}");
}

#[test]
fn a_document_dated_outside_its_certificates_is_refused() {
    let world = world();
    let millis = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        u64::try_from(since.as_millis()).unwrap()
    };
    // The leaf is valid from three seconds before it was issued.
    let early = millis(SystemTime::now() - Duration::from_secs(30));
    let document = adversary::with_field(&world.nsm, &world.request(), "timestamp", early).unwrap();
    let error = world.verify(&document).unwrap_err();
    assert!(matches!(error, Error::TimestampOutsideCertificate { place: Place::Leaf, .. }), "{error}");
    // The certificates are valid two hours from now, and the document is dated then.
    let late = millis(SystemTime::now() + Duration::from_secs(2 * 3600));
    let document = adversary::with_field(&world.nsm, &world.request(), "timestamp", late).unwrap();
    let error = world.verify(&document).unwrap_err();
    assert!(matches!(error, Error::FromTheFuture { .. }), "{error}");
}

#[test]
fn a_document_in_debug_mode_is_refused_whatever_the_policy() {
    let world = world();
    let simulated = Simulated { debug: true, ..Simulated::default() };
    let nsm = SimulatedNsm::new(&world.authority, simulated).unwrap();
    let document = nsm.attest(&world.request()).unwrap();
    assert_eq!(world.verify(&document), Err(Error::DebugMode { index: 0 }));
    let expected = Expected { nonce: None, at: SystemTime::now(), tls_public_key: None };
    assert_eq!(world.policy().verify(&document, &expected).err(), Some(Error::DebugMode { index: 0 }));
}

#[test]
fn a_document_with_a_zero_pcr_is_refused() {
    for index in [0, 1, 2] {
        let world = world();
        let mut simulated = Simulated::default();
        simulated.pcrs.insert(index, [0; 48]);
        let nsm = SimulatedNsm::new(&world.authority, simulated).unwrap();
        let document = nsm.attest(&world.request()).unwrap();
        assert_eq!(world.verify(&document), Err(Error::DebugMode { index }));
    }
}

#[test]
fn a_document_without_one_of_the_image_pcrs_is_refused() {
    let world = world();
    for index in [0u16, 1, 2] {
        let document = adversary::resigned(&world.nsm, &world.request(), |entries| {
            let pcrs = entries.iter_mut().find(|(name, _)| name.as_text() == Some("pcrs")).unwrap();
            pcrs.1.as_map_mut().unwrap().retain(|(key, _)| *key != Value::from(index));
        });
        assert_eq!(world.verify(&document.unwrap()), Err(Error::MissingPcr { index }));
    }
}

#[test]
fn each_departure_from_the_shape_has_its_own_error() {
    let world = world();
    let with = |field, value: Value| adversary::with_field(&world.nsm, &world.request(), field, value).unwrap();
    let bytes = |length| Value::Bytes(vec![1; length]);
    let size = |field, bytes, least, most| Err(Error::FieldSize { field, bytes, least, most });
    let cases = [
        (with("module_id", Value::from("")), size("module_id", 0, 1, 256)),
        (with("module_id", Value::from(7)), Err(Error::WrongType { field: "module_id" })),
        (with("digest", Value::from("SHA256")), Err(Error::UnknownDigest)),
        (with("timestamp", Value::from(0)), Err(Error::TimestampRange)),
        (with("timestamp", Value::from(-1)), Err(Error::TimestampRange)),
        (with("timestamp", Value::from(u64::MAX)), Err(Error::TimestampRange)),
        (with("timestamp", Value::from("now")), Err(Error::WrongType { field: "timestamp" })),
        (with("pcrs", Value::Map(vec![(Value::from(32), bytes(48))])), Err(Error::PcrNumber)),
        (with("pcrs", Value::Map(vec![(Value::from(0), bytes(32))])), size("pcrs", 32, 48, 48)),
        (
            with("pcrs", Value::Map(vec![(Value::from(3), bytes(48)), (Value::from(3), bytes(48))])),
            Err(Error::DuplicatePcr { index: 3 }),
        ),
        (with("certificate", bytes(1025)), size("certificate", 1025, 1, 1024)),
        (with("certificate", bytes(40)), Err(Error::BadCertificate { place: Place::Leaf })),
        (with("cabundle", Value::Array(Vec::new())), Err(Error::BundleLength { certificates: 0 })),
        (with("cabundle", Value::Array(vec![bytes(1); 7])), Err(Error::BundleLength { certificates: 7 })),
        (with("public_key", bytes(0)), size("public_key", 0, 1, 1024)),
        (with("public_key", bytes(1025)), size("public_key", 1025, 1, 1024)),
        (with("user_data", bytes(513)), size("user_data", 513, 0, 512)),
        (with("nonce", bytes(513)), size("nonce", 513, 0, 512)),
        (with("nonce", Value::from("text")), Err(Error::WrongType { field: "nonce" })),
    ];
    for (document, expected) in cases {
        assert_eq!(world.verify(&document), expected);
    }
}

#[test]
fn a_payload_of_other_than_the_nine_fields_is_refused() {
    let world = world();
    let edited = |edit: &dyn Fn(&mut Payload)| {
        let document = adversary::resigned(&world.nsm, &world.request(), |entries| edit(entries)).unwrap();
        world.verify(&document).unwrap_err()
    };
    assert_eq!(edited(&|entries| drop(entries.pop())), Error::MissingField { field: "nonce" });
    assert_eq!(edited(&|entries| entries.push((Value::from("extra"), Value::Null))), Error::UnknownField);
    assert_eq!(edited(&|entries| entries.push((Value::from(1), Value::Null))), Error::UnknownField);
    let twice = edited(&|entries| entries.push((Value::from("nonce"), Value::Null)));
    assert_eq!(twice, Error::DuplicateField { field: "nonce" });
}

#[test]
fn the_wrong_measurement_is_told_by_its_pcr() {
    let world = world();
    let policy = world.policy_for(vec![measurement("another release", [0x20; 48])]);
    let error = world.check(&policy, &world.request()).unwrap_err();
    assert_eq!(
        error,
        Error::WrongPcr { index: 0, expected: vec![0x20; 48], found: vec![0x10; 48], label: "another release".into() }
    );
}

#[test]
fn one_of_several_measurements_is_enough_and_the_nearest_one_is_told() {
    let world = world();
    let (far, near) = (measurement("far", [0x20; 48]), measurement("near", [0x10; 48]));
    let policy = world.policy_for(vec![far.clone(), near.clone()]);
    assert_eq!(world.check(&policy, &world.request()), Ok("near".into()));
    let mut with_model = near;
    with_model.pcrs.insert(16, [0x16; 48]);
    let mut farther = far;
    farther.pcrs.insert(1, [0x21; 48]);
    let policy = world.policy_for(vec![farther, with_model]);
    // The model's PCR is not locked, so it is not in the document.
    assert_eq!(world.check(&policy, &world.request()), Err(Error::MissingPcr { index: 16 }));
    world.nsm.extend(16, b"a model").unwrap();
    world.nsm.lock(16).unwrap();
    let error = world.check(&policy, &world.request()).unwrap_err();
    assert!(matches!(&error, Error::WrongPcr { index: 16, label, .. } if label == "near"), "{error}");
}

#[test]
fn a_measurement_is_accepted_until_its_end_and_not_after() {
    let world = world();
    let ending = |until| Measurement { until: Some(until), ..measurement("old release", [0x10; 48]) };
    let (past, coming) = (SystemTime::now() - Duration::from_secs(60), SystemTime::now() + Duration::from_secs(60));
    assert_eq!(world.check(&world.policy_for(vec![ending(coming)]), &world.request()), Ok("old release".into()));
    let error = world.check(&world.policy_for(vec![ending(past)]), &world.request()).unwrap_err();
    assert_eq!(error, Error::NoLongerAccepted { label: "old release".into(), until: past });
    let both = vec![ending(past), measurement("still good", [0x10; 48])];
    assert_eq!(world.check(&world.policy_for(both), &world.request()), Ok("still good".into()));
}

#[test]
fn a_stale_document_is_refused() {
    let world = world();
    let behind = Duration::from_secs(301);
    let nsm = SimulatedNsm::with_clock_behind(&world.authority, Simulated::default(), behind).unwrap();
    let document = nsm.attest(&world.request()).unwrap();
    let expected = Expected { nonce: Some(NONCE), at: SystemTime::now(), tls_public_key: Some(TLS_KEY) };
    let error = world.policy().verify(&document, &expected).err().unwrap();
    assert!(matches!(error, Error::StaleDocument { limit, .. } if limit.as_secs() == 300), "{error}");
    // A policy that allows more takes the same document.
    let patient = Policy::new(world.root.clone(), Duration::from_secs(600), world.policy().accept().to_vec()).unwrap();
    assert!(patient.verify(&document, &expected).is_ok());
}

#[test]
fn a_document_ahead_of_the_clock_is_taken_within_the_skew_and_no_further() {
    let world = world();
    // The leaf is valid from three seconds before its document, so that for a verifier farther behind it is new too.
    let ahead = |seconds| {
        let ahead = Duration::from_secs(seconds);
        let nsm = SimulatedNsm::with_clock_ahead(&world.authority, Simulated::default(), ahead).unwrap();
        nsm.attest(&world.request()).unwrap()
    };
    assert!(world.verify(&ahead(2)).is_ok());
    assert!(world.verify(&ahead(55)).is_ok());
    let error = world.verify(&ahead(65)).unwrap_err();
    assert!(matches!(error, Error::NotYetValid { place: Place::Leaf, .. }), "{error}");
    let expected = Expected { nonce: Some(NONCE), at: SystemTime::now(), tls_public_key: Some(TLS_KEY) };
    let with_skew = |seconds| world.policy().with_skew(Duration::from_secs(seconds)).unwrap();
    assert!(with_skew(300).verify(&ahead(290), &expected).is_ok());
    let error = with_skew(300).verify(&ahead(310), &expected).unwrap_err();
    assert!(matches!(error, Error::NotYetValid { .. }), "{error}");
    let error = with_skew(0).verify(&ahead(2), &expected).unwrap_err();
    assert!(matches!(error, Error::FromTheFuture { limit: Duration::ZERO, .. }), "{error}");
}

#[test]
fn a_document_vouches_for_the_receipt_key_that_it_carries_and_binds() {
    let world = world();
    let key = |public_key: Option<&[u8]>, user_data: Option<Vec<u8>>| {
        let request = AttestRequest { public_key: public_key.map(<[u8]>::to_vec), user_data, nonce: None };
        let document = world.nsm.attest(&request).unwrap();
        let verified = verify(&document, &world.root, SystemTime::now()).unwrap();
        verified.receipt_key().map(<[u8]>::to_vec)
    };
    let binding = || Some(Binding::of(TLS_KEY).with_receipt(b"a receipt key").encode());
    assert_eq!(key(Some(b"a receipt key"), binding()), Ok(b"a receipt key".to_vec()));
    assert_eq!(key(None, binding()), Err(Error::NoReceiptKey));
    assert_eq!(key(Some(b"another key"), binding()), Err(Error::ReceiptKeyUnbound));
    assert_eq!(key(Some(TLS_KEY), binding()), Err(Error::ReceiptKeyUnbound));
    assert_eq!(key(Some(b"a receipt key"), Some(Binding::of(TLS_KEY).encode())), Err(Error::ReceiptKeyUnbound));
    assert_eq!(key(Some(b"a receipt key"), None), Err(Error::BindingMissing));
    assert_eq!(key(Some(b"a receipt key"), Some(vec![0xa0])), Err(Error::BindingMalformed));
}

#[test]
fn the_nonce_must_be_this_requests() {
    let world = world();
    let other = AttestRequest { nonce: Some(b"another request's".to_vec()), ..world.request() };
    assert_eq!(world.check(&world.policy(), &other), Err(Error::NonceMismatch));
    let prefix = AttestRequest { nonce: Some(NONCE[..31].to_vec()), ..world.request() };
    assert_eq!(world.check(&world.policy(), &prefix), Err(Error::NonceMismatch));
    let none = AttestRequest { nonce: None, ..world.request() };
    assert_eq!(world.check(&world.policy(), &none), Err(Error::NonceMissing));
}

#[test]
fn the_document_must_vouch_for_this_connections_key() {
    let world = world();
    let with = |user_data: Option<Vec<u8>>| AttestRequest { user_data, ..world.request() };
    let relayed = with(Some(Binding::of(b"the key of another enclave").encode()));
    assert_eq!(world.check(&world.policy(), &relayed), Err(Error::BindingMismatch));
    assert_eq!(world.check(&world.policy(), &with(None)), Err(Error::BindingMissing));
    assert_eq!(world.check(&world.policy(), &with(Some(vec![0xa0]))), Err(Error::BindingMalformed));
    let with_receipt = with(Some(Binding::of(TLS_KEY).with_receipt(b"a receipt key").encode()));
    assert!(world.check(&world.policy(), &with_receipt).is_ok());
    let as_receipt_key = with(Some(Binding::of(b"other").with_receipt(TLS_KEY).encode()));
    assert_eq!(world.check(&world.policy(), &as_receipt_key), Err(Error::BindingMismatch));
}

#[test]
fn a_policy_refuses_a_document_that_was_verified_under_another_root() {
    let (world, stranger) = (world(), world());
    let document = stranger.nsm.attest(&stranger.request()).unwrap();
    let verified = verify(&document, &stranger.root, SystemTime::now()).unwrap();
    let expected = Expected { nonce: Some(NONCE), at: SystemTime::now(), tls_public_key: Some(TLS_KEY) };
    let error = world.policy().check(&verified, &expected).unwrap_err();
    assert!(matches!(error, Error::UnpinnedRoot { .. }), "{error}");
}
