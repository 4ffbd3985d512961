//! Text that may leave: put together from what stands in the program, from numbers, and from what is measured.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::time::Duration;

use cloister_imaging::View;
use cloister_nsm::Nsm;
use cloister_seal::Purpose;
use http::StatusCode;
use serde::Serialize;

use super::record::Place;
use crate::config::{Config, Setting};
use crate::limits;

/// Text that may leave the enclave. It grows by the types of a closed list alone, so there is no `From<String>`, and an error of
/// another crate gets in by a `match` over its variants ([`super::Disclose`]), never by its own message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Words(Cow<'static, str>);

/// Puts [`Words`] together from literals and values.
macro_rules! words {
    ($($part:expr),+ $(,)?) => {{
        let mut words = $crate::disclose::Words::default();
        $(words.add($part);)+
        words
    }};
}
pub(crate) use words;

impl Words {
    /// What the program says, word for word.
    pub const fn of(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Goes on with a value of the closed list.
    pub fn add(&mut self, part: impl Part) {
        part.append(self);
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push(&mut self, text: &str) {
        let words = self.0.to_mut();
        let fitting = text.floor_char_boundary(limits::MAX_WORDS_BYTES.saturating_sub(words.len()));
        words.push_str(&text[..fitting]);
    }

    /// What the measured configuration says, cut as all words are.
    fn measured(text: &str) -> Self {
        let mut words = Self::default();
        words.push(text);
        words
    }

    /// The name of the model that the measured configuration asks for.
    pub fn model(config: &Config) -> Self {
        Self::measured(&config.model.name)
    }

    /// The keys that the measured configuration names.
    pub fn model_keys(config: &Config) -> Self {
        Self::measured(&config.model.key_arns.join(", "))
    }

    /// A key as the measured configuration writes it; nothing of `arn` itself is said.
    pub fn key(config: &Config, arn: &str) -> Self {
        let mut listed = config.model.key_arns.iter().chain(&config.data.key_arns);
        let listed = listed.find(|listed| *listed == arn);
        listed.map_or(Self::of("a key that the measured configuration does not name"), |key| Self::measured(key))
    }

    /// Where the measured configuration says to listen.
    pub fn listening_address(config: &Config) -> Self {
        Self::measured(&config.serve.listen.to_string())
    }

    /// The name of a setting that the parent sent, back to the parent: the one text from outside that is said again. It is said only
    /// where it is plain, so that it can forge nothing in a log.
    pub(crate) fn setting_of_the_parent(name: &str) -> Self {
        let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if (1..=limits::MAX_SETTING_NAME_BYTES).contains(&name.len()) && plain(name) {
            Self::measured(name)
        } else {
            Self::of("a setting whose name is not plain")
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A PCR of this very enclave, which can only be had by asking the security module.
#[derive(Clone, Copy)]
pub struct Pcr {
    index: u16,
    value: [u8; 48],
}

impl Pcr {
    /// Asks for it; none where the module has none, or where it is still zero.
    pub fn read(nsm: &dyn Nsm, index: u16) -> Option<Self> {
        let value: [u8; 48] = nsm.describe_pcr(index).ok()?.value.as_slice().try_into().ok()?;
        value.iter().any(|&byte| byte != 0).then_some(Self { index, value })
    }
}

mod closed {
    /// Only this module's parent can implement it.
    pub trait Append {
        fn append(self, words: &mut super::Words);
    }
}

/// A value that [`Words`] may hold. Nobody outside of this module can add to the list.
pub trait Part: closed::Append {}

impl<T: closed::Append> Part for T {}

macro_rules! parts {
    ($($(#[$why:meta])* $type:ty: |$value:ident| $text:expr;)+) => {
        $($(#[$why])* impl closed::Append for $type {
            fn append(self, words: &mut Words) {
                let $value = self;
                words.push($text);
            }
        })+
    };
}

parts! {
    &'static str: |text| text;
    &Words: |words| &words.0;
    Words: |words| &words.0;
    u8: |number| &number.to_string();
    u16: |number| &number.to_string();
    u32: |number| &number.to_string();
    u64: |number| &number.to_string();
    usize: |number| &number.to_string();
    Duration: |time| &format!("{time:?}");
    StatusCode: |status| status.as_str();
    View: |view| view.as_str();
    Purpose: |purpose| purpose.as_str();
    Setting: |setting| setting.name();
    Pcr: |pcr| &format!("PCR{} {}", pcr.index, hex::encode(pcr.value));
    &Place: |place| &format!("{}:{}", place.file, place.line);
    io::ErrorKind: |kind| &kind.to_string();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_put_together_from_literals_and_numbers() {
        let words = words!["version ", 3_u32, ", ", Duration::from_secs(2), ", ", io::ErrorKind::NotFound];
        assert_eq!(words.as_str(), "version 3, 2s, entity not found");
        assert_eq!(serde_json::to_string(&words).unwrap(), "\"version 3, 2s, entity not found\"");
    }

    #[test]
    fn words_are_cut_before_they_are_long() {
        let mut words = Words::of("é");
        for _ in 0..limits::MAX_WORDS_BYTES {
            words.add("é");
        }
        assert!(words.as_str().len() <= limits::MAX_WORDS_BYTES);
        assert!(words.as_str().len() > limits::MAX_WORDS_BYTES - 2);
    }

    #[test]
    fn a_setting_is_said_again_only_where_its_name_is_plain() {
        assert_eq!(Words::setting_of_the_parent("debug_shell").as_str(), "debug_shell");
        let long = "x".repeat(33);
        for name in ["", "Debug", "debug shell", "debug\nforged", "é", long.as_str()] {
            assert_eq!(Words::setting_of_the_parent(name).as_str(), "a setting whose name is not plain", "{name:?}");
        }
    }
}
