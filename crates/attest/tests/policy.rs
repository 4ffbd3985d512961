//! The policy's file, and policies over the documents that AWS hardware signed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test fails as the test does, or says that it skips"
)]

mod encoding;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cloister_attest::{Error, Expected, Measurement, Policy, PolicyError, Root, verify};
use proptest::prelude::*;

const PCR0: &str = "189038eccf28a3a098949e402f3b3d86a876f4915c5b02d546abb5d8c507ceb1755b8192d8cfca66e8f226160ca4c7a6";
const PCR1: &str = "5d3938eb05288e20a981038b1861062ff4174884968a39aee5982b312894e60561883576cc7381d1a7d05b809936bd16";
const PCR2: &str = "6c3ef363c488a9a86faa63a44653fd806e645d4540b40540876f3b811fc1bceecf036a4703f07587c501ee45bb56a1aa";

/// The policy of the first real document, in a file as a person would write it.
fn file() -> String {
    format!(
        "version = 1\nroot = \"amazon\"\nmax_age_seconds = 300\n\n[[accept]]\nlabel = \"release 1.0\"\n\
         [accept.pcrs]\n0 = \"{PCR0}\"\n1 = \"{PCR1}\"\n2 = \"{PCR2}\"\n"
    )
}

fn refused(file: &str) -> PolicyError {
    Policy::from_toml(file).unwrap_err()
}

/// The first real document, and a time thirty seconds after it was signed.
fn document() -> Option<(Vec<u8>, SystemTime)> {
    let signed = UNIX_EPOCH + Duration::from_millis(1_734_075_478_960);
    Some((cloister_test_data::read("nitro/attestation-1.cbor")?, signed + Duration::from_secs(30)))
}

fn check(file: &str, at: SystemTime, document: &[u8]) -> Result<String, Error> {
    let expected = Expected { nonce: None, at, tls_public_key: None };
    Policy::from_toml(file).unwrap().verify(document, &expected).map(|(_, accepted)| accepted.label)
}

#[test]
fn a_real_document_is_accepted_by_its_measurements() {
    let Some((document, at)) = document() else { return };
    assert_eq!(check(&file(), at, &document), Ok("release 1.0".into()));
}

#[test]
fn a_real_document_is_refused_for_each_reason_a_policy_has() {
    let Some((document, at)) = document() else { return };
    let error = check(&file().replace(PCR1, PCR2), at, &document).unwrap_err();
    assert!(matches!(error, Error::WrongPcr { index: 1, .. }), "{error}");
    assert!(error.to_string().contains(PCR1), "the message shows what was measured: {error}");
    // PCR16 was never locked in this enclave.
    let error = check(&format!("{}16 = \"{PCR0}\"\n", file()), at, &document).unwrap_err();
    assert_eq!(error, Error::MissingPcr { index: 16 });
    let error = check(&file(), at + Duration::from_secs(271), &document).unwrap_err();
    assert_eq!(error, Error::StaleDocument { age: Duration::from_secs(301), limit: Duration::from_secs(300) });
    let ended = file().replace("[accept.pcrs]", "until = \"2024-12-13T07:38:00Z\"\n[accept.pcrs]");
    let error = check(&ended, at, &document).unwrap_err();
    assert!(matches!(error, Error::NoLongerAccepted { .. }), "{error}");
    let policy = Policy::from_toml(&file()).unwrap();
    let verified = verify(&document, &Root::amazon(), at).unwrap();
    let with_nonce = Expected { nonce: Some(b"nonce"), at, tls_public_key: None };
    assert_eq!(policy.check(&verified, &with_nonce), Err(Error::NonceMissing));
    let with_key = Expected { nonce: None, at, tls_public_key: Some(b"key") };
    assert_eq!(policy.check(&verified, &with_key), Err(Error::BindingMissing));
}

#[test]
fn an_age_of_the_maximum_is_accepted_and_a_moment_more_is_not() {
    let Some((document, at)) = document() else { return };
    let limit = at + Duration::from_secs(270);
    assert!(check(&file(), limit, &document).is_ok());
    assert!(matches!(check(&file(), limit + Duration::from_millis(1), &document), Err(Error::StaleDocument { .. })));
}

