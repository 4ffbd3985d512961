//! What a file says of its image, and what decoding it would cost, without a pixel being decoded.

use cloister_imaging::{DecodeLimits, View};

use crate::{
    ComparisonKey, Finding, Refusal, Uid,
    attributes::{Format, Greys, check_breast, check_kind},
    codes::{SopClass, Syntax},
    mammogram::{split, with_data},
    scan::{DataSet, scan},
    tag::Tag,
    which,
};

/// A mammogram as its attributes describe it. Of its pixels it is only known that they are there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outline {
    /// Which breast, from which direction.
    pub view: View,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// Bits of each pixel.
    pub bits: u16,
    /// How the pixels are stored, for people.
    pub syntax: &'static str,
    /// SOP Instance UID of the image (PS3.3, C.12.1).
    pub sop_instance_uid: Uid,
    /// The same for files with the same PatientID (0010,0020); nothing where there is none.
    pub patient: Option<ComparisonKey>,
    /// The same for files of the same study.
    pub study: ComparisonKey,
    /// What is no reason to refuse, and a reason to look twice.
    pub findings: Vec<Finding>,
}

/// What [`crate::read`] takes for a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Pixels of the image; the most that there may be where only inflating would tell.
    pub pixels: usize,
    /// Bytes of memory beside the file, at most, the pixels that are given back among them.
    pub bytes: usize,
}

/// 12 to 15 bytes were measured (docs/dicom.md).
const JPEG_2000_BYTES_PER_PIXEL: usize = 15;

/// Cells are turned into greys in place.
const BYTES_PER_PIXEL: usize = 2;

/// Reads all of a file but its pixels. A deflated file is inflated for it.
///
/// # Errors
/// What [`crate::read`] refuses the file for, unless it is the pixels themselves.
pub fn outline(bytes: &[u8], limits: &DecodeLimits) -> Result<Outline, Refusal> {
    with_data(bytes, limits, &[], |data, syntax| {
        let (outline, format, _) = outlined(data, syntax, limits)?;
        Greys::read(data, format.signed)?;
        data.pixels.as_ref().ok_or(Refusal::Missing(Tag::PIXEL_DATA))?;
        Ok(outline)
    })
}

/// What reading a file will take, from a look that inflates and decodes nothing. What is refused before anything is allocated costs
/// nothing.
pub fn cost(bytes: &[u8], limits: &DecodeLimits) -> Cost {
    let Ok((syntax, rest)) = split(bytes, limits) else { return Cost::default() };
    if syntax == Syntax::Deflated {
        // The buffer grows by doubling.
        let inflated = 2 * limits.file_bytes;
        return Cost { pixels: limits.pixels, bytes: inflated + limits.pixels * BYTES_PER_PIXEL };
    }
    let format = scan(rest, syntax == Syntax::Implicit, &[]).and_then(|data| Format::read(&data, limits));
    let Ok(format) = format else { return Cost::default() };
    let pixels = format.pixels();
    let bytes = match syntax {
        Syntax::Jpeg2000 => pixels * JPEG_2000_BYTES_PER_PIXEL + bytes.len(),
        // Fragments are put together first.
        Syntax::JpegLossless => pixels * BYTES_PER_PIXEL + bytes.len(),
        Syntax::Implicit | Syntax::Explicit | Syntax::Deflated | Syntax::Rle => pixels * BYTES_PER_PIXEL,
    };
    Cost { pixels, bytes }
}

pub(crate) fn outlined(
    data: &DataSet<'_>,
    syntax: Syntax,
    limits: &DecodeLimits,
) -> Result<(Outline, Format, SopClass), Refusal> {
    let class = check_kind(data)?;
    check_breast(data)?;
    let (view, in_orientation) = which::view(data)?;
    let format = Format::read(data, limits)?;
    let mut findings = Vec::new();
    if data.is_yes(Tag::BURNED_IN)? {
        findings.push(Finding::BurnedInAnnotation);
    }
    if data.text(Tag::LOSSY)? == Some("01") {
        findings.push(Finding::LossyCompression);
    }
    if class == SopClass::SecondaryCapture {
        findings.push(Finding::SecondaryCapture);
    }
    findings.extend(in_orientation);
    let outline = Outline {
        view,
        rows: format.rows,
        columns: format.columns,
        bits: format.stored,
        syntax: syntax.name(),
        sop_instance_uid: data.uid(Tag::SOP_INSTANCE)?,
        patient: patient(data)?,
        study: ComparisonKey::new("study", data.uid(Tag::STUDY_INSTANCE)?.as_str().as_bytes())?,
        findings,
    };
    Ok((outline, format, class))
}

fn patient(data: &DataSet<'_>) -> Result<Option<ComparisonKey>, Refusal> {
    // Not always ASCII (SpecificCharacterSet), and only compared.
    let padding = |byte: &u8| matches!(byte, b' ' | 0);
    let id = data.value(Tag::PATIENT_ID).unwrap_or_default();
    let Some(start) = id.iter().position(|byte| !padding(byte)) else { return Ok(None) };
    let end = id.iter().rposition(|byte| !padding(byte)).unwrap_or(start);
    ComparisonKey::new("patient", id.get(start..=end).unwrap_or_default()).map(Some)
}
