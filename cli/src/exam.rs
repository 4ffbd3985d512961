//! `cloister model exam`: one exam's four views, scored on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_imaging::{Laterality, View};
use cloister_model::{Classification, Classifier, Error, ExamScores, mean_of_angles};
use ndarray::Array2;
use serde::Serialize;

use crate::failure::Failure;
use crate::model::Local;
use crate::picture::Picture;
use crate::{files, model, output};

/// What `cloister model exam` takes.
#[derive(Args)]
pub(crate) struct Exam {
    #[command(flatten)]
    local: Local,
    /// The left craniocaudal view: a greyscale PNG, or a DICOM file, as the others.
    #[arg(long, value_name = "FILE")]
    l_cc: PathBuf,
    /// The right craniocaudal view.
    #[arg(long, value_name = "FILE")]
    r_cc: PathBuf,
    /// The left mediolateral oblique view.
    #[arg(long, value_name = "FILE")]
    l_mlo: PathBuf,
    /// The right mediolateral oblique view.
    #[arg(long, value_name = "FILE")]
    r_mlo: PathBuf,
}

/// As an enclave answers it.
#[derive(Serialize)]
struct Answer {
    breasts: BTreeMap<Laterality, BTreeMap<String, f64>>,
    views: Vec<Classification>,
}

/// Scores the four views: together where the model looks at both breasts, one by one where it does not.
pub(crate) fn run(arguments: &Exam) -> Result<(), Failure> {
    let (package, classifier) = arguments.local.load()?;
    let paths = View::ALL.into_iter().zip([&arguments.l_cc, &arguments.r_cc, &arguments.l_mlo, &arguments.r_mlo]);
    let images = paths.map(|(view, path)| Ok((view, read(path, view)?))).collect::<Result<_, Failure>>()?;
    let answer = score(&classifier, &images, arguments.local.crops).map_err(model::failure)?;
    if arguments.local.json {
        return output::json(&answer);
    }
    let words = |scores: &BTreeMap<String, f64>| {
        scores.iter().map(|(label, score)| format!("{label} {score:.4}")).collect::<Vec<_>>().join("  ")
    };
    for (side, scores) in &answer.breasts {
        let side = if *side == Laterality::Left { "left" } else { "right" };
        output::line(format_args!("{side:<5} breast  {}", words(scores)))?;
    }
    for view in answer.views.iter().filter(|view| !view.scores.is_empty()) {
        output::line(format_args!("  {:<5}       {}", view.view, words(&view.scores)))?;
    }
    output::line(format_args!("intended use: {}", package.manifest().intended_use))
}

fn read(path: &Path, view: View) -> Result<Array2<u16>, Failure> {
    let bytes = files::read(path)?;
    let picture = Picture::read(path, &bytes)?;
    picture.view(path, Some(view))?;
    Ok(picture.pixels)
}

fn score(classifier: &Classifier, images: &BTreeMap<View, Array2<u16>>, crops: u32) -> Result<Answer, Error> {
    if classifier.needs_exam() {
        let ExamScores { breasts, views } = classifier.classify_exam(images, crops)?;
        return Ok(Answer { breasts, views });
    }
    let views = images.iter().map(|(view, image)| classifier.classify(image, *view, crops));
    let views: Vec<Classification> = views.collect::<Result<_, _>>()?;
    let angles: Vec<_> = views
        .chunks(2)
        .map(|pair| pair.iter().map(|view| (view.view.laterality(), view.scores.clone())).collect())
        .collect();
    Ok(Answer { breasts: mean_of_angles(&angles), views })
}
