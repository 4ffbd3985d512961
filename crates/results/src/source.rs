//! What a result copies out of a source file.

use cloister_dicom::{DecodeLimits, Mammogram, Named, Refusal, Tag};
use ndarray::Array2;

use crate::charset::Charset;
use crate::{Error, Patient, Rule, Source, Spacing, Study, Uid};

const CHARACTER_SET: Tag = Tag::new(0x0008, 0x0005);
const STUDY_DATE: Tag = Tag::new(0x0008, 0x0020);
const STUDY_TIME: Tag = Tag::new(0x0008, 0x0030);
const ACCESSION_NUMBER: Tag = Tag::new(0x0008, 0x0050);
const REFERRING_PHYSICIAN: Tag = Tag::new(0x0008, 0x0090);
const PATIENT_NAME: Tag = Tag::new(0x0010, 0x0010);
const PATIENT_ID: Tag = Tag::new(0x0010, 0x0020);
const BIRTH_DATE: Tag = Tag::new(0x0010, 0x0030);
const SEX: Tag = Tag::new(0x0010, 0x0040);
const STUDY_ID: Tag = Tag::new(0x0020, 0x0010);
const PATIENT_ORIENTATION: Tag = Tag::new(0x0020, 0x0020);
const BURNED_IN: Tag = Tag::new(0x0028, 0x0301);
const LOSSY: Tag = Tag::new(0x0028, 0x2110);

/// All of them.
const COPIED: &[Tag] = &[
    CHARACTER_SET,
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION_NUMBER,
    REFERRING_PHYSICIAN,
    PATIENT_NAME,
    PATIENT_ID,
    BIRTH_DATE,
    SEX,
    STUDY_ID,
    PATIENT_ORIENTATION,
    BURNED_IN,
    LOSSY,
];

/// Why a file cannot be the source of a result. Nothing of a patient is repeated.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The enclave would refuse it too.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its text is in an encoding that is not read, or is not what its encoding allows.
    #[error(
        "{0} is in a character set that is not read, or is not text of the one that the file names: no result can name its patient"
    )]
    Text(Tag),
    /// A value that a result cannot hold.
    #[error(transparent)]
    Value(#[from] Error),
}

/// A source image: what a result says of it, and its pixels.
pub struct Read {
    /// What a result copies and refers to.
    pub source: Source,
    /// Greys as `[row, column]`: higher is whiter, 0 is the background.
    pub pixels: Array2<u16>,
}

/// What a list of exams shows of a file, by its character set; empty where the file has none.
#[derive(Clone, PartialEq, Eq)]
pub struct Listed {
    /// PatientName (0010,0010).
    pub patient_name: String,
    /// AccessionNumber (0008,0050).
    pub accession_number: String,
}

/// Reads what a list of exams shows of a file. Its pixels are left alone.
///
/// # Errors
/// [`SourceError::Refused`] where the file cannot be walked over, [`SourceError::Text`] where its text cannot be read.
pub fn listed(bytes: &[u8], limits: &DecodeLimits) -> Result<Listed, SourceError> {
    let named = cloister_dicom::named(bytes, limits, &[CHARACTER_SET, PATIENT_NAME, ACCESSION_NUMBER])?;
    let text = Texts::of(&named)?;
    Ok(Listed { patient_name: text.value(PATIENT_NAME)?, accession_number: text.value(ACCESSION_NUMBER)? })
}

/// Reads a DICOM file as the enclave does, and what results copy of it besides: patient and study.
///
/// # Errors
/// A [`SourceError`] that repeats nothing of a patient.
pub fn read(bytes: &[u8], limits: &DecodeLimits) -> Result<Read, SourceError> {
    let mammogram = cloister_dicom::read(bytes, limits)?;
    let named = cloister_dicom::named(bytes, limits, COPIED)?;
    let text = Texts::of(&named)?;
    let patient = Patient {
        name: text.value(PATIENT_NAME)?,
        id: text.value(PATIENT_ID)?,
        birth_date: text.value(BIRTH_DATE)?,
        sex: text.value(SEX)?,
    };
    let study = Study {
        instance_uid: Uid::new(mammogram.study_instance_uid.as_str())?,
        date: text.value(STUDY_DATE)?,
        time: text.value(STUDY_TIME)?,
        id: text.value(STUDY_ID)?,
        accession_number: text.value(ACCESSION_NUMBER)?,
        referring_physician: text.value(REFERRING_PHYSICIAN)?,
    };
    let source = source(&mammogram, &text, patient, study)?;
    Ok(Read { source, pixels: mammogram.pixels })
}

fn source(mammogram: &Mammogram, text: &Texts<'_>, patient: Patient, study: Study) -> Result<Source, SourceError> {
    let side = |length: usize| {
        u16::try_from(length).map_err(|_| Error::Value { attribute: "Rows or Columns", rule: Rule::TooLong(5) })
    };
    let (rows, columns) = mammogram.pixels.dim();
    Ok(Source {
        patient,
        study,
        series_instance_uid: Uid::new(mammogram.series_instance_uid.as_str())?,
        sop_class_uid: Uid::new(mammogram.sop_class_uid)?,
        sop_instance_uid: Uid::new(mammogram.sop_instance_uid.as_str())?,
        view: mammogram.view,
        rows: side(rows)?,
        columns: side(columns)?,
        spacing: mammogram
            .spacing
            .map(|spacing| Spacing { between_rows: spacing.between_rows, between_columns: spacing.between_columns }),
        // CBIS-DDSM has a view there: that is no pair of directions.
        orientation: text
            .value(PATIENT_ORIENTATION)?
            .split_once('\\')
            .map(|(row, column)| [row, column].map(str::to_owned)),
        burned_in_annotation: match text.value(BURNED_IN)?.as_str() {
            "YES" => Some(true),
            "NO" => Some(false),
            _ => None,
        },
        lossy: text.value(LOSSY)? == "01",
    })
}

/// A file's texts, in its character set.
struct Texts<'a> {
    named: &'a Named,
    charset: Charset,
}

impl<'a> Texts<'a> {
    fn of(named: &'a Named) -> Result<Self, SourceError> {
        let values = Charset::Ascii.text(named.value(CHARACTER_SET).unwrap_or_default());
        let charset = values.and_then(|values| Charset::named(&values)).ok_or(SourceError::Text(CHARACTER_SET))?;
        Ok(Self { named, charset })
    }

    /// Without its padding; empty where there is none.
    fn value(&self, tag: Tag) -> Result<String, SourceError> {
        self.charset.text(self.named.value(tag).unwrap_or_default()).ok_or(SourceError::Text(tag))
    }
}
