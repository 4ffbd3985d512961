//! The PCRs that Cloister's enclaves extend themselves, and how a value is written on a command line.

use aws_lc_rs::digest::{SHA384, digest};

use crate::error::PolicyError;
use crate::limits;

/// The PCR that holds the model: extended once from zero with the digest of its package, then locked.
pub const MODEL_PCR: u16 = 16;

/// The PCR that holds the configuration: extended once from zero with the SHA-384 of its file, then locked.
pub const CONFIGURATION_PCR: u16 = 17;

/// `SHA384(0^48 || value)`: what a PCR holds after it was extended once from zero.
pub fn extended(value: &[u8]) -> [u8; limits::PCR] {
    let mut input = vec![0; limits::PCR];
    input.extend_from_slice(value);
    let mut pcr = [0; limits::PCR];
    pcr.copy_from_slice(digest(&SHA384, &input).as_ref());
    pcr
}

/// Reads `INDEX=HEX`: 0 to 31 in decimal, and 96 hexadecimal digits.
///
/// # Errors
/// [`PolicyError::PcrArgument`].
pub fn parse_pcr(text: &str) -> Result<(u16, [u8; limits::PCR]), PolicyError> {
    let wrong = || PolicyError::PcrArgument(text.chars().take(2 * limits::LABEL).collect());
    let (index, value) = text.split_once('=').ok_or_else(wrong)?;
    let index = parse_index(index).ok_or_else(wrong)?;
    let mut bytes = [0; limits::PCR];
    hex::decode_to_slice(value, &mut bytes).map_err(|_| wrong())?;
    Ok((index, bytes))
}

/// Reads a PCR's number. "07" and "+7" are numbers too, and would allow one PCR twice.
pub(crate) fn parse_index(text: &str) -> Option<u16> {
    text.parse::<u16>().ok().filter(|index| index.to_string() == text && *index < limits::PCRS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pcr_is_extended_as_the_security_module_does() {
        // (head -c 48 /dev/zero; printf model) | sha384sum
        let expected =
            "e245d3104168b53f890c83bb06c71749bb2f668468915a22553ade31a680cd6b1f748bcbfe25d6c2e56d126b23543874";
        assert_eq!(hex::encode(extended(b"model")), expected);
    }

    #[test]
    fn an_index_and_96_digits_are_read() {
        let text = format!("16={}", "aB".repeat(limits::PCR));
        assert_eq!(parse_pcr(&text).unwrap(), (16, [0xab; limits::PCR]));
    }

    #[test]
    fn anything_else_is_refused_with_what_was_given() {
        let digits = "00".repeat(limits::PCR);
        let short = &digits[2..];
        for text in [
            String::new(),
            digits.clone(),
            format!("={digits}"),
            format!("32={digits}"),
            format!("07={digits}"),
            format!("+7={digits}"),
            format!("-1={digits}"),
            format!("65536={digits}"),
            format!("0 ={digits}"),
            format!("0={short}"),
            format!("0={digits}00"),
            format!("0=zz{short}"),
            format!("0=0x{short}"),
        ] {
            assert!(matches!(parse_pcr(&text), Err(PolicyError::PcrArgument(given)) if given == text), "{text}");
        }
    }
}
