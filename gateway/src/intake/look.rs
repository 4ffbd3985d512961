//! A look at a file: what it is, and which view it shows. Pixels are not decoded; the enclave does that.

use std::io::Cursor;

use cloister_dicom::{ComparisonKey, DecodeLimits, Refusal, Tag, is_dicom, named, outline};
use cloister_imaging::View;

use crate::limits;
use crate::worklist::Media;

const STUDY_INSTANCE: Tag = Tag::new(0x0020, 0x000D);
const SOP_CLASS: Tag = Tag::new(0x0008, 0x0016);
const SOP_INSTANCE: Tag = Tag::new(0x0008, 0x0018);

/// What was seen.
#[derive(Clone)]
pub(crate) struct Looked {
    pub(crate) media: Media,
    pub(crate) view: Option<View>,
    pub(crate) rows: Option<u32>,
    pub(crate) columns: Option<u32>,
    /// Of a DICOM file.
    pub(crate) dicom: Option<Identified>,
}

/// What a DICOM file says of itself, for the work list.
#[derive(Clone, Default)]
pub(crate) struct Identified {
    pub(crate) patient_name: Option<String>,
    pub(crate) accession_number: Option<String>,
    pub(crate) study_uid: String,
    pub(crate) instance_uid: String,
    /// The same for files of the same patient, and of the same study.
    pub(crate) patient: Option<ComparisonKey>,
    pub(crate) study: Option<ComparisonKey>,
}

/// Why a file is not taken. The sentence repeats nothing of a patient.
#[derive(Clone, Debug)]
pub(crate) struct NotTaken {
    pub(crate) sentence: String,
    /// It is another kind of object than a mammogram.
    pub(crate) other_kind: bool,
    /// It may be whole later.
    pub(crate) broken_off: bool,
}

/// Looks at a file.
pub(crate) fn look(bytes: &[u8]) -> Result<Looked, NotTaken> {
    if is_dicom(bytes) {
        return dicom(bytes).map_err(|refusal| NotTaken {
            other_kind: matches!(refusal, Refusal::SopClass(_) | Refusal::Modality | Refusal::ForProcessing),
            broken_off: matches!(refusal, Refusal::Truncated | Refusal::Missing(_)),
            sentence: refusal.to_string(),
        });
    }
    let not = |sentence: &str, broken_off| NotTaken { sentence: sentence.to_owned(), other_kind: false, broken_off };
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        // A preamble that has not all come yet is no DICOM file either.
        return Err(not("the file is neither DICOM nor PNG", bytes.len() < 132));
    }
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    let header = decoder.read_header_info().map_err(|_| not("the PNG file is damaged", true))?;
    if header.color_type != png::ColorType::Grayscale {
        return Err(not("the PNG file is not plain greyscale", false));
    }
    let (rows, columns) = (Some(header.height), Some(header.width));
    let decode = DecodeLimits::default();
    let side = |length: u32| usize::try_from(length).is_ok_and(|length| (1..=decode.side).contains(&length));
    if !side(header.height) || !side(header.width) {
        return Err(not("the PNG file has more pixels than a mammogram", false));
    }
    // The last chunk (PNG, section 5.6): without it, the file broke off.
    if !bytes.ends_with(b"IEND\xaeB`\x82") {
        return Err(not("the PNG file breaks off", true));
    }
    Ok(Looked { media: Media::Png, view: None, rows, columns, dicom: None })
}

fn dicom(bytes: &[u8]) -> Result<Looked, Refusal> {
    let decode = DecodeLimits::default();
    let outline = outline(bytes, &decode)?;
    let named = named(bytes, &decode, &[STUDY_INSTANCE])?;
    // A name that cannot be read keeps no image out: it is not shown.
    let listed = cloister_results::listed(bytes, &decode).ok();
    let shown = |text: String| Some(shown(&text)).filter(|text| !text.is_empty());
    let (patient_name, accession_number) =
        listed.map(|listed| (shown(listed.patient_name), shown(listed.accession_number))).unzip();
    let dicom = Identified {
        patient_name: patient_name.flatten(),
        accession_number: accession_number.flatten(),
        study_uid: named.value(STUDY_INSTANCE).map(text).unwrap_or_default(),
        instance_uid: outline.sop_instance_uid.as_str().to_owned(),
        patient: outline.patient,
        study: Some(outline.study),
    };
    Ok(Looked {
        media: Media::Dicom,
        view: Some(outline.view),
        rows: u32::try_from(outline.rows).ok(),
        columns: u32::try_from(outline.columns).ok(),
        dicom: Some(dicom),
    })
}

/// For a list on a screen.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(limits::MAX_SHOWN_CHARACTERS).collect()
}

/// An identifier, without its padding.
fn text(value: &[u8]) -> String {
    shown(String::from_utf8_lossy(value).trim_matches([' ', '\0']))
}

/// SOP Class and Instance UID of any DICOM file, for an answer about it.
pub(crate) fn instance(bytes: &[u8]) -> (Option<String>, Option<String>) {
    match named(bytes, &DecodeLimits::default(), &[SOP_CLASS, SOP_INSTANCE]) {
        Ok(named) => (named.value(SOP_CLASS).map(text), named.value(SOP_INSTANCE).map(text)),
        Err(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_breaks_off_may_be_whole_later_and_what_is_something_else_will_not() {
        let broken_off = |bytes: &[u8]| look(bytes).err().map(|not| not.broken_off);
        assert_eq!(broken_off(b""), Some(true));
        assert_eq!(broken_off(&[0; 100]), Some(true), "the preamble of a DICOM file");
        assert_eq!(broken_off(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(true));
        assert_eq!(broken_off(&[b'x'; 500]), Some(false));
    }

    proptest! {
        #[test]
        fn any_file_is_taken_or_not(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0..3) {
            let head = match kind {
                0 => Vec::new(),
                1 => b"\x89PNG\r\n\x1a\n".to_vec(),
                _ => [&[0; 128][..], b"DICM"].concat(),
            };
            bytes.splice(0..0, head);
            let _ = instance(&bytes);
            if let Err(not) = look(&bytes) {
                prop_assert!(!not.sentence.is_empty());
            }
        }
    }
}
