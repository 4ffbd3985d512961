//! A policy's file: TOML to [`Policy`] and back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::PolicyError;
use crate::limits;
use crate::pcr::parse_index;
use crate::policy::{Measurement, Policy};
use crate::root::Root;
use crate::verify::rfc3339;

/// The version that this crate writes and reads.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    root: String,
    #[serde(default = "default_max_age")]
    max_age_seconds: u64,
    #[serde(default = "default_skew")]
    skew_seconds: u64,
    accept: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    label: String,
    until: Option<String>,
    pcrs: BTreeMap<String, String>,
}

fn default_max_age() -> u64 {
    limits::DEFAULT_MAX_AGE.as_secs()
}

fn default_skew() -> u64 {
    limits::CLOCK_SKEW.as_secs()
}

impl Policy {
    /// Reads a policy file. Unknown keys are refused: a misspelt condition must not be a condition less.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        if text.len() > limits::POLICY {
            return Err(PolicyError::TooLarge { bytes: text.len(), limit: limits::POLICY });
        }
        let file: File =
            toml::from_str(text).map_err(|error| PolicyError::Toml(error.to_string().trim_end().into()))?;
        if file.version != VERSION {
            return Err(PolicyError::Version(file.version));
        }
        let root = Root::from_text(&file.root)?;
        let accept = file.accept.into_iter().map(Entry::into_measurement).collect::<Result<_, _>>()?;
        Self::new(root, Duration::from_secs(file.max_age_seconds), accept)?
            .with_skew(Duration::from_secs(file.skew_seconds))
    }

    /// Writes the policy as a file that [`Policy::from_toml`] reads.
    pub fn to_toml(&self) -> String {
        let root = match self.root().to_text() {
            // Base64 and dashes need no escape.
            pem if pem.contains('\n') => format!("\"\"\"\n{pem}\"\"\""),
            name => quoted(&name),
        };
        let (max_age, skew) = (self.max_age().as_secs(), self.skew().as_secs());
        let mut file =
            format!("version = {VERSION}\nroot = {root}\nmax_age_seconds = {max_age}\nskew_seconds = {skew}\n");
        for entry in self.accept() {
            file.push_str(&format!("\n[[accept]]\nlabel = {}\n", quoted(&entry.label)));
            if let Some(until) = entry.until {
                file.push_str(&format!("until = {}\n", quoted(&rfc3339(until))));
            }
            file.push_str("[accept.pcrs]\n");
            for (index, value) in &entry.pcrs {
                file.push_str(&format!("{index} = {}\n", quoted(&hex::encode(value))));
            }
        }
        file
    }
}

/// A TOML string, with its escapes.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Entry {
    fn into_measurement(self) -> Result<Measurement, PolicyError> {
        let Self { label, until, pcrs } = self;
        let until = match until.as_deref().map(parse_time) {
            None => None,
            Some(Some(time)) => Some(time),
            Some(None) => return Err(PolicyError::Until { label }),
        };
        let mut values = BTreeMap::new();
        for (key, value) in pcrs {
            let Some(index) = parse_index(&key) else { return Err(PolicyError::PcrNumber { label, key }) };
            let mut bytes = [0; limits::PCR];
            if hex::decode_to_slice(&value, &mut bytes).is_err() {
                return Err(PolicyError::PcrValue { label, index });
            }
            values.insert(index, bytes);
        }
        Ok(Measurement { label, until, pcrs: values })
    }
}

fn parse_time(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(SystemTime::from)
}
