//! What an enclave puts into `user_data`: the digests of the keys that the document vouches for.

use aws_lc_rs::digest;
use ciborium::Value;

use crate::cbor;
use crate::error::{Error, Result};

/// Bytes of a SHA-384 digest.
const SHA384: usize = 48;

/// The version that this crate writes and reads.
const VERSION: u64 = 1;

/// The map's keys in the order of deterministic CBOR, which is by length here.
const KEYS: [&str; 3] = ["v", "tls", "receipt"];

/// The keys of an enclave, as digests of their SubjectPublicKeyInfo in DER.
///
/// Encoded as a deterministic CBOR map (RFC 8949, section 4.2.1) `{"v": 1, "tls": bytes 48, ? "receipt": bytes 48}`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Binding {
    /// SHA-384 of the key that the enclave's TLS handshakes use.
    pub tls_spki_sha384: [u8; SHA384],
    /// SHA-384 of the key that signs receipts, where there is one.
    pub receipt_spki_sha384: Option<[u8; SHA384]>,
}

impl Binding {
    /// Binds a TLS key, given as SubjectPublicKeyInfo in DER.
    pub fn of(tls_spki_der: &[u8]) -> Self {
        Self { tls_spki_sha384: sha384(tls_spki_der), receipt_spki_sha384: None }
    }

    /// Binds a receipt-signing key too, given likewise.
    pub fn with_receipt(self, receipt_spki_der: &[u8]) -> Self {
        Self { receipt_spki_sha384: Some(sha384(receipt_spki_der)), ..self }
    }

    /// Whether this is the TLS key that was bound.
    pub fn binds_tls(&self, spki_der: &[u8]) -> bool {
        self.tls_spki_sha384 == sha384(spki_der)
    }

    /// Whether this is the receipt-signing key that was bound.
    pub fn binds_receipt(&self, spki_der: &[u8]) -> bool {
        self.receipt_spki_sha384 == Some(sha384(spki_der))
    }

    /// The bytes for `user_data`: 60, or 118 with a receipt key.
    pub fn encode(&self) -> Vec<u8> {
        let values = [
            Some(Value::from(VERSION)),
            Some(Value::from(self.tls_spki_sha384.to_vec())),
            self.receipt_spki_sha384.map(|digest| Value::from(digest.to_vec())),
        ];
        let entries = KEYS.into_iter().zip(values);
        let entries = entries.filter_map(|(key, value)| value.map(|value| (Value::from(key), value)));
        cbor::encode(&Value::Map(entries.collect()))
    }

    /// Reads `user_data`. Only the one encoding that [`Binding::encode`] writes is accepted.
    pub fn decode(user_data: &[u8]) -> Result<Self> {
        let malformed = Error::BindingMalformed;
        let Ok(Value::Map(entries)) = cbor::decode(user_data, 2) else { return Err(malformed) };
        let find = |name: &str| entries.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value);
        let digest = |value: &Value| value.as_bytes().and_then(|bytes| <[u8; SHA384]>::try_from(bytes.as_slice()).ok());
        let tls = find("tls").and_then(digest).ok_or(Error::BindingMalformed)?;
        let binding = Self { tls_spki_sha384: tls, receipt_spki_sha384: find("receipt").and_then(digest) };
        // Another version, another order, a key more or a digest of another length all encode to other bytes.
        if binding.encode() == user_data { Ok(binding) } else { Err(malformed) }
    }
}

fn sha384(bytes: &[u8]) -> [u8; SHA384] {
    let mut out = [0; SHA384];
    out.copy_from_slice(digest::digest(&digest::SHA384, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_the_documented_one() {
        let binding = Binding { tls_spki_sha384: [0xaa; 48], receipt_spki_sha384: Some([0xbb; 48]) };
        let expected = [
            &[0xa3, 0x61, b'v', 0x01][..],
            &[0x63, b't', b'l', b's', 0x58, 48],
            &[0xaa; 48],
            &[0x67, b'r', b'e', b'c', b'e', b'i', b'p', b't', 0x58, 48],
            &[0xbb; 48],
        ]
        .concat();
        assert_eq!(binding.encode(), expected);
        assert_eq!(Binding::decode(&expected), Ok(binding));
        let short = Binding { receipt_spki_sha384: None, ..binding };
        assert_eq!(Binding::decode(&short.encode()), Ok(short));
    }

    #[test]
    fn a_binding_knows_its_keys_apart() {
        let binding = Binding::of(b"tls").with_receipt(b"receipt");
        assert!(binding.binds_tls(b"tls") && binding.binds_receipt(b"receipt"));
        assert!(!binding.binds_tls(b"receipt") && !binding.binds_receipt(b"tls"));
        assert!(!Binding::of(b"tls").binds_receipt(b"tls"));
    }

    #[test]
    fn every_other_encoding_is_malformed() {
        let good = Binding::of(b"tls").with_receipt(b"receipt").encode();
        for length in 0..good.len() {
            assert_eq!(Binding::decode(&good[..length]), Err(Error::BindingMalformed));
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(Binding::decode(&longer), Err(Error::BindingMalformed));
        let mut version_two = good.clone();
        version_two[3] = 2;
        assert_eq!(Binding::decode(&version_two), Err(Error::BindingMalformed));
        // The same map in another order.
        let tls = [&[0x63, b't', b'l', b's', 0x58, 48][..], &[1; 48]].concat();
        let reordered = [&[0xa2][..], &tls, &[0x61, b'v', 1]].concat();
        assert_eq!(Binding::decode(&reordered), Err(Error::BindingMalformed));
        // A receipt digest of another length is not taken for an absent one.
        let short = [&[0xa3, 0x61, b'v', 1][..], &tls, &[0x67], b"receipt", &[0x41, 0]].concat();
        assert_eq!(Binding::decode(&short), Err(Error::BindingMalformed));
    }
}
