//! What a value of each representation can be (PS3.5, 6.2), in UTF-8.

use time::{Date, Month};

use crate::{Error, Result, Rule, limits, uid};

/// A value representation (PS3.5, 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vr {
    Cs,
    Da,
    Ds,
    Is,
    Lo,
    Lt,
    Ob,
    Pn,
    Sh,
    Sq,
    St,
    Tm,
    Ui,
    Ul,
    Us,
    Ut,
}

impl Vr {
    pub(crate) fn letters(self) -> &'static [u8; 2] {
        match self {
            Self::Cs => b"CS",
            Self::Da => b"DA",
            Self::Ds => b"DS",
            Self::Is => b"IS",
            Self::Lo => b"LO",
            Self::Lt => b"LT",
            Self::Ob => b"OB",
            Self::Pn => b"PN",
            Self::Sh => b"SH",
            Self::Sq => b"SQ",
            Self::St => b"ST",
            Self::Tm => b"TM",
            Self::Ui => b"UI",
            Self::Ul => b"UL",
            Self::Us => b"US",
            Self::Ut => b"UT",
        }
    }

    /// Whether the length has four bytes, after two that are reserved (PS3.5, 7.1.2).
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Ob | Self::Sq | Self::Ut)
    }

    /// What makes an odd length even.
    pub(crate) fn padding(self) -> u8 {
        if matches!(self, Self::Ui | Self::Ob) { 0 } else { b' ' }
    }
}

/// Refuses a value that its representation does not have. Nothing is a value of each, but for unique identifiers.
pub(crate) fn check(attribute: &'static str, vr: Vr, value: &str) -> Result<()> {
    if vr == Vr::Ui {
        return uid::check(attribute, value);
    }
    let broken = match vr {
        _ if value.is_empty() => None,
        Vr::Lo => line(value, 64),
        Vr::Sh | Vr::Ds | Vr::Is => line(value, 16),
        Vr::Cs => line(value, 16).or_else(|| broken(is_code_string(value), Rule::CodeString)),
        Vr::Pn => name(value),
        Vr::Da => broken(is_date(value), Rule::Date),
        Vr::Tm => broken(is_time(value), Rule::Time),
        Vr::St => paragraphs(value, 1024),
        Vr::Lt => paragraphs(value, 10_240),
        _ => paragraphs(value, limits::TEXT),
    };
    broken.map_or(Ok(()), |rule| Err(Error::Value { attribute, rule }))
}

fn broken(holds: bool, rule: Rule) -> Option<Rule> {
    (!holds).then_some(rule)
}

fn line(value: &str, longest: usize) -> Option<Rule> {
    if value.chars().any(|character| character.is_control() || character == '\\') {
        return Some(Rule::Character);
    }
    broken(value.chars().count() <= longest, Rule::TooLong(longest))
}

fn paragraphs(value: &str, longest: usize) -> Option<Rule> {
    // PS3.5, 6.1.3.
    let layout = |character| matches!(character, '\t' | '\n' | '\x0C' | '\r');
    if value.chars().any(|character| character.is_control() && !layout(character)) {
        return Some(Rule::Character);
    }
    broken(value.chars().count() <= longest, Rule::TooLong(longest))
}

fn is_code_string(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'_'))
}

fn name(value: &str) -> Option<Rule> {
    let longest = value.split('=').max_by_key(|group| group.chars().count()).unwrap_or_default();
    let groups = value.split('=').count() <= limits::NAME_GROUPS;
    let components = value.split('=').all(|group| group.split('^').count() <= limits::NAME_COMPONENTS);
    line(longest, limits::NAME_GROUP)
        .or_else(|| line(value, usize::MAX))
        .or_else(|| broken(groups && components, Rule::Name))
}

fn is_date(value: &str) -> bool {
    let number = |range| value.get(range).and_then(|digits: &str| digits.parse::<u16>().ok());
    let digits = value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_digit());
    let parts = (number(0..4), number(4..6), number(6..8));
    let (true, (Some(year), Some(month), Some(day))) = (digits, parts) else { return false };
    let (Ok(month), Ok(day)) = (u8::try_from(month), u8::try_from(day)) else { return false };
    Month::try_from(month).is_ok_and(|month| Date::from_calendar_date(i32::from(year), month, day).is_ok())
}

fn is_time(value: &str) -> bool {
    let (whole, fraction) = value.split_once('.').map_or((value, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let below = |range, limit| whole.get(range).is_none_or(|part: &str| part.parse::<u8>().is_ok_and(|n| n < limit));
    let fraction_fits = fraction.is_none_or(|rest| whole.len() == 6 && (1..=6).contains(&rest.len()) && digits(rest));
    // A leap second is a second (PS3.5, 6.2).
    matches!(whole.len(), 2 | 4 | 6)
        && digits(whole)
        && below(0..2, 24)
        && below(2..4, 60)
        && below(4..6, 61)
        && fraction_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(vr: Vr, value: &str) -> Option<Rule> {
        match check("", vr, value) {
            Ok(()) => None,
            Err(Error::Value { rule, .. }) => Some(rule),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn values_as_long_as_they_may_be_are_written() {
        for (vr, longest) in [(Vr::Lo, 64), (Vr::Sh, 16), (Vr::St, 1024), (Vr::Lt, 10_240)] {
            assert_eq!(rule(vr, &"ü".repeat(longest)), None);
            assert_eq!(rule(vr, &"ü".repeat(longest + 1)), Some(Rule::TooLong(longest)));
        }
        let group = "山".repeat(64);
        assert_eq!(rule(Vr::Pn, &[group.as_str(); 3].join("=")), None);
        assert_eq!(rule(Vr::Pn, &[group.as_str(); 4].join("=")), Some(Rule::Name));
        assert_eq!(rule(Vr::Pn, &format!("A={group}B")), Some(Rule::TooLong(64)));
        assert_eq!(rule(Vr::Pn, "a^b^c^d^e"), None);
        assert_eq!(rule(Vr::Pn, "a^b^c^d^e^f"), Some(Rule::Name));
    }

    #[test]
    fn characters_that_separate_or_control_are_refused() {
        for vr in [Vr::Lo, Vr::Sh, Vr::Pn, Vr::Cs] {
            for value in ["a\\b", "a\nb", "a\0", "\u{1b}$B", "a\u{85}"] {
                assert_eq!(rule(vr, value), Some(Rule::Character), "{value:?}");
            }
        }
        assert_eq!(rule(Vr::Ut, "a\\b\r\n\tc"), None);
        assert_eq!(rule(Vr::Ut, "a\u{1b}"), Some(Rule::Character));
        assert_eq!(rule(Vr::Cs, "f"), Some(Rule::CodeString));
    }

    #[test]
    fn days_and_times_that_there_are_not_are_refused() {
        for value in ["20240229", "00010101", "99991231"] {
            assert_eq!(rule(Vr::Da, value), None);
        }
        for value in ["20230229", "2024-1-1", "202401", "20240132", "２０２４０１０１", "+2024011"] {
            assert_eq!(rule(Vr::Da, value), Some(Rule::Date));
        }
        for value in ["00", "2359", "235960", "101112.5", "101112.123456"] {
            assert_eq!(rule(Vr::Tm, value), None);
        }
        for value in ["24", "2360", "101161", "1011.5", "101112.", "101112.1234567", "10:11", "1", "+1"] {
            assert_eq!(rule(Vr::Tm, value), Some(Rule::Time));
        }
    }
}
