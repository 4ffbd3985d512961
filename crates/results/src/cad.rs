//! Mammography CAD SR (PS3.3, A.35.5) by TID 4000 (PS3.16).

use crate::Result;
use crate::code::Code;
use crate::content::{Content, Relation};
use crate::exam::{Exam, Identity, Scored};
use crate::object::{describe, document};
use crate::sentences::{self, NOTICE, SIDES};

pub(crate) const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.88.50";

/// Where the library of images stands among the root's items: behind the language.
const LIBRARY: u32 = 2;

/// A Mammography CAD SR file of the exam.
///
/// Detections are not attempted, and one analysis of whole images succeeded without findings, because a score of a whole image is
/// none of the findings that TID 4006 has. The scores are in the Impression Description (TID 4002), with what they are not.
///
/// # Errors
/// An [`Error`](crate::Error) where the exam is none, or a value does not fit its attribute.
pub fn mammography_cad_sr(exam: &Exam, identity: &Identity) -> Result<Vec<u8>> {
    let source = exam.check(identity)?;
    let mut data =
        describe(exam, source, identity, SOP_CLASS, "SR", "Cloister: mammography CAD, not for clinical use")?;
    document(exam, &mut data)?;
    root(exam)?.write_root(&mut data, "4000")?;
    data.file(SOP_CLASS, &identity.instance)
}

/// TID 4000. The order of its rows is significant.
fn root(exam: &Exam) -> Result<Content> {
    let entries: Vec<Content> = exam.in_order().map(entry).collect::<Result<_>>()?;
    let library = Content::container(Code::IMAGE_LIBRARY).with_all(Relation::Contains, entries);
    let summary = Content::code(Code::SUMMARY, Code::SUCCEEDED_WITHOUT_FINDINGS)
        .with(Relation::Properties, Content::text(Code::IMPRESSION, impression(exam)));
    let analyses = Content::container(Code::SUCCESSFUL_ANALYSES).with(Relation::Contains, analysis(exam));
    Ok(Content::container(Code::CAD_REPORT)
        .with(Relation::ConceptModifier, Content::code(Code::LANGUAGE, Code::ENGLISH))
        .with(Relation::Contains, library)
        .with(Relation::Contains, summary)
        .with(Relation::Contains, Content::code(Code::DETECTIONS, Code::NOT_ATTEMPTED))
        .with(
            Relation::Contains,
            Content::code(Code::ANALYSES, Code::SUCCEEDED).with(Relation::InferredFrom, analyses),
        ))
}

/// TID 4020: an image, with what a workstation needs to hold it against the one that it shows.
fn entry(scored: &Scored) -> Result<Content> {
    let source = &scored.source;
    let mut context = vec![
        Content::code(Code::LATERALITY, Code::breast(source.view.laterality())),
        Content::code(Code::VIEW, Code::view(source.view.angle())),
    ];
    if let Some([row, column]) = &source.orientation {
        context.push(Content::text(Code::ROW_ORIENTATION, row));
        context.push(Content::text(Code::COLUMN_ORIENTATION, column));
    }
    if !source.study.date.is_empty() {
        context.push(Content::date(Code::STUDY_DATE, &source.study.date));
    }
    if !source.study.time.is_empty() {
        context.push(Content::time(Code::STUDY_TIME, &source.study.time));
    }
    if let Some([between_rows, between_columns]) = source.decimal_spacing()? {
        context.push(Content::number(Code::HORIZONTAL_SPACING, between_columns, Code::MILLIMETER));
        context.push(Content::number(Code::VERTICAL_SPACING, between_rows, Code::MILLIMETER));
    }
    Ok(Content::image(source).with_all(Relation::AcquisitionContext, context))
}

fn impression(exam: &Exam) -> String {
    let mut lines = vec![NOTICE.to_owned()];
    lines.extend(sentences::findings(exam));
    lines.extend(SIDES.map(|side| sentences::breast(exam, side)));
    lines.extend(exam.in_order().map(|scored| sentences::view(exam, scored)));
    lines.push(sentences::operating_point(exam));
    lines.join("\r\n")
}

/// TID 4018 and TID 4019: which algorithm, and on which images of the library.
fn analysis(exam: &Exam) -> Content {
    let [model, receipt, computed] = sentences::provenance(exam);
    let images = (1..).zip(&exam.views).map(|(at, _)| Content::elsewhere(vec![1, LIBRARY, at]));
    Content::code(Code::ANALYSIS, Code::OVERALL_ANALYSIS)
        .with(Relation::Properties, Content::text(Code::ALGORITHM_NAME, &exam.model.name))
        .with(Relation::Properties, Content::text(Code::ALGORITHM_VERSION, exam.model.version.to_string()))
        .with_all(
            Relation::Properties,
            [model, receipt, computed, sentences::operating_point(exam)]
                .map(|line| Content::text(Code::ALGORITHM_PARAMETERS, line)),
        )
        .with_all(Relation::Properties, images)
}
