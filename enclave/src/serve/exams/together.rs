//! Exams that are scored as a whole, by networks that look at both breasts.

use std::collections::BTreeMap;

use cloister_imaging::{Laterality, View};
use cloister_model::{Classifier, mean_of_angles};

use super::check_new;
use crate::serve::decoding::Image;
use crate::serve::images::{no_scores, prepare_view};
use crate::serve::problem::Problem;
use crate::serve::receipt::{Asked, Computed, Scores};

/// Images that are held prepared at a time: the two of one angle.
pub(super) const AT_A_TIME: usize = 2;

/// What is said of each view, and each breast's scores, from images in the order L-CC, R-CC, L-MLO, R-MLO.
pub(super) fn classify(
    classifier: &Classifier,
    images: Vec<(View, Image)>,
    asked: &Asked,
) -> Result<(Vec<Computed>, BTreeMap<&'static str, Scores>), Problem> {
    let (mut views, mut angles, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    let mut images = images.into_iter();
    while let (Some(left), Some(right)) = (images.next(), images.next()) {
        let mut prepared = |(view, image): (View, Image)| {
            let prepared = prepare_view(classifier, image, asked).map_err(|problem| problem.with_view(view))?;
            check_new(&mut pictures, view, &prepared)?;
            Ok::<_, Problem>(prepared)
        };
        let (left, right) = (prepared(left)?, prepared(right)?);
        angles.push(classifier.score_pair(left.view(), right.view()).map_err(no_scores)?);
        views.extend([left.placed()?, right.placed()?]);
    }
    let side = |side| match side {
        Laterality::Left => "left",
        Laterality::Right => "right",
    };
    Ok((views, mean_of_angles(&angles).into_iter().map(|(breast, scores)| (side(breast), scores)).collect()))
}
