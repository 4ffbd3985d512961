//! Data sets in explicit VR little endian (PS3.5, annex A.2), and the files around them (PS3.10, section 7).

use std::collections::BTreeMap;

use crate::attribute::Attribute;
use crate::value;
use crate::{Error, Result, Rule, Uid};

/// Explicit VR little endian (PS3.6, annex A).
const TRANSFER_SYNTAX: &str = "1.2.840.10008.1.2.1";

/// Names this program as the writer (PS3.7, D.3.3.2), by a UUID that was drawn for it once.
const IMPLEMENTATION_CLASS: &str = "2.25.302598279196430240724342232906912130111";

const IMPLEMENTATION_VERSION: &str = concat!("CLOISTER_", env!("CARGO_PKG_VERSION"));

const PREAMBLE: [u8; 128] = [0; 128];
const PREFIX: &[u8] = b"DICM";

/// The tag of an item of a sequence (PS3.5, 7.5).
const ITEM: u32 = 0xFFFE_E000;

enum Value {
    Bytes(Vec<u8>),
    Items(Vec<DataSet>),
}

/// Elements by tag, so that they are written in order (PS3.5, 7.1).
#[derive(Default)]
pub(crate) struct DataSet(BTreeMap<u32, (Attribute, Value)>);

impl DataSet {
    /// A value in characters; nothing is an empty element (type 2, PS3.5, 7.4.3).
    pub(crate) fn text(&mut self, attribute: Attribute, text: &str) -> Result<()> {
        value::check(attribute.keyword, attribute.vr, text)?;
        self.bytes(attribute, text.as_bytes().to_vec());
        Ok(())
    }

    /// A value in characters that has to say something (type 1, PS3.5, 7.4.1).
    pub(crate) fn required(&mut self, attribute: Attribute, text: &str) -> Result<()> {
        if text.trim().is_empty() {
            return Err(Error::Value { attribute: attribute.keyword, rule: Rule::Empty });
        }
        self.text(attribute, text)
    }

    /// Several values in characters (PS3.5, 6.4).
    pub(crate) fn texts(&mut self, attribute: Attribute, texts: &[&str]) -> Result<()> {
        texts.iter().try_for_each(|text| value::check(attribute.keyword, attribute.vr, text))?;
        self.bytes(attribute, texts.join("\\").into_bytes());
        Ok(())
    }

    /// A unique identifier, which is one by its type.
    pub(crate) fn uid(&mut self, attribute: Attribute, uid: &Uid) {
        self.bytes(attribute, uid.as_str().as_bytes().to_vec());
    }

    /// A number of two bytes.
    pub(crate) fn short(&mut self, attribute: Attribute, number: u16) {
        self.bytes(attribute, number.to_le_bytes().to_vec());
    }

    /// Numbers of four bytes.
    pub(crate) fn longs(&mut self, attribute: Attribute, numbers: &[u32]) {
        self.bytes(attribute, numbers.iter().flat_map(|number| number.to_le_bytes()).collect());
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, attribute: Attribute, mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(attribute.vr.padding());
        }
        self.0.insert(attribute.tag, (attribute, Value::Bytes(bytes)));
    }

    /// A sequence.
    pub(crate) fn items(&mut self, attribute: Attribute, items: Vec<Self>) {
        self.0.insert(attribute.tag, (attribute, Value::Items(items)));
    }

    /// The data set as a file.
    pub(crate) fn file(&self, class: &str, instance: &Uid) -> Result<Vec<u8>> {
        let mut meta = Self::default();
        meta.bytes(Attribute::META_VERSION, vec![0, 1]);
        meta.text(Attribute::MEDIA_SOP_CLASS, class)?;
        meta.uid(Attribute::MEDIA_SOP_INSTANCE, instance);
        meta.text(Attribute::TRANSFER_SYNTAX, TRANSFER_SYNTAX)?;
        meta.text(Attribute::IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS)?;
        meta.text(Attribute::IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION)?;
        let meta = meta.encoded()?;
        let mut group = Self::default();
        group.longs(Attribute::META_LENGTH, &[length(Attribute::META_LENGTH, &meta)?]);
        let mut file = [&PREAMBLE[..], PREFIX, &group.encoded()?, &meta].concat();
        self.encode(&mut file)?;
        Ok(file)
    }

    fn encoded(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.encode(&mut out)?;
        Ok(out)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        for (attribute, value) in self.0.values() {
            let items;
            let bytes = match value {
                Value::Bytes(bytes) => bytes,
                Value::Items(list) => {
                    items = encoded_items(*attribute, list)?;
                    &items
                }
            };
            let length: u32 = length(*attribute, bytes)?;
            out.extend(tag_bytes(attribute.tag));
            out.extend(attribute.vr.letters());
            if attribute.vr.is_long() {
                out.extend([0, 0]);
                out.extend(length.to_le_bytes());
            } else {
                out.extend(u16::try_from(length).map_err(|_| too_long(*attribute, u16::MAX.into()))?.to_le_bytes());
            }
            out.extend(bytes);
        }
        Ok(())
    }
}

fn encoded_items(sequence: Attribute, items: &[DataSet]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for item in items {
        let bytes = item.encoded()?;
        out.extend(tag_bytes(ITEM));
        out.extend(length(sequence, &bytes)?.to_le_bytes());
        out.extend(bytes);
    }
    Ok(out)
}

/// A length in bytes. All ones would say that there is none (PS3.5, 7.1.2).
fn length(attribute: Attribute, bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len()).ok().filter(|length| *length < u32::MAX).ok_or(too_long(attribute, u32::MAX))
}

fn too_long(attribute: Attribute, most: u32) -> Error {
    Error::Value { attribute: attribute.keyword, rule: Rule::TooLong(most as usize) }
}

fn tag_bytes(tag: u32) -> [u8; 4] {
    // Group, then element, little endian each.
    tag.rotate_left(16).to_le_bytes()
}
