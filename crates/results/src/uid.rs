//! Unique identifiers: those of source files, and new ones.

use std::fmt;

use crate::{Error, Result, Rule, limits};

/// A unique identifier (PS3.5, section 9). It identifies a patient's image, and prints nothing by itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

impl Uid {
    /// An identifier as a file has it, without the padding.
    ///
    /// # Errors
    /// [`Error::Value`] where it is not 1 to 64 characters of numbers without leading zeros, the first of them 0, 1 or 2, with dots between.
    pub fn new(value: &str) -> Result<Self> {
        check("UID", value)?;
        Ok(Self(value.to_owned()))
    }

    /// A new identifier (PS3.5, B.2): `2.25.` and the number that a random UUID (RFC 9562, version 4) is.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self::uuid(bytes, 4)
    }

    /// The identifier that a digest gives (RFC 9562, version 8): the same for the same.
    pub(crate) fn of_digest(digest: &[u8; 48]) -> Self {
        let mut bytes = [0; 16];
        for (byte, from) in bytes.iter_mut().zip(digest) {
            *byte = *from;
        }
        Self::uuid(bytes, 8)
    }

    fn uuid(bytes: [u8; 16], version: u128) -> Self {
        const VERSION: u128 = 0xF << 76;
        const VARIANT: u128 = 0b11 << 62;
        let number = u128::from_be_bytes(bytes) & !(VERSION | VARIANT) | version << 76 | 0b10 << 62;
        Self(format!("2.25.{number}"))
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Uid(..)")
    }
}

/// Refuses what is no unique identifier.
pub(crate) fn check(attribute: &'static str, value: &str) -> Result<()> {
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    // The roots that ISO/IEC 9834-1 has.
    let rooted = matches!(value.split_once('.'), Some(("0" | "1" | "2", _)));
    let rule = match value.len() {
        0 => Rule::Empty,
        length if length > limits::UID => Rule::TooLong(limits::UID),
        _ if !rooted || !value.split('.').all(number) => Rule::Uid,
        _ => return Ok(()),
    };
    Err(Error::Value { attribute, rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_identifier_is_a_uuid_of_version_4() {
        assert_eq!(Uid::random([0; 16]).as_str(), "2.25.302240678275694148452352");
        assert_eq!(Uid::random([0xFF; 16]).as_str(), "2.25.340282366920937632322261936355783213055");
        assert!(Uid::random([0xFF; 16]).as_str().len() <= limits::UID);
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for (value, rule) in [
            ("", Rule::Empty),
            ("1..2", Rule::Uid),
            ("1.02", Rule::Uid),
            ("1.2.", Rule::Uid),
            ("1.a", Rule::Uid),
            ("1.2 ", Rule::Uid),
            ("1", Rule::Uid),
            ("3.1", Rule::Uid),
        ] {
            assert_eq!(Uid::new(value), Err(Error::Value { attribute: "UID", rule }), "{value}");
        }
        assert_eq!(Uid::new(&"1".repeat(65)), Err(Error::Value { attribute: "UID", rule: Rule::TooLong(64) }));
        assert!(Uid::new(&format!("1.{}", "1".repeat(62))).is_ok() && Uid::new("1.0.10").is_ok());
    }
}
