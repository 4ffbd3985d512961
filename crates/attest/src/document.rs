//! The attestation document's bytes: COSE_Sign1 around a map of nine fields (AWS, "Verifying the root of trust").

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ciborium::Value;

use crate::cbor::{self, Fault};
use crate::chain::{self, CertificateSummary};
use crate::error::{Error, Result};
use crate::limits;

/// An array of four, untagged: the head of every document.
const SIGN1_HEAD: u8 = 0x84;

/// The protected header, `{1: -35}`: algorithm ES384.
pub(crate) const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// The fields of the payload, all of them present, absent values being null.
const FIELDS: [&str; 9] =
    ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "public_key", "user_data", "nonce"];

/// What an attestation document says. Nothing of it is true before [`crate::verify`] has returned it as a
/// [`crate::Verified`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// The module that signed: `i-<instance>-enc<enclave>` on AWS.
    pub module_id: String,
    /// The hash function of the PCRs, always `SHA384`.
    pub digest: String,
    /// When it was signed, by the hypervisor's clock, to the millisecond.
    pub timestamp: SystemTime,
    /// The locked PCRs by number, 48 bytes each.
    pub pcrs: BTreeMap<u16, Vec<u8>>,
    /// The leaf certificate, whose key signed the document. DER.
    pub certificate: Vec<u8>,
    /// The certificates above the leaf, the root first. DER.
    pub cabundle: Vec<Vec<u8>>,
    /// A key that the enclave wants to be answered under: for AWS KMS an RSA SubjectPublicKeyInfo in DER.
    pub public_key: Option<Vec<u8>>,
    /// What else the enclave had vouched for: here a [`crate::Binding`].
    pub user_data: Option<Vec<u8>>,
    /// The nonce that the document was asked for with.
    pub nonce: Option<Vec<u8>>,
}

impl Document {
    /// The chain as it stands in the document, root first and leaf last, for showing to a person.
    pub fn chain(&self) -> Result<Vec<CertificateSummary>> {
        chain::summaries(self)
    }

    /// When the certificate that signed it ends.
    pub fn certificate_ends(&self) -> Result<SystemTime> {
        #[cfg(feature = "emulator")]
        if let Some(ends) = crate::emulator::ends(self) {
            return Ok(ends);
        }
        chain::leaf_ends(self)
    }
}

