//! What stands before the content: magic, version, and a header in deterministic CBOR.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use ciborium::Value;

use crate::error::{Error, Result};
use crate::limits;

/// The first bytes of a sealed file. The first one is not ASCII, and a text transfer would alter the line end.
const MAGIC: [u8; 8] = *b"\x89CLSEAL\n";

/// The format's version.
const VERSION: u8 = 1;

/// Magic, version and the header's length: before the header itself.
const PREAMBLE: usize = MAGIC.len() + 1 + 4;

/// Deepest nesting of the header: the context's map in the header's.
const CBOR_DEPTH: usize = 4;

/// What a file was sealed for. One purpose cannot be opened as another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A model package.
    Model,
    /// A patient's image.
    Image,
    /// A result.
    Result,
}

impl Purpose {
    const ALL: [Self; 3] = [Self::Model, Self::Image, Self::Result];

    /// Its name in the header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Image => "image",
            Self::Result => "result",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The header: readable by anyone, authenticated together with every chunk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    /// What the file was sealed for.
    pub purpose: Purpose,
    /// The KMS key that wraps the data key, as an ARN. Up to [`limits::KEY_ARN`] bytes.
    pub key_arn: String,
    /// The data key as KMS wrapped it. Up to [`limits::WRAPPED_KEY`] bytes.
    pub wrapped_key: Vec<u8>,
    /// KMS's encryption context, without which the data key does not come out.
    pub context: BTreeMap<String, String>,
    /// Bytes of content in each chunk but the last.
    pub chunk_size: u32,
    /// What a result's own key is derived with from the data key; none in a file of another purpose.
    pub salt: Option<[u8; limits::SALT]>,
}

impl Header {
    /// The header of a result that belongs to this image: the same data key, and a fresh salt, so that the result has a key of its own.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system gives no random bytes.
    pub fn of_result(&self) -> Result<Self> {
        let mut salt = [0; limits::SALT];
        aws_lc_rs::rand::fill(&mut salt).map_err(|_| Error::Crypto)?;
        Ok(Self { purpose: Purpose::Result, salt: Some(salt), ..self.clone() })
    }

    /// Refuses what the format cannot hold.
    pub(crate) fn check(&self) -> Result<()> {
        within("key ARN's length", self.key_arn.len(), 1, limits::KEY_ARN)?;
        within("wrapped key's length", self.wrapped_key.len(), 1, limits::WRAPPED_KEY)?;
        within("context's number of entries", self.context.len(), 0, limits::CONTEXT_ENTRIES)?;
        let context = self.context.iter().map(|(name, value)| name.len() + value.len()).sum();
        within("context's length", context, 0, limits::CONTEXT)?;
        let chunk = usize::try_from(self.chunk_size).unwrap_or(usize::MAX);
        within("chunk size", chunk, limits::SMALLEST_CHUNK as usize, limits::LARGEST_CHUNK as usize)?;
        let salted = usize::from(self.purpose == Purpose::Result) * limits::SALT;
        within("salt's length", self.salt.map_or(0, |salt| salt.len()), salted, salted)
    }

    /// Magic, version, length and header.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut context: Vec<_> = self.context.iter().collect();
        // Deterministic CBOR orders keys by their encoded bytes (RFC 8949, section 4.2.1): shorter ones first.
        context.sort_by_key(|(name, _)| (name.len(), name.as_bytes()));
        let context = context.into_iter().map(|(name, value)| (text(name), text(value)));
        let salt = self.salt.map(|salt| ("salt", Value::Bytes(salt.to_vec())));
        let entries = [
            ("chunk", Value::from(self.chunk_size)),
            ("context", Value::Map(context.collect())),
            ("key_arn", text(&self.key_arn)),
            ("purpose", text(self.purpose.as_str())),
            ("wrapped_key", Value::Bytes(self.wrapped_key.clone())),
        ];
        let entries = salt.into_iter().chain(entries);
        let map = Value::Map(entries.map(|(key, value)| (text(key), value)).collect());
        let mut cbor = Vec::new();
        ciborium::into_writer(&map, &mut cbor).map_err(|_| Error::Header)?;
        within("header", cbor.len(), 0, limits::HEADER)?;
        let length = u32::try_from(cbor.len()).map_err(|_| Error::Header)?;
        Ok([&MAGIC[..], &[VERSION], &length.to_be_bytes(), &cbor].concat())
    }

    /// Whether these are a sealed file's first bytes.
    pub(crate) fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// Reads a header and returns it with the bytes it was read from. Only what [`Header::encode`] writes is accepted.
    pub(crate) fn read(reader: &mut impl Read) -> Result<(Self, Vec<u8>)> {
        let mut preamble = [0; PREAMBLE];
        let magic = fill(reader, &mut preamble)?;
        if !preamble[..magic].starts_with(&MAGIC) {
            return Err(Error::NotSealed);
        }
        let [.., version, a, b, c, d] = preamble;
        match (magic, version) {
            (PREAMBLE, VERSION) => {}
            (PREAMBLE, other) => return Err(Error::Version(other)),
            _ => return Err(Error::Truncated),
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Error::Header)?;
        within("header", length, 1, limits::HEADER)?;
        let mut bytes = vec![0; PREAMBLE + length];
        bytes[..PREAMBLE].copy_from_slice(&preamble);
        if fill(reader, &mut bytes[PREAMBLE..])? < length {
            return Err(Error::Truncated);
        }
        let header = Self::decode(&bytes[PREAMBLE..])?;
        header.check()?;
        if header.encode()? != bytes {
            return Err(Error::Header);
        }
        Ok((header, bytes))
    }

    /// Takes the fields out of the CBOR, leaving it to the caller to compare with the one accepted encoding.
    fn decode(cbor: &[u8]) -> Result<Self> {
        let value: Value =
            ciborium::de::from_reader_with_recursion_limit(cbor, CBOR_DEPTH).map_err(|_| Error::Header)?;
        let Value::Map(mut entries) = value else { return Err(Error::Header) };
        let mut take = |name: &str| {
            let position = entries.iter().position(|(key, _)| key.as_text() == Some(name));
            position.map(|position| entries.swap_remove(position).1).ok_or(Error::Header)
        };
        let purpose = take("purpose")?;
        let purpose = Purpose::ALL.into_iter().find(|known| purpose.as_text() == Some(known.as_str()));
        let pairs = take("context")?.into_map().map_err(|_| Error::Header)?;
        let pairs = pairs.into_iter().map(|(name, value)| Some((name.into_text().ok()?, value.into_text().ok()?)));
        let chunk_size = take("chunk")?.into_integer().map_err(|_| Error::Header)?;
        let salt = take("salt").ok().map(|salt| salt.as_bytes().and_then(|salt| salt.as_slice().try_into().ok()));
        Ok(Self {
            salt: salt.map(|salt| salt.ok_or(Error::Header)).transpose()?,
            purpose: purpose.ok_or(Error::Header)?,
            key_arn: take("key_arn")?.into_text().map_err(|_| Error::Header)?,
            wrapped_key: take("wrapped_key")?.into_bytes().map_err(|_| Error::Header)?,
            context: pairs.collect::<Option<_>>().ok_or(Error::Header)?,
            chunk_size: u32::try_from(chunk_size).map_err(|_| Error::Header)?,
        })
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn within(part: &'static str, size: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&size) { Ok(()) } else { Err(Error::Limit { part, size, least, most }) }
}

/// Reads until `buffer` is full or the stream ends, and says how much was read.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Io(error)),
        }
    }
    Ok(filled)
}
