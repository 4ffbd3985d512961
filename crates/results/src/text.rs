//! Basic Text SR (PS3.3, A.35.1) by TID 2000 (PS3.16): the same in sentences, for whoever has no CAD workstation.

use cloister_imaging::Laterality;

use crate::code::Code;
use crate::content::{Content, Relation};
use crate::exam::{Exam, Identity};
use crate::object::{MANUFACTURER, describe, document};
use crate::sentences::{self, NOTICE, SIDES};
use crate::{Result, Uid};

pub(crate) const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.88.11";

/// A Basic Text SR file of the exam.
///
/// # Errors
/// An [`Error`](crate::Error) where the exam is none, or a value does not fit its attribute.
pub fn basic_text_sr(exam: &Exam, identity: &Identity) -> Result<Vec<u8>> {
    let source = exam.check(identity)?;
    let mut data =
        describe(exam, source, identity, SOP_CLASS, "SR", "Cloister: scores in words, not for clinical use")?;
    document(exam, &mut data)?;
    root(exam).write_root(&mut data, "2000")?;
    data.file(SOP_CLASS, &identity.instance)
}

/// TID 2000. Its title is that of a CAD report: no radiologist reported anything, and CID 7000 has only what they report.
fn root(exam: &Exam) -> Content {
    let conclusion = Content::text(Code::CONCLUSION, sentences::operating_point(exam));
    let summary = [Some(NOTICE.to_owned()), sentences::findings(exam)];
    let summary = summary.into_iter().flatten().map(|words| Content::text(Code::SUMMARY_SECTION, words));
    Content::container(Code::CAD_REPORT)
        .with(Relation::ConceptModifier, Content::code(Code::LANGUAGE, Code::ENGLISH))
        .with_all(Relation::ObservationContext, observer(exam))
        .with(Relation::Contains, section(Code::SUMMARY_SECTION, summary))
        .with_all(Relation::Contains, SIDES.map(|side| breast(exam, side)))
        .with(Relation::Contains, section(Code::CONCLUSIONS_SECTION, [conclusion]))
        .with(Relation::Contains, procedure(exam))
}

/// TID 1002 and TID 1004: a device, which has the same UID wherever the same model runs.
fn observer(exam: &Exam) -> [Content; 5] {
    [
        Content::code(Code::OBSERVER_TYPE, Code::DEVICE),
        Content::uid(Code::DEVICE_UID, Uid::of_digest(&exam.model.digest)),
        Content::text(Code::DEVICE_NAME, &exam.software),
        Content::text(Code::DEVICE_MANUFACTURER, MANUFACTURER),
        Content::text(Code::DEVICE_MODEL, &exam.model.name),
    ]
}

fn section(name: Code, texts: impl IntoIterator<Item = Content>) -> Content {
    Content::container(name).with_all(Relation::Contains, texts)
}

fn breast(exam: &Exam, side: Laterality) -> Content {
    let images = exam.of(side).map(|scored| Content::image(&scored.source));
    let mean = Content::text(Code::FINDING, sentences::breast(exam, side)).with_all(Relation::InferredFrom, images);
    let views = exam.of(side).map(|scored| {
        Content::text(Code::FINDING, sentences::view(exam, scored))
            .with(Relation::InferredFrom, Content::image(&scored.source))
    });
    Content::container(Code::FINDINGS_SECTION)
        .with(Relation::ConceptModifier, Content::code(Code::FINDING_SITE, Code::breast(side)))
        .with(Relation::Contains, mean)
        .with_all(Relation::Contains, views)
}

fn procedure(exam: &Exam) -> Content {
    let lines = sentences::provenance(exam).map(|line| Content::text(Code::PROCEDURE, line));
    section(Code::PROCEDURE_SECTION, lines)
}
