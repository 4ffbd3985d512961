//! `cloister model exam`: one exam's four views, scored on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_imaging::{Laterality, View};
use cloister_model::{Classification, Classifier, Error, PreparedView, mean_of_angles};
use serde::Serialize;

use crate::enclave::scores as scores_in_words;
use crate::failure::Failure;
use crate::model::{Local, Viewed};
use crate::output::Explained;
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

/// Each breast's scores, by label.
type Breasts = BTreeMap<Laterality, BTreeMap<String, f64>>;

/// As an enclave answers it; what is found of an exam as a whole is the enclave's alone.
#[derive(Serialize)]
struct Answer {
    breasts: Breasts,
    views: Vec<Viewed>,
}

/// Scores the four views: together where the model looks at both breasts, one by one where it does not.
pub(crate) fn run(arguments: &Exam) -> Result<(), Failure> {
    let (package, classifier) = arguments.local.load()?;
    let paths = View::ALL.into_iter().zip([&arguments.l_cc, &arguments.r_cc, &arguments.l_mlo, &arguments.r_mlo]);
    let pictures = paths.map(|(view, path)| Ok((view, read(path, view)?))).collect::<Result<Vec<_>, Failure>>()?;
    let answer = score(&classifier, &pictures, arguments.local.crops)?;
    if arguments.local.json {
        let found = answer.views.iter().flat_map(|view| &view.findings);
        return output::json(&Explained::new(&answer, found));
    }
    for (side, scores) in &answer.breasts {
        let side = if *side == Laterality::Left { "left" } else { "right" };
        output::line(format_args!("{side:<5} breast  {}", scores_in_words(scores)))?;
    }
    for Viewed { classification: Classification { view, scores, .. }, findings, .. } in &answer.views {
        output::line(format_args!("  {view:<5}       {}", scores_in_words(scores)))?;
        output::findings("  ", findings)?;
    }
    output::line(format_args!("intended use: {}", package.manifest().intended_use))
}

fn read(path: &Path, view: View) -> Result<Picture, Failure> {
    let bytes = files::read(path)?;
    let picture = Picture::read(path, &bytes)?;
    picture.view(path, Some(view))?;
    Ok(picture)
}

fn score(classifier: &Classifier, pictures: &[(View, Picture)], crops: u32) -> Result<Answer, Failure> {
    let (mut views, mut angles) = (Vec::new(), Vec::new());
    for pair in pictures.as_chunks().0 {
        let (breasts, of_angle) = score_angle(classifier, pair, crops)?;
        angles.push(breasts);
        views.extend(of_angle);
    }
    Ok(Answer { breasts: mean_of_angles(&angles), views })
}

/// The left view of an angle and the right one: together, or one by one.
fn score_angle(
    classifier: &Classifier,
    [left, right]: &[(View, Picture); 2],
    crops: u32,
) -> Result<(Breasts, [Viewed; 2]), Failure> {
    if classifier.needs_exam() {
        let prepare = |(view, picture): &(View, Picture)| {
            classifier.prepare_view(&picture.pixels, *view, crops).map_err(|error| refused(*view, error))
        };
        let both = (prepare(left)?, prepare(right)?);
        let viewed = |(_, picture): &(View, Picture), prepared: &PreparedView| Viewed {
            classification: prepared.place(),
            findings: picture.findings(prepared.findings()),
        };
        return Ok((
            classifier.score_pair(&both.0, &both.1).map_err(model::failure)?,
            [viewed(left, &both.0), viewed(right, &both.1)],
        ));
    }
    let score = |(view, picture): &(View, Picture)| {
        let prepared = classifier.prepare(&picture.pixels, *view, crops).map_err(|error| refused(*view, error))?;
        let findings = picture.findings(prepared.findings());
        Ok::<_, Failure>(Viewed { classification: prepared.score().map_err(model::failure)?, findings })
    };
    let viewed = [score(left)?, score(right)?];
    let side = |viewed: &Viewed| (viewed.classification.view.laterality(), viewed.classification.scores.clone());
    Ok((viewed.iter().map(side).collect(), viewed))
}

/// An image is named by its view, of four that were given.
fn refused(view: View, error: Error) -> Failure {
    match error {
        Error::Image(error) => Failure::input(format!("{view}: {error}")),
        other => model::failure(other),
    }
}
