//! Known answers as they are computed where a package is made.

use cloister_imaging::View;

use crate::{Classifier, Error, Generator, KnownAnswer, SyntheticImage};

/// The synthetic image. Half of a common detector's resolution: enough to be prepared as any other.
const HEIGHT: usize = 1664;
const WIDTH: usize = 1280;
const SEED: u64 = 1;

/// How far a known answer may be missed. Other processors sum in other orders, and are within 1e-6.
const TOLERANCE: f64 = 1e-4;

/// What the model says of one noiseless crop of each view that it has no known answer for.
pub(crate) fn answers(classifier: &Classifier) -> Result<Vec<KnownAnswer>, Error> {
    let image = SyntheticImage { generator: Generator::Synthetic1, seed: SEED, height: HEIGHT, width: WIDTH };
    let known = |view: View| {
        let scores = classifier.classify(&image.draw(view), view, 1)?.scores;
        Ok(KnownAnswer { view, image: image.clone(), crops: 1, tolerance: TOLERANCE, scores })
    };
    let given = classifier.known_answers();
    classifier.views().filter(|view| given.iter().all(|given| given.view != *view)).map(known).collect()
}
