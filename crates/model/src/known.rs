//! Known answers as they are computed where a package is made.

use cloister_imaging::View;

use crate::{Classifier, Error, Generator, KnownAnswer, KnownExam, Manifest, SyntheticImage};

/// The synthetic image. Half of a common detector's resolution: enough to be prepared as any other.
const HEIGHT: usize = 1664;
const WIDTH: usize = 1280;
const SEED: u64 = 1;

/// How far a known answer may be missed. Other processors sum in other orders, and are within 1e-6.
const TOLERANCE: f64 = 1e-4;

/// Adds what the model says of one noiseless crop of each view that has no known answer, or of an exam of such crops where there is none.
pub(crate) fn complete(manifest: &mut Manifest, classifier: &Classifier) -> Result<(), Error> {
    let image = SyntheticImage { generator: Generator::Synthetic1, seed: SEED, height: HEIGHT, width: WIDTH };
    if classifier.needs_exam() {
        if manifest.known_exams.is_empty() {
            let breasts = classifier.classify_known(&image, 1)?.breasts;
            manifest.known_exams.push(KnownExam { image, crops: 1, tolerance: TOLERANCE, breasts });
        }
        return Ok(());
    }
    let missing = |view: &View| manifest.known_answers.iter().all(|known| known.view != *view);
    let views: Vec<View> = classifier.views().filter(missing).collect();
    for view in views {
        let scores = classifier.classify(&image.draw(view), view, 1)?.scores;
        manifest.known_answers.push(KnownAnswer { view, image: image.clone(), crops: 1, tolerance: TOLERANCE, scores });
    }
    Ok(())
}
