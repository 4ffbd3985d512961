//! The measurements of an image in a file: `{"Measurements": {"HashAlgorithm": …, "PCR0": …, "PCR1": …, "PCR2": …, "PCR8"?: …}}`, as
//! `nitro-cli build-enclave` and `nitro-cli describe-eif` print them.

use std::collections::BTreeMap;

use cloister_attest::parse_pcr;
use serde_json::Value;

use super::Pcrs;

/// How the file names the hash, whatever stands behind it: SHA-384, and SHA-512 cut to its 48 bytes, as newer tools say for the same.
const ALGORITHMS: [&str; 2] = ["Sha384", "Sha512_48"];

/// Reads the file. What stands beside `Measurements` is no measurement, and is passed over.
pub fn parse(json: &[u8]) -> Result<Pcrs, String> {
    const SHAPE: &str = "not measurements as nitro-cli prints them: {\"Measurements\": {\"PCR0\": …}}";
    let file: BTreeMap<String, Value> = serde_json::from_slice(json).map_err(|_| SHAPE.to_owned())?;
    let measurements = file.get("Measurements").and_then(Value::as_object).ok_or(SHAPE)?;
    let mut pcrs = Pcrs::new();
    for (name, value) in measurements {
        let value = value.as_str().ok_or(SHAPE)?;
        if name == "HashAlgorithm" {
            if !ALGORITHMS.iter().any(|name| value.starts_with(name)) {
                return Err(format!("the hash algorithm is not {}, which PCRs are made with", ALGORITHMS[0]));
            }
            continue;
        }
        let index = name.strip_prefix("PCR").ok_or_else(|| format!("{name:?} is no measurement"))?;
        let (index, value) = parse_pcr(&format!("{index}={value}")).map_err(|error| format!("{name}: {error}"))?;
        pcrs.insert(index, value);
    }
    if pcrs.is_empty() { Err("there are no measurements in it".to_owned()) } else { Ok(pcrs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nitro_cli_prints_is_read() {
        let pcr = |byte: &str| byte.repeat(48);
        let text = format!(
            r#"{{"Measurements": {{"HashAlgorithm": "Sha384 {{ ... }}", "PCR0": "{}", "PCR1": "{}", "PCR2": "{}", "PCR8": "{}"}}, "EifVersion": 4}}"#,
            pcr("a0"),
            pcr("a1"),
            pcr("a2"),
            pcr("a8")
        );
        let expected = [(0, [0xa0; 48]), (1, [0xa1; 48]), (2, [0xa2; 48]), (8, [0xa8; 48])];
        assert_eq!(parse(text.as_bytes()).unwrap(), Pcrs::from(expected));
    }

    #[test]
    fn what_tools_on_awss_newer_library_print_is_read() {
        let text = include_bytes!("../../../crates/eif/tests/vectors/signed.json");
        assert_eq!(parse(text).unwrap().into_keys().collect::<Vec<_>>(), [0, 1, 2, 8]);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"Measurements": []}"#,
            r#"{"Measurements": {}}"#,
            r#"{"Measurements": {"HashAlgorithm": "Sha256", "PCR0": "00"}}"#,
            r#"{"Measurements": {"PCR0": "00"}}"#,
            r#"{"Measurements": {"PCR0": 0}}"#,
            r#"{"Measurements": {"Label": "00"}}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
