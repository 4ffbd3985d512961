//! Exams as a whole: networks that look at the left and the right breast together, and the mean of what they say from both angles.

use std::collections::BTreeMap;

use cloister_imaging::{Angle, Finding, Laterality, View};
use ndarray::Array2;

use crate::{Classification, Classifier, Error, KnownExam, classifier::BREASTS, input::Inputs, limits};

/// By label.
type Scores = BTreeMap<String, f64>;

/// An image that was prepared for the network of its angle, which looks at both breasts.
pub struct PreparedView {
    view: View,
    inputs: Inputs,
}

impl PreparedView {
    /// What a person should look at in the image before they believe a score of it.
    pub fn findings(&self) -> &[Finding] {
        self.inputs.findings()
    }

    /// The view that the image was taken for.
    pub fn view(&self) -> View {
        self.view
    }

    /// Where the network will look, and no scores: it has none of one view.
    pub fn place(&self) -> Classification {
        Classification {
            view: self.view,
            window: self.inputs.window(),
            best_center: self.inputs.best_center(),
            scores: Scores::new(),
            crops: self.inputs.len() as u32,
            map: None,
        }
    }
}

/// What a model says about an exam.
#[derive(Clone, Debug, PartialEq)]
pub struct ExamScores {
    /// The mean probability of each label over crops and angles.
    pub breasts: BTreeMap<Laterality, Scores>,
    /// Where the networks looked, in the order L-CC, R-CC, L-MLO, R-MLO. No view has scores of its own.
    pub views: Vec<Classification>,
}

impl Classifier {
    /// Whether the model scores whole exams, and no single images.
    pub fn needs_exam(&self) -> bool {
        !self.pairs.is_empty()
    }

    /// What the network of its angle is to see of an image. The image itself may be dropped then.
    ///
    /// # Errors
    /// A model that scores each view alone; a number of crops outside of 1 to [`limits::MAX_CROPS`]; an image that cannot be prepared.
    pub fn prepare_view(&self, image: &Array2<u16>, view: View, crops: u32) -> Result<PreparedView, Error> {
        if !(1..=limits::MAX_CROPS).contains(&crops) {
            return Err(Error::Crops { given: crops, limit: limits::MAX_CROPS });
        }
        let network = self.pairs.get(&view.angle()).ok_or(Error::NeedsViews)?;
        let inputs = Inputs::prepare(&self.preprocessing, image, view, network.window(), crops)?;
        Ok(PreparedView { view, inputs })
    }

    /// Runs the network of one angle on each crop of the left breast together with the same crop of the right one, and averages the
    /// probabilities.
    ///
    /// # Errors
    /// Views of other angles or sides, or of another number of crops; a network that fails or gives anything but probabilities.
    pub fn score_pair(&self, left: &PreparedView, right: &PreparedView) -> Result<BTreeMap<Laterality, Scores>, Error> {
        let angle = left.view.angle();
        let network = self.pairs.get(&angle).ok_or(Error::NeedsViews)?;
        let sides = [(left, Laterality::Left), (right, Laterality::Right)];
        for (view, side) in sides {
            if view.view.laterality() != side || view.view.angle() != angle {
                return Err(Error::MissingView(of(side, angle)));
            }
        }
        if left.inputs.len() != right.inputs.len() {
            let given = right.inputs.len() as u32;
            return Err(Error::Crops { given, limit: left.inputs.len() as u32 });
        }
        let render = |index: usize, buffer: &mut [f32]| {
            let (first, second) = buffer.split_at_mut(buffer.len() / BREASTS);
            left.inputs.render(index, network.channels(), first)?;
            right.inputs.render(index, network.channels(), second)
        };
        let runs = self.run(network, (&self.labels_of_pairs(), None), left.inputs.len(), render)?;
        // Summed in the crops' order, so that the number of threads does not show in the last digits.
        let mean = |at: usize| runs.iter().map(|run| run.scores[at]).sum::<f64>() / runs.len() as f64;
        let breast = |side: usize| -> Scores {
            self.labels.iter().enumerate().map(|(at, label)| (label.clone(), mean(at * BREASTS + side))).collect()
        };
        Ok([(Laterality::Left, breast(0)), (Laterality::Right, breast(1))].into())
    }

    /// Scores an exam of four views.
    ///
    /// # Errors
    /// As [`Classifier::prepare_view`] and [`Classifier::score_pair`]; a view that is missing.
    pub fn classify_exam(&self, images: &BTreeMap<View, Array2<u16>>, crops: u32) -> Result<ExamScores, Error> {
        let mut views = Vec::new();
        let mut angles = Vec::new();
        for angle in [Angle::Cc, Angle::Mlo] {
            let prepared = |side| {
                let view = of(side, angle);
                self.prepare_view(images.get(&view).ok_or(Error::MissingView(view))?, view, crops)
            };
            let (left, right) = (prepared(Laterality::Left)?, prepared(Laterality::Right)?);
            angles.push(self.score_pair(&left, &right)?);
            views.extend([left.place(), right.place()]);
        }
        Ok(ExamScores { breasts: mean_of_angles(&angles), views })
    }

    /// A label for each of a pair's outputs.
    pub(crate) fn labels_of_pairs(&self) -> Vec<String> {
        self.labels.iter().flat_map(|label| std::iter::repeat_n(label.clone(), BREASTS)).collect()
    }

    /// The four images of a known exam.
    pub(crate) fn classify_known(&self, known: &crate::SyntheticImage, crops: u32) -> Result<ExamScores, Error> {
        let images = View::ALL.map(|view| (view, known.draw(view)));
        self.classify_exam(&images.into(), crops)
    }

    pub(crate) fn check_known_exam(&self, index: usize, known: &KnownExam) -> Result<(), Error> {
        let breasts = self.classify_known(&known.image, known.crops)?.breasts;
        for (side, expected) in &known.breasts {
            for (label, expected) in expected {
                let score = breasts.get(side).and_then(|scores| scores.get(label));
                let difference = score.map_or(f64::INFINITY, |score| (score - expected).abs());
                if difference > known.tolerance {
                    let side = match side {
                        Laterality::Left => "left",
                        Laterality::Right => "right",
                    };
                    let (label, tolerance) = (label.clone(), known.tolerance);
                    return Err(Error::KnownExam { index, side, label, difference, tolerance });
                }
            }
        }
        Ok(())
    }
}

/// The mean of what each angle's network says, breast by breast and label by label.
pub fn mean_of_angles(angles: &[BTreeMap<Laterality, Scores>]) -> BTreeMap<Laterality, Scores> {
    let mut means = angles.first().cloned().unwrap_or_default();
    for (side, scores) in &mut means {
        for (label, mean) in scores {
            let of_each = angles.iter().filter_map(|angle| angle.get(side)?.get(label));
            *mean = of_each.sum::<f64>() / angles.len() as f64;
        }
    }
    means
}

/// The view of a side from an angle.
fn of(side: Laterality, angle: Angle) -> View {
    match (side, angle) {
        (Laterality::Left, Angle::Cc) => View::LCc,
        (Laterality::Right, Angle::Cc) => View::RCc,
        (Laterality::Left, Angle::Mlo) => View::LMlo,
        (Laterality::Right, Angle::Mlo) => View::RMlo,
    }
}

#[cfg(test)]
mod tests;
