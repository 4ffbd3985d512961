//! Signatures of images: made, read again, and refused.

mod common;

use std::time::{Duration, UNIX_EPOCH};

use cloister_eif::{Certificate, Error, Image, KeyFile, Statement};
use common::{Authority, image, vector};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};

#[test]
fn a_signed_image_is_read_again_and_measures_its_certificate() {
    let authority = Authority::new("release");
    let unsigned = image(&[b"first"]);
    let measured = unsigned.measurements();
    let read = Image::read(&authority.sign(unsigned).to_bytes()).unwrap();
    let signature = read.signature().unwrap();
    assert_eq!(signature.verify(&measured.pcr0), Ok(()));
    assert_eq!(signature.certificate(), &authority.certificate);
    let certificate = cloister_eif::sha384(authority.certificate.der());
    let pcr8 = cloister_eif::sha384(&[&[0; 48][..], &certificate].concat());
    assert_eq!(read.measurements().pcr8, Some(pcr8));
    assert_eq!((read.measurements().pcr0, measured.pcr8), (measured.pcr0, None));
}

#[test]
fn keys_are_read_as_openssl_writes_them() {
    let certificate = Certificate::from_pem(&vector("certificate.pem")).unwrap();
    for name in ["key-pkcs8.pem", "key-sec1.pem"] {
        let key = KeyFile::from_pem(&vector(name)).unwrap();
        let statement = Statement::new(certificate.clone(), &[7; 48]).unwrap();
        assert_eq!(key.sign(statement).unwrap().verify(&[7; 48]), Ok(()), "{name}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_signs_nothing() {
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let statement = Statement::new(one.certificate, &[7; 48]).unwrap();
    assert!(matches!(other.key.sign(statement), Err(Error::OtherKey)));
}

#[test]
fn a_signature_that_was_made_elsewhere_is_taken_if_it_verifies() {
    let authority = Authority::new("release");
    let statement = || Statement::new(authority.certificate.clone(), &[7; 48]).unwrap();
    assert_eq!(statement().digest(), cloister_eif::sha384(&statement().message()));
    assert!(matches!(statement().signed(&[1; 96]), Err(Error::OtherKey)));
}

#[test]
fn a_second_signature_is_refused() {
    let authority = Authority::new("release");
    let signed = authority.sign(image(&[b"first"]));
    let signature = signed.signature().unwrap().clone();
    assert!(matches!(signed.signed(&signature), Err(Error::Repeated(_))));
}

#[test]
fn a_certificate_is_good_from_its_first_second_to_its_last() {
    let certificate = Authority::new("release").certificate;
    // 2020-01-01 and 2030-01-01, at midnight.
    let at = |seconds, nanos| certificate.check_validity(UNIX_EPOCH + Duration::new(seconds, nanos));
    let (first, last) = (1_577_836_800, 1_893_456_000);
    assert_eq!(at(first - 1, 999_999_999), Err(Error::NotYetValid));
    assert_eq!((at(first, 0), at(last, 999_999_999)), (Ok(()), Ok(())));
    assert_eq!(at(last + 1, 0), Err(Error::Expired));
}

#[test]
fn certificates_and_keys_that_are_not_of_p384_are_refused() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let pem = CertificateParams::default().self_signed(&key).unwrap().pem();
        assert!(matches!(Certificate::from_pem(pem.as_bytes()), Err(Error::Certificate(_))));
        assert!(matches!(KeyFile::from_pem(key.serialize_pem().as_bytes()), Err(Error::PrivateKey)));
    }
}

#[test]
fn files_that_hold_none_or_several_are_refused() {
    let pem = Authority::new("release").certificate_pem;
    let [two, spoilt] = [format!("{pem}{pem}"), pem.replace("MII", "MIJ")];
    for text in ["", "certificate", &two, &spoilt] {
        assert!(matches!(Certificate::from_pem(text.as_bytes()), Err(Error::Certificate(_))), "{text}");
    }
    for text in ["", &pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        assert!(matches!(KeyFile::from_pem(text.as_bytes()), Err(Error::PrivateKey)), "{text}");
    }
}

#[test]
fn text_around_a_certificate_changes_nothing() {
    let authority = Authority::new("release");
    let noted = format!("subject: release\n\n{}\n", authority.certificate_pem.replace('\n', "\r\n"));
    assert_eq!(Certificate::from_pem(noted.as_bytes()).unwrap(), authority.certificate);
}
