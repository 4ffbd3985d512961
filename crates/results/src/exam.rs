//! What a result is made of: the views of an exam, their scores, and who computed them.

use std::collections::BTreeMap;

use cloister_imaging::{Laterality, View};
use time::OffsetDateTime;

use crate::attribute::Attribute;
use crate::dataset::DataSet;
use crate::{Error, Result, Rule, Uid, limits};

/// Attributes of the Patient Module (PS3.3, C.7.1.1), as the source file has them; empty where it has none. Prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Patient {
    /// PatientName (0010,0010).
    pub name: String,
    /// PatientID (0010,0020).
    pub id: String,
    /// PatientBirthDate (0010,0030), YYYYMMDD.
    pub birth_date: String,
    /// PatientSex (0010,0040): M, F or O.
    pub sex: String,
}

/// Attributes of the General Study Module (PS3.3, C.7.2.1), as the source file has them; empty where it has none. Prints nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Study {
    /// StudyInstanceUID (0020,000D).
    pub instance_uid: Uid,
    /// StudyDate (0008,0020), YYYYMMDD.
    pub date: String,
    /// StudyTime (0008,0030), HHMMSS.FFFFFF.
    pub time: String,
    /// StudyID (0020,0010).
    pub id: String,
    /// AccessionNumber (0008,0050).
    pub accession_number: String,
    /// ReferringPhysicianName (0008,0090).
    pub referring_physician: String,
}

/// The distance between centres of neighbouring pixels, in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing {
    /// From one row to the next.
    pub between_rows: f64,
    /// From one column to the next.
    pub between_columns: f64,
}

/// A source image, as its file describes it. Prints nothing.
#[derive(Clone, PartialEq)]
pub struct Source {
    /// Whose it is.
    pub patient: Patient,
    /// Which study it is of.
    pub study: Study,
    /// SeriesInstanceUID (0020,000E).
    pub series_instance_uid: Uid,
    /// SOPClassUID (0008,0016).
    pub sop_class_uid: Uid,
    /// SOPInstanceUID (0008,0018).
    pub sop_instance_uid: Uid,
    /// Which breast, from which direction.
    pub view: View,
    /// Rows (0028,0010).
    pub rows: u16,
    /// Columns (0028,0011).
    pub columns: u16,
    /// ImagerPixelSpacing (0018,1164), or PixelSpacing (0028,0030).
    pub spacing: Option<Spacing>,
    /// Both values of PatientOrientation (0020,0020): where rows, and where columns go to.
    pub orientation: Option<[String; 2]>,
    /// BurnedInAnnotation (0028,0301), where the file says it.
    pub burned_in_annotation: Option<bool>,
    /// LossyImageCompression (0028,2110) is 01.
    pub lossy: bool,
}

/// What the network says by its package's labels, each from 0 to 1: of a whole image, or the mean of a breast's.
pub type Scores = BTreeMap<String, f64>;

/// One view, and its scores.
#[derive(Clone, PartialEq)]
pub struct Scored {
    /// The image.
    pub source: Source,
    /// Its scores.
    pub scores: Scores,
    /// What is a reason to look twice before they are believed, each as a part of a sentence.
    pub findings: Vec<String>,
}

/// The model that answered, as the receipt names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The package's name, at most 64 characters.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// The package's digest, SHA-384.
    pub digest: [u8; 48],
}

/// From which score on somebody wants to know. A hospital's choice, and no property of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatingPoint {
    /// What it is called, at most 64 characters.
    pub label: String,
    /// Which of the scores it is about.
    pub score: String,
    /// The lowest such score that reaches it.
    pub least: f64,
}

/// An exam's answer.
#[derive(Clone)]
pub struct Exam {
    /// One to four views, each at most once, of one patient and one study.
    pub views: Vec<Scored>,
    /// The same of the exam as a whole.
    pub findings: Vec<String>,
    /// Who answered.
    pub model: Model,
    /// The program that the model ran in, such as `cloister-enclave 0.1.0`, at most 64 characters.
    pub software: String,
    /// SHA-384 of the receipt's bytes.
    pub receipt_digest: [u8; 48],
    /// What scores are held against.
    pub operating_point: OperatingPoint,
    /// When the answer was given, in the time zone that the study's times are in.
    pub time: OffsetDateTime,
}

/// What a new object is called. UIDs have to be new for every object, and the series' for every kind of object.
#[derive(Clone, Debug)]
pub struct Identity {
    /// SeriesInstanceUID of the series that the object goes into.
    pub series: Uid,
    /// SeriesNumber (0020,0011).
    pub series_number: u32,
    /// SOPInstanceUID of the object.
    pub instance: Uid,
    /// InstanceNumber (0020,0013).
    pub instance_number: u32,
}

impl Exam {
    /// Refuses what no result can be written of; gives one of the views, for what they share.
    pub(crate) fn check(&self, identity: &Identity) -> Result<&Source> {
        let first = &self.views.first().ok_or(Error::NoViews)?.source;
        let labels = self.views.first().map(|scored| &scored.scores).filter(|labels| !labels.is_empty());
        let mut instances = vec![&identity.instance];
        for (at, Scored { source, scores, .. }) in self.views.iter().enumerate() {
            if self.views.iter().take(at).any(|before| before.source.view == source.view) {
                return Err(Error::Repeated(source.view));
            }
            if instances.contains(&&source.sop_instance_uid) || source.series_instance_uid == identity.series {
                return Err(Error::SameUid);
            }
            instances.push(&source.sop_instance_uid);
            if source.patient != first.patient {
                return Err(Error::Patients);
            }
            if source.study != first.study {
                return Err(Error::Studies);
            }
            if !scores.values().copied().all(is_score) || !labels.is_some_and(|labels| scores.keys().eq(labels.keys()))
            {
                return Err(Error::Scores(source.view));
            }
        }
        self.check_words()?;
        Ok(first)
    }

