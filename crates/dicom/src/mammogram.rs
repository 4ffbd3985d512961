//! From a file's bytes to a mammogram.

use std::{borrow::Cow, fmt, io::Read};

use cloister_imaging::{DecodeLimits, View};
use flate2::read::DeflateDecoder;
use ndarray::Array2;

use crate::{
    ComparisonKey, Counted, Damage, Refusal, Uid,
    attributes::{Greys, text},
    codes::{self, Syntax},
    outline::outlined,
    pixels,
    scan::{DataSet, scan, scan_meta},
    tag::Tag,
};

/// The preamble and the four letters that every file starts with (PS3.10, 7.1).
const PREAMBLE: usize = 128;
const PREFIX: &[u8] = b"DICM";

/// One view of one breast, for presentation.
#[derive(Clone)]
#[non_exhaustive]
pub struct Mammogram {
    /// Which breast, from which direction.
    pub view: View,
    /// Greys as `[row, column]`: higher is whiter, padding is 0. As stored and not scaled, for a network normalises its windows.
    pub pixels: Array2<u16>,
    /// SOP Class UID (PS3.6, annex A), for results that refer to the image.
    pub sop_class_uid: &'static str,
    /// SOP Instance UID of the image (PS3.3, C.12.1).
    pub sop_instance_uid: Uid,
    /// Study Instance UID (PS3.3, C.7.2.1).
    pub study_instance_uid: Uid,
    /// Series Instance UID (PS3.3, C.7.3.1).
    pub series_instance_uid: Uid,
    /// How far apart pixels are, if the file says so.
    pub spacing: Option<Spacing>,
    /// The same for files with the same PatientID (0010,0020); nothing where there is none.
    pub patient: Option<ComparisonKey>,
    /// The same for files of the same study.
    pub study: ComparisonKey,
    /// What is no reason to refuse, and a reason to look twice.
    pub findings: Vec<Finding>,
}

/// The distance between centres of neighbouring pixels, in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing {
    /// From one row to the next.
    pub between_rows: f64,
    /// From one column to the next.
    pub between_columns: f64,
    /// Measured at the detector (ImagerPixelSpacing, PS3.3, C.8.11.4), where the breast is not; otherwise PixelSpacing (PS3.3, 10.7).
    pub at_detector: bool,
}

/// Something about a file that a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// BurnedInAnnotation (0028,0301) is YES: text in the pixels may identify a patient, and may be taken for tissue.
    BurnedInAnnotation,
    /// LossyImageCompression (0028,2110) is 01: the pixels are not those that the detector gave.
    LossyCompression,
    /// A secondary capture (PS3.3, A.8.1): a film that was scanned, or an export; not a detector's image.
    SecondaryCapture,
    /// PatientOrientation (0020,0020) held the view, as in CBIS-DDSM, and no attribute that is meant for it did.
    ViewInPatientOrientation,
}

impl Finding {
    /// Its name for programs, which does not change.
    pub fn code(self) -> &'static str {
        match self {
            Self::BurnedInAnnotation => "burned-in-annotation",
            Self::LossyCompression => "lossy-compression",
            Self::SecondaryCapture => "secondary-capture",
            Self::ViewInPatientOrientation => "view-in-patient-orientation",
        }
    }
}

impl fmt::Debug for Mammogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mammogram")
            .field("view", &self.view)
            .field("size", &self.pixels.dim())
            .field("findings", &self.findings)
            .finish_non_exhaustive()
    }
}

/// Whether the bytes begin as a DICOM file does (PS3.10, 7.1).
pub fn is_dicom(bytes: &[u8]) -> bool {
    after_prefix(bytes).is_some()
}

fn after_prefix(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(PREAMBLE..).and_then(|rest| rest.strip_prefix(PREFIX))
}

/// Reads a DICOM file (PS3.10, section 7) that holds one mammogram for presentation.
///
/// Takes, beside `bytes`, 2 bytes a pixel for native, RLE and JPEG lossless pixels, and 15 for JPEG 2000; a deflated file is
/// inflated first, to no more than `limits.file_bytes`. What is allocated follows the image's size after that was checked;
/// [`crate::cost`] says how much.
///
/// # Errors
/// A [`Refusal`] that says what is wrong and repeats nothing that could tell whose file it is.
pub fn read(bytes: &[u8], limits: &DecodeLimits) -> Result<Mammogram, Refusal> {
    with_data(bytes, limits, &[], |data, syntax| {
        let (outline, format, class) = outlined(data, syntax, limits)?;
        let greys = Greys::read(data, format.signed)?;
        let stored = data.pixels.as_ref().ok_or(Refusal::Missing(Tag::PIXEL_DATA))?;
        Ok(Mammogram {
            view: outline.view,
            sop_class_uid: class.uid(),
            sop_instance_uid: outline.sop_instance_uid,
            series_instance_uid: data.uid(Tag::SERIES_INSTANCE)?,
            study_instance_uid: data.uid(Tag::STUDY_INSTANCE)?,
            spacing: spacing(data)?,
            patient: outline.patient,
            study: outline.study,
            findings: outline.findings,
            pixels: pixels::read(stored, syntax, &format, &greys)?,
        })
    })
}

/// Splits a file into its transfer syntax and what stands behind the file meta information.
pub(crate) fn split<'a>(bytes: &'a [u8], limits: &DecodeLimits) -> Result<(Syntax, &'a [u8]), Refusal> {
    if bytes.len() > limits.file_bytes {
        return Err(Refusal::FileTooLarge { bytes: bytes.len(), limit: limits.file_bytes });
    }
    let meta = after_prefix(bytes).ok_or(Refusal::NotDicom)?;
    let (syntax, end) = scan_meta(meta)?;
    let syntax = text(syntax).ok_or(Refusal::Value(Tag::TRANSFER_SYNTAX))?;
    let syntax = codes::syntax(syntax).map_err(Refusal::TransferSyntax)?;
    Ok((syntax, meta.get(end..).ok_or(Refusal::Truncated)?))
}

/// Walks over a file's data set, inflated if it has to be, and gives it to `look`; `also` are attributes to keep beside the closed list.
pub(crate) fn with_data<T>(
    bytes: &[u8],
    limits: &DecodeLimits,
    also: &[Tag],
    look: impl FnOnce(&DataSet<'_>, Syntax) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let (syntax, rest) = split(bytes, limits)?;
    let rest = match syntax {
        Syntax::Deflated => Cow::Owned(inflate(rest, limits.file_bytes)?),
        _ => Cow::Borrowed(rest),
    };
    look(&scan(&rest, syntax == Syntax::Implicit, also)?, syntax)
}

/// The data set behind a deflated transfer syntax (PS3.5, A.5).
fn inflate(deflated: &[u8], limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut inflated = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    DeflateDecoder::new(deflated).take(most).read_to_end(&mut inflated).map_err(|_| Damage::Deflate)?;
    if inflated.len() > limit { Err(Refusal::TooMany(Counted::Inflated)) } else { Ok(inflated) }
}

/// ImagerPixelSpacing, which mammograms have, or else PixelSpacing.
fn spacing(data: &DataSet<'_>) -> Result<Option<Spacing>, Refusal> {
    for (tag, at_detector) in [(Tag::PIXEL_SPACING_AT_DETECTOR, true), (Tag::PIXEL_SPACING, false)] {
        if let Some([between_rows, between_columns]) = data.decimals(tag)? {
            if between_rows <= 0.0 || between_columns <= 0.0 {
                return Err(Refusal::Value(tag));
            }
            return Ok(Some(Spacing { between_rows, between_columns, at_detector }));
        }
    }
    Ok(None)
}