#[test]
fn a_real_document_that_was_kept_is_verified_as_of_its_time() {
    let Some((document, at)) = document() else { return };
    let signed = at - Duration::from_secs(30);
    let ended = file().replace("[accept.pcrs]", "until = \"2024-12-13T07:40:00Z\"\n[accept.pcrs]");
    let policy = Policy::from_toml(&ended).unwrap();
    let kept = |at| policy.verify_kept(&document, at).map(|(_, accepted)| accepted.label);
    assert_eq!(kept(signed), Ok("release 1.0".into()));
    assert_eq!(kept(at), Ok("release 1.0".into()));
    let early = kept(signed - Duration::from_millis(1)).unwrap_err();
    assert_eq!(early, Error::FromTheFuture { ahead: Duration::from_millis(1), limit: Duration::ZERO });
    // It was signed at 07:37:58.
    let late = kept(signed + Duration::from_secs(122)).unwrap_err();
    assert!(matches!(late, Error::NoLongerAccepted { .. }), "{late}");
    // The leaf ended at 08:57:45, before the document was three hours old.
    let policy = Policy::from_toml(&file()).unwrap();
    let hour = Duration::from_secs(3600);
    assert!(policy.verify_kept(&document, signed + hour).is_ok());
    let late = policy.verify_kept(&document, signed + 2 * hour).unwrap_err();
    assert!(matches!(late, Error::Expired { .. }), "{late}");
}

#[test]
fn the_files_defaults_are_the_documented_ones() {
    let policy = Policy::from_toml(&file().replace("max_age_seconds = 300\n", "")).unwrap();
    assert_eq!(policy.max_age(), Duration::from_secs(300));
    assert_eq!(policy.skew(), Duration::from_secs(60));
    assert!(policy.root().is_amazon());
    assert_eq!(policy.accept()[0].label, "release 1.0");
    assert_eq!(policy.accept()[0].until, None);
    assert_eq!(policy.accept()[0].pcrs[&1].to_vec(), encoding::hex(PCR1));
}

#[test]
fn a_key_that_there_is_not_is_refused_with_its_line() {
    for misspelt in ["max_age = 300", "nonce = true"] {
        let error = refused(&file().replace("max_age_seconds = 300", misspelt));
        assert!(matches!(&error, PolicyError::Toml(text) if text.contains("line 3")), "{error}");
    }
    assert!(matches!(refused(&file().replace("label", "lable")), PolicyError::Toml(_)));
    assert!(matches!(refused("not toml at all"), PolicyError::Toml(_)));
    assert!(matches!(refused(""), PolicyError::Toml(_)));
}

#[test]
fn a_version_of_the_future_is_refused() {
    assert!(matches!(refused(&file().replace("version = 1", "version = 2")), PolicyError::Version(2)));
}

#[test]
fn a_policy_that_pins_too_little_is_refused() {
    for (index, value) in [(0, PCR0), (1, PCR1), (2, PCR2)] {
        let line = format!("{index} = \"{value}\"\n");
        let error = refused(&file().replace(&line, ""));
        assert!(matches!(error, PolicyError::Unpinned { index: found, .. } if found == index), "{error}");
        let error = refused(&file().replace(value, &"0".repeat(96)));
        assert!(matches!(error, PolicyError::DebugMode { index: found, .. } if found == index), "{error}");
    }
    let nothing = "version = 1\nroot = \"amazon\"\naccept = []\n";
    assert!(matches!(refused(nothing), PolicyError::Entries(0)));
}

#[test]
fn values_that_are_no_pcrs_are_refused() {
    let error = refused(&file().replace(PCR1, &PCR1[..94]));
    assert!(matches!(error, PolicyError::PcrValue { index: 1, .. }), "{error}");
    let error = refused(&file().replace(PCR1, "not hexadecimal"));
    assert!(matches!(error, PolicyError::PcrValue { index: 1, .. }), "{error}");
    for key in ["32", "-1", "01", "\"+1\"", "one"] {
        let error = refused(&format!("{}{key} = \"{PCR0}\"\n", file()));
        assert!(matches!(error, PolicyError::PcrNumber { .. }), "{key}: {error}");
    }
    assert!(matches!(refused(&format!("{}0 = \"{PCR0}\"\n", file())), PolicyError::Toml(_)), "PCR0 twice");
}

