//! The documents of QEMU's `nitro-enclave` machine, in builds for its tests alone: true in all they say, and signed by nobody.
//!
//! Where AWS's module has algorithm, signature and certificates, the emulator has blanks. With the feature `emulator`, a policy whose root
//! is [`Root::emulator`] takes exactly such blanks, and nothing that is signed; every other root refuses them as it would without.

use std::time::{Duration, SystemTime};

use crate::document::{Document, Signed};
use crate::error::{Error, Result};
use crate::root::Root;

/// How a policy file names the emulator in place of a root.
pub(crate) const NAME: &str = "unsigned-emulator";

/// The protected header, `{1: -1}`: an algorithm that there is not.
const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x20];

/// What stands for the signature, and for each of two certificates.
const BLANK: [u8; 64] = [0; 64];

/// As long as AWS's leaf certificates live.
const LIFE: Duration = Duration::from_secs(3 * 60 * 60);

impl Root {
    /// No root at all: the word of an unsigned emulator.
    pub fn emulator() -> Self {
        Self::of_nobody(NAME.as_bytes())
    }

    /// Whether this is [`Root::emulator`].
    pub fn is_emulator(&self) -> bool {
        self.der() == NAME.as_bytes()
    }
}

/// Whether header and signature are the emulator's blanks.
pub(crate) fn is_blank(protected: Option<&[u8]>, signature: &[u8]) -> bool {
    protected == Some(&PROTECTED) && signature == BLANK
}

/// Accepts the emulator's document, and nothing that claims to be more.
pub(crate) fn check(document: &Document, signed: &Signed) -> Result<()> {
    let blank = signed.signature == BLANK && document.certificate == BLANK && document.cabundle == [BLANK];
    if blank { Ok(()) } else { Err(Error::BadSignature) }
}

/// When its certificate would end, if it had one.
pub(crate) fn ends(document: &Document) -> Option<SystemTime> {
    (document.certificate == BLANK).then(|| document.timestamp + LIFE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ciborium::Value;

    use super::*;
    use crate::{Expected, Measurement, Policy, parse, verify};

    const NOW: u64 = 1_800_000_000;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    /// A document as the emulator writes it, with its certificate, and its PCRs of this byte.
    fn document(certificate: &[u8], pcr: u8) -> Vec<u8> {
        let pcrs = (0..3u8).map(|index| (Value::from(index), Value::Bytes(vec![pcr; 48]))).collect();
        let payload = Value::Map(vec![
            ("module_id".into(), "emulated".into()),
            ("digest".into(), "SHA384".into()),
            ("timestamp".into(), (NOW * 1000).into()),
            ("pcrs".into(), Value::Map(pcrs)),
            ("certificate".into(), Value::Bytes(certificate.to_vec())),
            ("cabundle".into(), Value::Array(vec![Value::Bytes(BLANK.to_vec())])),
            ("public_key".into(), Value::Null),
            ("user_data".into(), Value::Null),
            ("nonce".into(), Value::Bytes(vec![7; 32])),
        ]);
        crate::cbor::encode(&Value::Array(vec![
            Value::Bytes(PROTECTED.to_vec()),
            Value::Map(Vec::new()),
            Value::Bytes(crate::cbor::encode(&payload)),
            Value::Bytes(BLANK.to_vec()),
        ]))
    }

    fn policy(root: Root, pcr: u8) -> Policy {
        let pcrs = (0..3).map(|index| (index, [pcr; 48])).collect::<BTreeMap<_, _>>();
        let accept = vec![Measurement { label: "emulated".into(), until: None, pcrs }];
        Policy::new(root, Duration::from_secs(300), accept).unwrap()
    }

    #[test]
    fn an_unsigned_document_passes_for_the_emulator_and_under_no_other_root() {
        let document = document(&BLANK, 1);
        assert!(verify(&document, &Root::emulator(), now()).is_ok());
        assert!(matches!(verify(&document, &Root::amazon(), now()), Err(Error::UnpinnedRoot { .. })));
    }

    #[test]
    fn measurement_nonce_time_and_debug_mode_are_judged_as_ever() {
        let expected = |at, nonce| Expected { nonce: Some(nonce), at, tls_public_key: None };
        let policy = policy(Root::emulator(), 1);
        let judge = |pcr, at, nonce| policy.verify(&document(&BLANK, pcr), &expected(at, nonce));
        assert!(judge(1, now(), &[7; 32]).is_ok());
        assert!(judge(1, now(), &[8; 32]).is_err());
        assert!(judge(2, now(), &[7; 32]).is_err());
        assert!(judge(1, now() + Duration::from_secs(301), &[7; 32]).is_err());
        assert!(judge(1, now() - Duration::from_secs(301), &[7; 32]).is_err());
        assert!(matches!(judge(0, now(), &[7; 32]), Err(Error::DebugMode { .. })));
    }

    #[test]
    fn what_is_half_signed_is_not_the_emulators() {
        assert_eq!(verify(&document(&[1; 64], 1), &Root::emulator(), now()).unwrap_err(), Error::BadSignature);
    }

    #[test]
    fn a_policy_file_names_the_emulator() {
        let policy = policy(Root::emulator(), 1);
        let text = policy.to_toml();
        assert!(text.contains(NAME));
        assert_eq!(Policy::from_toml(&text).unwrap(), policy);
    }

    #[test]
    fn a_document_without_a_certificate_ends_when_one_would() {
        let document = parse(&document(&BLANK, 1)).unwrap();
        assert_eq!(document.certificate_ends().unwrap(), now() + LIFE);
    }
}
