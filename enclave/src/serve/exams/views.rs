//! Which of an exam's images is which view, and whether DICOM files belong to one exam.

use std::collections::BTreeMap;

use cloister_dicom::{ComparisonKey, Outline};
use cloister_imaging::View;

use super::Mixed;
use crate::serve::decoding::Image;
use crate::serve::problem::Problem;

/// Four images, in the order of [`View::ALL`], and what is to be said of them together.
pub(super) struct Exam {
    pub(super) images: Vec<(View, Image)>,
    pub(super) findings: Vec<&'static str>,
}

/// Finds each image's view: the request's name for it, or what the file says. It reads DICOM files but for their pixels, and so is for
/// a thread that may block.
pub(super) fn arrange(images: Vec<Image>, mixed: Option<Mixed>) -> Result<Exam, Problem> {
    let mut arranged = BTreeMap::new();
    let mut outlines = Vec::new();
    for (index, image) in images.into_iter().enumerate() {
        let outline = image.outline().map_err(|problem| in_part(problem, image.view(), index))?;
        let view = image.view().or(outline.as_ref().map(|outline| outline.view));
        let view = view.ok_or(Problem::Internal("an image has no view"))?;
        if arranged.insert(view, image).is_some() {
            return Err(Problem::PartTwice(view));
        }
        outlines.extend(outline);
    }
    let found = findings(&outlines);
    if let (None, Some((_, problem))) = (mixed, found.first()) {
        return Err(Problem::ExamMixed(problem));
    }
    let in_order =
        View::ALL.into_iter().map(|view| Ok((view, arranged.remove(&view).ok_or(Problem::PartMissing(view))?)));
    Ok(Exam {
        images: in_order.collect::<Result<_, Problem>>()?,
        findings: found.iter().map(|(code, _)| *code).collect(),
    })
}

/// Refuses an exam that lacks a view, where all are named.
pub(super) fn check_missing(images: &[Image]) -> Result<(), Problem> {
    let missing = View::ALL.into_iter().find(|view| !images.iter().any(|image| image.view() == Some(*view)));
    missing.map_or(Ok(()), |view| Err(Problem::PartMissing(view)))
}

/// Codes, and words for a refusal. Files without a PatientID are told apart by nothing.
fn findings(outlines: &[Outline]) -> Vec<(&'static str, &'static str)> {
    let patients = differ(outlines.iter().filter_map(|outline| outline.patient));
    let studies = differ(outlines.iter().map(|outline| outline.study));
    let patients = patients.then_some(("mixed-patients", "PatientID (0010,0020) differs between them"));
    let studies = studies.then_some(("mixed-studies", "StudyInstanceUID (0020,000d) differs between them"));
    patients.into_iter().chain(studies).collect()
}

fn differ(mut keys: impl Iterator<Item = ComparisonKey>) -> bool {
    keys.next().is_some_and(|first| keys.any(|key| key != first))
}

/// Says which part a problem is about: its view, or its number where it has no other name.
fn in_part(problem: Problem, view: Option<View>, index: usize) -> Problem {
    match (view, problem) {
        (Some(view), problem) => problem.with_view(view),
        (None, Problem::Dicom { part: None, refusal }) => {
            Problem::Dicom { part: Some(format!("part {}", index + 1)), refusal }
        }
        (None, problem) => problem,
    }
}