#[test]
fn ages_labels_and_dates_have_bounds() {
    for seconds in ["0", "10801"] {
        let error = refused(&file().replace("= 300", &format!("= {seconds}")));
        assert!(matches!(error, PolicyError::MaxAge(_)), "{error}");
    }
    let with_skew = |skew: &str| file().replace("= 300", &format!("= 300\nskew_seconds = {skew}"));
    assert!(matches!(refused(&with_skew("301")), PolicyError::Skew(301)));
    assert!(matches!(refused(&with_skew("-1")), PolicyError::Toml(_)));
    for skew in ["0", "300"] {
        assert_eq!(Policy::from_toml(&with_skew(skew)).unwrap().skew().as_secs().to_string(), skew);
    }
    assert!(matches!(refused(&file().replace("= 300", "= -1")), PolicyError::Toml(_)));
    assert!(Policy::from_toml(&file().replace("= 300", "= 10800")).is_ok());
    assert!(matches!(refused(&file().replace("release 1.0", "")), PolicyError::Label(_)));
    assert!(matches!(refused(&file().replace("release 1.0", &"x".repeat(129))), PolicyError::Label(_)));
    let entry = file().split_once("[[accept]]").unwrap().1.to_owned();
    assert!(matches!(refused(&format!("{}\n[[accept]]{entry}", file())), PolicyError::Label(_)), "a label twice");
    let error = refused(&file().replace("[accept.pcrs]", "until = \"tomorrow\"\n[accept.pcrs]"));
    assert!(matches!(error, PolicyError::Until { .. }), "{error}");
    let error = refused(&format!("{}# {}\n", file(), "x".repeat(64 * 1024)));
    assert!(matches!(error, PolicyError::TooLarge { .. }), "{error}");
}

#[test]
fn a_root_that_cannot_be_one_is_refused() {
    assert!(matches!(refused(&file().replace("amazon", "Amazon")), PolicyError::RootNotPem));
    let Some((document, _)) = document() else { return };
    let parsed = cloister_attest::parse(&document).unwrap();
    let leaf = format!("\"\"\"\n{}\"\"\"", encoding::pem(&parsed.certificate));
    let error = refused(&file().replace("\"amazon\"", &leaf));
    assert!(matches!(error, PolicyError::UnusableRoot(_)), "a leaf is no root: {error}");
}

#[test]
fn a_policy_with_a_root_of_its_own_survives_its_file() {
    let Some((document, _)) = document() else { return };
    let regional = cloister_attest::parse(&document).unwrap().cabundle.remove(1);
    let root = Root::from_pem(&encoding::pem(&regional)).unwrap();
    let accept = Policy::from_toml(&file()).unwrap().accept().to_vec();
    let policy = Policy::new(root, Duration::from_secs(60), accept).unwrap();
    assert_eq!(Policy::from_toml(&policy.to_toml()).unwrap(), policy);
}

fn measurement() -> impl Strategy<Value = Measurement> {
    let pcrs = proptest::collection::btree_map(0u16..32, any::<u8>().prop_map(|byte| [byte | 1; 48]), 0..8);
    let until =
        proptest::option::of((0u64..4_000_000_000).prop_map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)));
    (pcrs, until, "\\PC{0,20}").prop_map(|(mut pcrs, until, label)| {
        for index in [0, 1, 2] {
            pcrs.entry(index).or_insert([0x5a; 48]);
        }
        Measurement { label, until, pcrs }
    })
}

fn measurements() -> impl Strategy<Value = Vec<Measurement>> {
    proptest::collection::vec(measurement(), 1..5).prop_map(|mut measurements| {
        // Labels are unique and not empty.
        for (position, measurement) in measurements.iter_mut().enumerate() {
            measurement.label.insert_str(0, &position.to_string());
        }
        measurements
    })
}

proptest! {
    #[test]
    fn any_policy_survives_its_file(accept in measurements(), seconds in 1u64..=10_800, skew in 0u64..=300) {
        let policy = Policy::new(Root::amazon(), Duration::from_secs(seconds), accept).unwrap();
        let policy = policy.with_skew(Duration::from_secs(skew)).unwrap();
        let file = policy.to_toml();
        prop_assert_eq!(Policy::from_toml(&file).unwrap(), policy, "{}", file);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,300}") {
        let _ = Policy::from_toml(&text);
        let _ = Root::from_pem(&text);
    }
}
