//! COSE_Sign1 around the claims (RFC 9052, section 4.2): made with coset, and read back as exactly what coset makes.
//!
//! Strangers' bytes are not given to coset: it follows signatures that are nested in headers without a bound.

use ciborium::Value;
use coset::{CoseSign1, CoseSign1Builder, HeaderBuilder, TaggedCborSerializable, iana};

use crate::claims::Receipt;
use crate::encoding;
use crate::error::{Error, Result};
use crate::key::{self, SigningKey};
use crate::limits;

/// The tag of a COSE_Sign1.
const TAG: u64 = iana::CborTag::CoseSign1 as u64;

/// The payload's media type, in the protected header.
const CONTENT_TYPE: &str = "application/vnd.cloister.receipt+cbor";

/// The label of the attestation document in the unprotected header.
const ATTESTATION: &str = "attestation";

/// What the signature covers besides header and payload, before the document: so that a receipt's key signs receipts and nothing
/// else.
const DOMAIN: &[u8] = b"cloister receipt 1";

/// The external data of the signature. The document is part of it, so that every byte of a receipt counts.
fn external_data(document: &[u8]) -> Vec<u8> {
    [DOMAIN, document].concat()
}

impl Receipt {
    /// Signs the receipt. `document` is the attestation document that vouches for the key, and becomes part of the receipt.
    ///
    /// # Errors
    /// [`Error::Field`] when a claim is none that a receipt makes; [`Error::UnprotectedHeader`] when the document is empty or too long;
    /// [`Error::Crypto`].
    pub fn sign(&self, key: &SigningKey, document: &[u8]) -> Result<Vec<u8>> {
        self.check()?;
        check_document(document)?;
        let unsigned = envelope(encoding::encode(self)?, document.to_vec());
        let signature = key.sign(&unsigned.tbs_data(&external_data(document)))?;
        let bytes = to_bytes(CoseSign1 { signature, ..unsigned })?;
        check_length(&bytes)?;
        Ok(bytes)
    }
}

/// A receipt that was read and whose signature nobody has checked yet. Nothing of it is true before [`Unverified::verify`].
#[derive(Clone, Debug)]
pub struct Unverified {
    receipt: Receipt,
    document: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Unverified {
    /// Reads a receipt without verifying anything but its shape.
    ///
    /// One encoding is accepted, that of [`Receipt::sign`]: deterministic, exactly the known headers and fields, each claim within
    /// [`limits`], nothing after the end.
    ///
    /// # Errors
    /// Any of [`Error`] but [`Error::PublicKey`] and [`Error::BadSignature`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        check_length(bytes)?;
        let parts = Parts::of(bytes)?;
        let receipt = encoding::decode(&parts.payload)?;
        let envelope = envelope(parts.payload, parts.document.clone());
        let signed = envelope.tbs_data(&external_data(&parts.document));
        if to_bytes(CoseSign1 { signature: parts.signature.clone(), ..envelope })? != bytes {
            return Err(Error::NotDeterministic);
        }
        Ok(Self { receipt, document: parts.document, signed, signature: parts.signature })
    }

    /// What it claims.
    pub fn claims(&self) -> &Receipt {
        &self.receipt
    }

    /// The attestation document that it says vouches for its key.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Checks the signature, over the claims and the document, under a key given as SubjectPublicKeyInfo in DER. That the key is an
    /// enclave's is the document's to prove.
    ///
    /// Anybody can rewrite an ECDSA signature into a second valid one, so the bytes of a receipt do not identify it; its claims do.
    ///
    /// # Errors
    /// [`Error::PublicKey`], [`Error::BadSignature`].
    pub fn verify(self, public_key_der: &[u8]) -> Result<Receipt> {
        key::verify(public_key_der, &self.signed, &self.signature)?;
        Ok(self.receipt)
    }
}

/// A receipt's four parts but the protected header, which says the same in each.
struct Parts {
    document: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Result<Self> {
        let value = ciborium::de::from_reader_with_recursion_limit(bytes, limits::CBOR_DEPTH);
        let Ok(Value::Tag(TAG, parts)) = value else { return Err(Error::NotReceipt) };
        let parts = parts.into_array().ok().and_then(|parts| <[Value; 4]>::try_from(parts).ok());
        let [protected, unprotected, Value::Bytes(payload), Value::Bytes(signature)] =
            parts.ok_or(Error::NotReceipt)?
        else {
            return Err(Error::NotReceipt);
        };
        if protected.as_bytes() != Some(&protected_header()?) {
            return Err(Error::ProtectedHeader);
        }
        let document = document(unprotected).ok_or(Error::UnprotectedHeader)?;
        check_document(&document)?;
        if signature.len() != limits::SIGNATURE {
            return Err(Error::SignatureLength { bytes: signature.len() });
        }
        Ok(Self { document, payload, signature })
    }
}

/// The document, if the header has it and nothing else.
fn document(unprotected: Value) -> Option<Vec<u8>> {
    let [(label, document)] = <[_; 1]>::try_from(unprotected.into_map().ok()?).ok()?;
    document.into_bytes().ok().filter(|_| label.as_text() == Some(ATTESTATION))
}

fn envelope(payload: Vec<u8>, document: Vec<u8>) -> CoseSign1 {
    let protected =
        HeaderBuilder::new().algorithm(iana::Algorithm::ES384).content_type(CONTENT_TYPE.to_owned()).build();
    let unprotected = HeaderBuilder::new().text_value(ATTESTATION.to_owned(), Value::Bytes(document)).build();
    CoseSign1Builder::new().protected(protected).unprotected(unprotected).payload(payload).build()
}

fn protected_header() -> Result<Vec<u8>> {
    let envelope = envelope(Vec::new(), Vec::new());
    envelope.protected.cbor_bstr().ok().and_then(|header| header.into_bytes().ok()).ok_or(Error::ProtectedHeader)
}

fn to_bytes(envelope: CoseSign1) -> Result<Vec<u8>> {
    envelope.to_tagged_vec().map_err(|_| Error::NotReceipt)
}

fn check_length(bytes: &[u8]) -> Result<()> {
    if bytes.len() <= limits::RECEIPT { Ok(()) } else { Err(Error::TooLarge { bytes: bytes.len() }) }
}

fn check_document(document: &[u8]) -> Result<()> {
    if (1..=limits::DOCUMENT).contains(&document.len()) { Ok(()) } else { Err(Error::UnprotectedHeader) }
}
