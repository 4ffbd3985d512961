//! How times, measurements and findings are written for people, and read from them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use cloister_client::finding_words;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time in UTC, such as 2027-01-01T00:00:00Z.
pub fn rfc3339(time: impl Into<OffsetDateTime>) -> String {
    time.into().format(&Rfc3339).unwrap_or_else(|_| "a time beyond the calendar".into())
}

/// Reads what [`rfc3339`] writes, for a command line's flag.
pub fn parse_time(text: &str) -> Result<SystemTime, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339);
    time.map(SystemTime::from).map_err(|_| "not a time like 2027-01-01T00:00:00Z".into())
}

/// A finding's code and its words, where it has any that are known here.
pub fn in_words(code: &str) -> String {
    let words = finding_words(code).map(|words| format!(": {words}")).unwrap_or_default();
    format!("{}{words}", code.escape_debug())
}

/// What is known of these findings' codes.
pub fn explained<C: AsRef<str>>(codes: impl IntoIterator<Item = C>) -> BTreeMap<String, &'static str> {
    codes.into_iter().filter_map(|code| Some((code.as_ref().to_owned(), finding_words(code.as_ref())?))).collect()
}

/// What is measured into the PCR of that number.
pub fn meaning(pcr: u16) -> &'static str {
    match pcr {
        0 => "the whole image",
        1 => "kernel, command line, boot ramdisk",
        2 => "the application",
        3 => "the parent's IAM role",
        4 => "the parent instance",
        8 => "the certificate that signed the image",
        16 => "the model package, in a Cloister enclave",
        17 => "the configuration, in a Cloister enclave",
        18.. => "measured by the application",
        _ => "",
    }
}
