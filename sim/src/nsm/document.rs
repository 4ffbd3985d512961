//! The bytes of a simulated document, in the device's order and encoding.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use ciborium::Value;
use cloister_nsm::AttestRequest;

use super::Error;
use super::chain::Chain;

/// The protected header `{1: -35}`, ES384.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];

/// A payload's fields: names and values, in the order in which they are written.
pub type Payload = Vec<(Value, Value)>;

/// The payload's entries in the order in which the device writes them.
pub(super) fn payload(
    module_id: &str,
    now: SystemTime,
    pcrs: &BTreeMap<u16, [u8; 48]>,
    chain: &Chain,
    request: &AttestRequest,
) -> Result<Payload, Error> {
    let millis = now.duration_since(UNIX_EPOCH).map_err(|_| Error::Signing)?.as_millis();
    let millis = u64::try_from(millis).map_err(|_| Error::Signing)?;
    let pcrs = pcrs.iter().map(|(index, value)| (Value::from(*index), Value::Bytes(value.to_vec())));
    let bundle = chain.bundle.iter().map(|der| Value::Bytes(der.clone()));
    let optional = |value: &Option<Vec<u8>>| value.clone().map_or(Value::Null, Value::Bytes);
    let fields = [
        ("module_id", Value::from(module_id)),
        ("digest", Value::from("SHA384")),
        ("timestamp", Value::from(millis)),
        ("pcrs", Value::Map(pcrs.collect())),
        ("certificate", Value::Bytes(chain.leaf.clone())),
        ("cabundle", Value::Array(bundle.collect())),
        ("public_key", optional(&request.public_key)),
        ("user_data", optional(&request.user_data)),
        ("nonce", optional(&request.nonce)),
    ];
    Ok(fields.into_iter().map(|(name, value)| (Value::from(name), value)).collect())
}

/// Signs a payload as COSE_Sign1 (RFC 9052, section 4), untagged.
pub(super) fn sign(payload: Payload, chain: &Chain) -> Result<Vec<u8>, Error> {
    let payload = encode(&Value::Map(payload))?;
    let covered = encode(&Value::Array(vec![
        Value::from("Signature1"),
        Value::Bytes(PROTECTED.to_vec()),
        Value::Bytes(Vec::new()),
        Value::Bytes(payload.clone()),
    ]))?;
    let signature = chain.key.sign(&SystemRandom::new(), &covered).map_err(|_| Error::Signing)?;
    encode(&Value::Array(vec![
        Value::Bytes(PROTECTED.to_vec()),
        Value::Map(Vec::new()),
        Value::Bytes(payload),
        Value::Bytes(signature.as_ref().to_vec()),
    ]))
}

pub(super) fn encode(value: &Value) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| Error::Signing)?;
    Ok(bytes)
}