    /// What is quoted in sentences is held to one line, as if it stood in an attribute of its own.
    fn check_words(&self) -> Result<()> {
        let labels = self.views.first().map(|scored| &scored.scores);
        let known = labels.is_some_and(|labels| labels.contains_key(&self.operating_point.score));
        if !known || !is_score(self.operating_point.least) {
            return Err(Error::Threshold);
        }
        if !(1..=9999).contains(&self.time.year()) {
            return Err(Error::Time);
        }
        let label = Attribute { keyword: "OperatingPoint", ..Attribute::MODEL_NAME };
        let mut scratch = DataSet::default();
        scratch.required(label, &self.operating_point.label)?;
        let label = Attribute { keyword: "Label", ..Attribute::MODEL_NAME };
        labels.into_iter().flatten().try_for_each(|(name, _)| scratch.required(label, name))?;
        let findings = self.views.iter().flat_map(|scored| &scored.findings).chain(&self.findings);
        findings.take(limits::FINDINGS + 1).enumerate().try_for_each(|(at, words)| check_finding(at, words))?;
        scratch.required(Attribute::MODEL_NAME, &self.model.name)?;
        scratch.required(Attribute::SOFTWARE_VERSIONS, &self.software)
    }

    /// The views that there are of a breast, in the order of [`View::ALL`].
    pub(crate) fn of(&self, side: Laterality) -> impl Iterator<Item = &Scored> {
        self.in_order().filter(move |view| view.source.view.laterality() == side)
    }

    /// The views in the order of [`View::ALL`].
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &Scored> {
        View::ALL.iter().filter_map(|view| self.views.iter().find(|scored| scored.source.view == *view))
    }

    /// The mean of a breast's two views; nothing without both: one view's scores are its own, and no mean.
    pub(crate) fn mean(&self, side: Laterality) -> Option<Scores> {
        let mut views = self.of(side).map(|scored| &scored.scores);
        let (Some(one), Some(other)) = (views.next(), views.next()) else { return None };
        let both = one.iter().filter_map(|(label, score)| Some((label, score, other.get(label)?)));
        Some(both.map(|(label, score, other)| (label.clone(), f64::midpoint(*score, *other))).collect())
    }

    /// The day of the answer (DA).
    pub(crate) fn date(&self) -> String {
        format!("{:04}{:02}{:02}", self.time.year(), u8::from(self.time.month()), self.time.day())
    }

    /// The time of the answer (TM).
    pub(crate) fn clock(&self) -> String {
        format!("{:02}{:02}{:02}", self.time.hour(), self.time.minute(), self.time.second())
    }
}

/// One line, which a sentence can hold, and not too many.
fn check_finding(at: usize, words: &str) -> Result<()> {
    let broken = match words {
        _ if at >= limits::FINDINGS => Some(Rule::TooLong(limits::FINDINGS)),
        "" => Some(Rule::Empty),
        words if words.chars().any(|c| c.is_control() || c == '\\') => Some(Rule::Character),
        words if words.chars().count() > limits::FINDING => Some(Rule::TooLong(limits::FINDING)),
        _ => None,
    };
    broken.map_or(Ok(()), |rule| Err(Error::Value { attribute: "Findings", rule }))
}

/// As receipts have them: zero has no sign.
fn is_score(number: f64) -> bool {
    (0.0..=1.0).contains(&number) && number.is_sign_positive()
}

impl Source {
    /// The spacing, from row to row and from column to column, as decimal strings (DS).
    pub(crate) fn decimal_spacing(&self) -> Result<Option<[String; 2]>> {
        let Some(Spacing { between_rows, between_columns }) = self.spacing else { return Ok(None) };
        let distances = [between_rows, between_columns];
        if !distances.iter().all(|distance| limits::SPACING_MM.contains(distance)) {
            return Err(Error::Spacing(self.view));
        }
        // Ten nanometres: sixteen characters hold it.
        Ok(Some(
            distances.map(|distance| format!("{distance:.8}").trim_end_matches('0').trim_end_matches('.').to_owned()),
        ))
    }
}

impl Patient {
    /// The Patient Module (PS3.3, C.7.1.1).
    pub(crate) fn write(&self, data: &mut DataSet) -> Result<()> {
        if !matches!(self.sex.as_str(), "" | "M" | "F" | "O") {
            return Err(Error::Value { attribute: Attribute::SEX.keyword, rule: Rule::Term });
        }
        data.text(Attribute::PATIENT_NAME, &self.name)?;
        data.text(Attribute::PATIENT_ID, &self.id)?;
        data.text(Attribute::BIRTH_DATE, &self.birth_date)?;
        data.text(Attribute::SEX, &self.sex)
    }
}

impl Study {
    /// The General Study Module (PS3.3, C.7.2.1).
    pub(crate) fn write(&self, data: &mut DataSet) -> Result<()> {
        data.uid(Attribute::STUDY_INSTANCE, &self.instance_uid);
        data.text(Attribute::STUDY_DATE, &self.date)?;
        data.text(Attribute::STUDY_TIME, &self.time)?;
        data.text(Attribute::STUDY_ID, &self.id)?;
        data.text(Attribute::ACCESSION_NUMBER, &self.accession_number)?;
        data.text(Attribute::REFERRING_PHYSICIAN, &self.referring_physician)
    }
}
