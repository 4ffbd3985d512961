//! Text of a source file, by its SpecificCharacterSet (PS3.3, C.12.1.1.2; PS3.5, 6.1).

use encoding_rs::{
    EUC_KR, Encoding, GB18030, GBK, ISO_2022_JP, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6,
    ISO_8859_7, ISO_8859_8, ISO_8859_15, SHIFT_JIS, UTF_8, WINDOWS_874, WINDOWS_1254,
};

/// How a file's names and descriptions are encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Charset {
    /// ISO 646, where nothing is said.
    Ascii,
    /// ISO 8859-1, whose every byte is a character.
    Latin1,
    /// As the encoding standard of the web has it. Where that has printable characters in place of controls (C1), DICOM has none of them.
    Whole(&'static Encoding),
    /// ISO 2022 with one set in G1, from an escape sequence on. Escape sequences and ASCII aside, bytes are those of the encoding.
    Designated(&'static Encoding, &'static [u8]),
}

impl Charset {
    /// The character set that the values name, with their backslashes; nothing for one that is not read.
    pub(crate) fn named(values: &str) -> Option<Self> {
        let mut terms = values.split('\\').map(str::trim);
        let first = terms.next().unwrap_or_default();
        let more: Vec<&str> = terms.filter(|term| !term.is_empty()).collect();
        if more.is_empty() {
            return Self::alone(first);
        }
        if !matches!(first, "" | "ISO 2022 IR 6" | "ISO 2022 IR 13") {
            return None;
        }
        match more.as_slice() {
            ["ISO 2022 IR 149"] => Some(Self::Designated(EUC_KR, b"\x1b$)C")),
            ["ISO 2022 IR 58"] => Some(Self::Designated(GBK, b"\x1b$)A")),
            terms
                if terms.iter().all(|term| matches!(*term, "ISO 2022 IR 6" | "ISO 2022 IR 13" | "ISO 2022 IR 87")) =>
            {
                Some(Self::Whole(ISO_2022_JP))
            }
            _ => None,
        }
    }

    fn alone(term: &str) -> Option<Self> {
        Some(Self::Whole(match term {
            "" | "ISO_IR 6" | "ISO 2022 IR 6" => return Some(Self::Ascii),
            "ISO_IR 100" | "ISO 2022 IR 100" => return Some(Self::Latin1),
            "ISO_IR 101" | "ISO 2022 IR 101" => ISO_8859_2,
            "ISO_IR 109" | "ISO 2022 IR 109" => ISO_8859_3,
            "ISO_IR 110" | "ISO 2022 IR 110" => ISO_8859_4,
            "ISO_IR 144" | "ISO 2022 IR 144" => ISO_8859_5,
            "ISO_IR 127" | "ISO 2022 IR 127" => ISO_8859_6,
            "ISO_IR 126" | "ISO 2022 IR 126" => ISO_8859_7,
            "ISO_IR 138" | "ISO 2022 IR 138" => ISO_8859_8,
            "ISO_IR 148" | "ISO 2022 IR 148" => WINDOWS_1254,
            "ISO_IR 203" | "ISO 2022 IR 203" => ISO_8859_15,
            "ISO_IR 166" | "ISO 2022 IR 166" => WINDOWS_874,
            "ISO_IR 13" => SHIFT_JIS,
            "ISO_IR 192" => UTF_8,
            "GB18030" => GB18030,
            "GBK" => GBK,
            _ => return None,
        }))
    }

    /// A value without its padding; nothing where it is not of the character set.
    pub(crate) fn text(self, value: &[u8]) -> Option<String> {
        let text = match self {
            Self::Ascii => str::from_utf8(value).ok().filter(|text| text.is_ascii())?.to_owned(),
            Self::Latin1 => encoding_rs::mem::decode_latin1(value).into_owned(),
            Self::Whole(encoding) => encoding.decode_without_bom_handling_and_without_replacement(value)?.into_owned(),
            Self::Designated(encoding, escape) => {
                let bytes = without(value, escape);
                encoding.decode_without_bom_handling_and_without_replacement(&bytes)?.into_owned()
            }
        };
        Some(text.trim_matches([' ', '\0']).to_owned())
    }
}

/// The bytes without an escape sequence, which stands again behind each delimiter (PS3.5, 6.1.2.5.3).
fn without(value: &[u8], escape: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(escape) {
            rest = after;
        } else {
            kept.push(first);
            rest = after;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(set: &str, value: &[u8]) -> Option<String> {
        Charset::named(set)?.text(value)
    }

    /// The standard's own examples: PS3.5, annexes H (Japanese), I (Korean), J (Chinese, UTF-8 and GB18030), K (GB2312 by ISO 2022).
    #[test]
    fn the_standards_examples_are_read() {
        let yamada = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B";
        assert_eq!(text("\\ISO 2022 IR 87", yamada).unwrap(), "Yamada^Tarou=山田^太郎=やまだ^たろう");
        let hong = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf";
        assert_eq!(text("\\ISO 2022 IR 149", hong).unwrap(), "Hong^Gildong=洪^吉洞=홍^길동");
        let wang = "Wang^XiaoDong=王^小東=";
        assert_eq!(text("ISO_IR 192", wang.as_bytes()).unwrap(), wang);
        assert_eq!(text("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab= ").unwrap(), "Wang^XiaoDong=王^小东=");
        let zhang = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=";
        assert_eq!(text("\\ISO 2022 IR 58", zhang).unwrap(), "Zhang^XiaoDong=张^小东=");
    }

    #[test]
    fn padding_is_no_part_of_a_value() {
        assert_eq!(text("", b"A 1 ").unwrap(), "A 1");
        assert_eq!(text("ISO_IR 100", b"M\xfcller^Eva\0").unwrap(), "Müller^Eva");
        assert_eq!(text("ISO_IR 144", b"\xb8\xd2\xd0\xdd\xde\xd2 ").unwrap(), "Иванов");
    }

    #[test]
    fn what_is_not_of_its_character_set_is_not_guessed() {
        assert_eq!(text("", b"M\xfcller"), None);
        assert_eq!(text("ISO_IR 192", b"M\xfcller"), None);
        assert_eq!(text("GB18030", b"\xff"), None);
        for unread in
            ["ISO_IR 999", "utf-8", "ISO_IR 100\\ISO 2022 IR 87", "\\ISO 2022 IR 159", "GB18030\\ISO 2022 IR 58"]
        {
            assert_eq!(Charset::named(unread), None, "{unread}");
        }
    }
}
