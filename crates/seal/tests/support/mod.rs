//! What the tests of the format seal, and under which key.

use std::collections::BTreeMap;

use cloister_seal::{DataKey, Header, Purpose};

pub(crate) fn header() -> Header {
    Header {
        purpose: Purpose::Model,
        key_arn: "arn:aws:kms:eu-west-1:111122223333:key/1234".into(),
        wrapped_key: vec![0xab; 184],
        context: BTreeMap::from([("model".into(), "a model".into()), ("digest".into(), "00ff".into())]),
        chunk_size: 64,
        salt: None,
    }
}

pub(crate) fn key() -> DataKey {
    DataKey::new([0x42; 32])
}

pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}
