//! Which of an exam's images is which view, and whether DICOM files belong to one exam.

use std::collections::BTreeMap;

use cloister_dicom::{ComparisonKey, Outline};
use cloister_imaging::View;

use super::Allowed;
use crate::serve::decoding::Image;
use crate::serve::problem::Problem;

/// The images, in the order of [`View::ALL`], and what is to be said of them together.
pub(super) struct Exam {
    pub(super) images: Vec<(View, Image)>,
    pub(super) findings: Vec<&'static str>,
}

/// Finds each image's view: the request's name for it, or what the file says. It reads DICOM files but for their pixels, and so is for
/// a thread that may block.
pub(super) fn arrange(images: Vec<Image>, allowed: Allowed) -> Result<Exam, Problem> {
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
    let mixed = mixed(&outlines);
    if let (false, Some((_, problem))) = (allowed.mixed, mixed.first()) {
        return Err(Problem::ExamMixed(problem));
    }
    let absent: Vec<_> = View::ALL.into_iter().filter(|view| !arranged.contains_key(view)).collect();
    if let (false, Some(view)) = (allowed.missing, absent.first()) {
        return Err(Problem::PartMissing(*view));
    }
    let in_order = View::ALL.into_iter().filter_map(|view| Some((view, arranged.remove(&view)?)));
    let images = in_order.collect();
    let mut findings: Vec<_> = absent.into_iter().map(missing).chain(mixed.into_iter().map(|(code, _)| code)).collect();
    findings.sort_unstable();
    Ok(Exam { images, findings })
}

/// The finding that an exam lacks a view.
fn missing(view: View) -> &'static str {
    match view {
        View::LCc => "missing-L-CC",
        View::LMlo => "missing-L-MLO",
        View::RCc => "missing-R-CC",
        View::RMlo => "missing-R-MLO",
    }
}

/// Refuses an exam that lacks a view, where all are named.
pub(super) fn check_missing(images: &[Image]) -> Result<(), Problem> {
    let missing = View::ALL.into_iter().find(|view| !images.iter().any(|image| image.view() == Some(*view)));
    missing.map_or(Ok(()), |view| Err(Problem::PartMissing(view)))
}

/// Codes, and words for a refusal. Files without a PatientID are told apart by nothing.
fn mixed(outlines: &[Outline]) -> Vec<(&'static str, &'static str)> {
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