/// The parts that the signature covers, and the signature.
pub(crate) struct Signed {
    pub(crate) payload: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Reads a document without verifying anything but its shape.
///
/// One encoding is accepted, the device's: untagged COSE_Sign1, protected header exactly `{1: -35}`, empty unprotected
/// header, a payload of exactly nine fields, shortest forms, definite lengths, nothing after the end; each field within
/// [`limits`].
pub fn parse(document: &[u8]) -> Result<Document> {
    parse_signed(document).map(|(document, _)| document)
}

pub(crate) fn parse_signed(document: &[u8]) -> Result<(Document, Signed)> {
    if document.len() > limits::DOCUMENT {
        return Err(Error::TooLarge { bytes: document.len(), limit: limits::DOCUMENT });
    }
    if document.first() != Some(&SIGN1_HEAD) {
        return Err(Error::NotSign1);
    }
    let signed = parse_envelope(cbor::decode(document, limits::CBOR_DEPTH).map_err(|fault| shape(fault, "document"))?)?;
    let payload = cbor::decode(&signed.payload, limits::CBOR_DEPTH).map_err(|fault| shape(fault, "payload"))?;
    Ok((Fields::new(payload)?.into_document()?, signed))
}

fn shape(fault: Fault, part: &'static str) -> Error {
    match fault {
        Fault::Invalid => Error::NotCbor { part },
        Fault::Trailing => Error::TrailingBytes { part },
        Fault::NotCanonical => Error::NotCanonical { part },
    }
}

fn parse_envelope(value: Value) -> Result<Signed> {
    let Value::Array(parts) = value else { return Err(Error::NotSign1) };
    let Ok([protected, unprotected, payload, signature]) = <[Value; 4]>::try_from(parts) else {
        return Err(Error::NotSign1);
    };
    if unprotected.as_map().map(Vec::len) != Some(0) {
        return Err(Error::UnprotectedHeader);
    }
    let (Value::Bytes(payload), Value::Bytes(signature)) = (payload, signature) else { return Err(Error::NotSign1) };
    #[cfg(feature = "emulator")]
    if crate::emulator::is_blank(protected.as_bytes().map(Vec::as_slice), &signature) {
        return Ok(Signed { payload, signature });
    }
    if protected.as_bytes().map(Vec::as_slice) != Some(&PROTECTED) {
        return Err(Error::ProtectedHeader);
    }
    if signature.len() != limits::SIGNATURE {
        return Err(Error::SignatureLength { bytes: signature.len() });
    }
    Ok(Signed { payload, signature })
}

/// The payload's values, each under its name until it is taken.
struct Fields(BTreeMap<&'static str, Value>);

impl Fields {
    fn new(payload: Value) -> Result<Self> {
        let Value::Map(entries) = payload else { return Err(Error::WrongType { field: "payload" }) };
        let mut fields = BTreeMap::new();
        for (key, value) in entries {
            let name = key.as_text().and_then(|key| FIELDS.into_iter().find(|field| *field == key));
            let name = name.ok_or(Error::UnknownField)?;
            if fields.insert(name, value).is_some() {
                return Err(Error::DuplicateField { field: name });
            }
        }
        match FIELDS.into_iter().find(|field| !fields.contains_key(field)) {
            Some(field) => Err(Error::MissingField { field }),
            None => Ok(Self(fields)),
        }
    }

    fn into_document(mut self) -> Result<Document> {
        Ok(Document {
            module_id: self.module_id()?,
            digest: self.digest()?,
            timestamp: self.timestamp()?,
            pcrs: self.pcrs()?,
            certificate: bytes("certificate", self.take("certificate")?, 1, limits::CERTIFICATE)?,
            cabundle: self.cabundle()?,
            public_key: self.optional("public_key", 1, limits::PUBLIC_KEY)?,
            user_data: self.optional("user_data", 0, limits::USER_DATA)?,
            nonce: self.optional("nonce", 0, limits::NONCE)?,
        })
    }

    fn take(&mut self, field: &'static str) -> Result<Value> {
        self.0.remove(field).ok_or(Error::MissingField { field })
    }

    fn optional(&mut self, field: &'static str, least: usize, most: usize) -> Result<Option<Vec<u8>>> {
        match self.take(field)? {
            Value::Null => Ok(None),
            value => bytes(field, value, least, most).map(Some),
        }
    }

    fn module_id(&mut self) -> Result<String> {
        let field = "module_id";
        let Value::Text(text) = self.take(field)? else { return Err(Error::WrongType { field }) };
        within(field, text.len(), 1, limits::MODULE_ID)?;
        Ok(text)
    }

    fn digest(&mut self) -> Result<String> {
        let Value::Text(name) = self.take("digest")? else { return Err(Error::WrongType { field: "digest" }) };
        if name == "SHA384" { Ok(name) } else { Err(Error::UnknownDigest) }
    }

    fn timestamp(&mut self) -> Result<SystemTime> {
        let Value::Integer(number) = self.take("timestamp")? else {
            return Err(Error::WrongType { field: "timestamp" });
        };
        let millis = u64::try_from(number).map_err(|_| Error::TimestampRange)?;
        if !(1..=limits::LATEST_TIMESTAMP_MS).contains(&millis) {
            return Err(Error::TimestampRange);
        }
        UNIX_EPOCH.checked_add(Duration::from_millis(millis)).ok_or(Error::TimestampRange)
    }

    fn pcrs(&mut self) -> Result<BTreeMap<u16, Vec<u8>>> {
        let Value::Map(entries) = self.take("pcrs")? else { return Err(Error::WrongType { field: "pcrs" }) };
        let mut pcrs = BTreeMap::new();
        for (key, value) in entries {
            let index = key.as_integer().and_then(|index| u16::try_from(index).ok());
            let index = index.filter(|index| *index < limits::PCRS).ok_or(Error::PcrNumber)?;
            let value = bytes("pcrs", value, limits::PCR, limits::PCR)?;
            if pcrs.insert(index, value).is_some() {
                return Err(Error::DuplicatePcr { index });
            }
        }
        Ok(pcrs)
    }

    fn cabundle(&mut self) -> Result<Vec<Vec<u8>>> {
        let field = "cabundle";
        let Value::Array(certificates) = self.take(field)? else { return Err(Error::WrongType { field }) };
        if !(1..=limits::BUNDLE).contains(&certificates.len()) {
            return Err(Error::BundleLength { certificates: certificates.len() });
        }
        certificates.into_iter().map(|value| bytes(field, value, 1, limits::CERTIFICATE)).collect()
    }
}

fn bytes(field: &'static str, value: Value, least: usize, most: usize) -> Result<Vec<u8>> {
    let Value::Bytes(bytes) = value else { return Err(Error::WrongType { field }) };
    within(field, bytes.len(), least, most)?;
    Ok(bytes)
}

fn within(field: &'static str, bytes: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&bytes) { Ok(()) } else { Err(Error::FieldSize { field, bytes, least, most }) }
}
