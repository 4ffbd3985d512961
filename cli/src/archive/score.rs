//! One share of an archive against one enclave: an image after the other, with patience for an enclave that is busy.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cloister_attest::MODEL_PCR;
use cloister_client::{Classification, Error, Session};
use cloister_imaging::View;

use super::Summary;
use super::manifest::{self, Image};
use super::results::{Results, Wanted};
use crate::enclave::{self, Place};
use crate::failure::Failure;
use crate::files;

/// Before the second try of an image where the enclave does not say when; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Between two tries, whatever the enclave says: a place in its queue comes free within seconds, a rate counts by the minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often an image is sent to an enclave that answers it could not compute a score: another image may do better.
const FAULTS: u32 = 3;

/// What scores.
pub struct Scorer {
    place: Place,
    session: Session,
    root: PathBuf,
    crops: Option<u32>,
    wait: Duration,
}

/// What became of one image.
enum Outcome {
    Scored(Box<Classification>),
    Refused(String),
}

/// What an error of one try means.
enum Meaning {
    /// Another try may do, in so long if the enclave said so.
    Again(Option<Duration>),
    /// It is the image's fault, or at least none of the images after it.
    Image,
    /// There is no sense in going on.
    Stop,
}

/// Scores a share, and says what was done. What is known when it cannot go on is written all the same.
pub async fn all(mut scorer: Scorer, share: Vec<Image>, mut results: Results) -> Result<Summary, Failure> {
    let mut summary = Summary::default();
    for image in share {
        if let Err(failure) = scorer.one(&image, &mut results, &mut summary).await {
            // Why it stopped counts, and not that the disk is full besides.
            let unwritten = results.write().err();
            let failure = failure.about(&image.id);
            return Err(unwritten.into_iter().fold(failure, Failure::and));
        }
    }
    summary.results = results.finish()?;
    Ok(summary)
}

impl Scorer {
    /// Sends the images below `root` to the enclave of `place`, with whom `session` is verified.
    pub fn new(place: Place, session: Session, root: PathBuf, crops: Option<u32>, wait: Duration) -> Self {
        Self { place, session, root, crops, wait }
    }

    async fn one(&mut self, image: &Image, results: &mut Results, summary: &mut Summary) -> Result<(), Failure> {
        let bytes = match manifest::locate(&self.root, image).and_then(|path| files::read(&path)) {
            Ok(bytes) => bytes,
            Err(failure) => {
                summary.refused += 1;
                return results.refused(image, None, failure.to_string());
            }
        };
        let file = cloister_client::Image::from(bytes);
        let sha256 = hex::encode(file.sha256());
        let model_pcr = self.session.attested().pcrs.get(&MODEL_PCR).map(Vec::as_slice);
        if results.keep(image, &Wanted { sha256: &sha256, model_pcr, crops: self.crops })? {
            summary.kept += 1;
            return Ok(());
        }
        match self.classify(file, image.view).await? {
            Outcome::Scored(answer) => {
                summary.scored += 1;
                results.scored(image, &sha256, *answer)
            }
            Outcome::Refused(error) => {
                summary.refused += 1;
                results.refused(image, Some(&sha256), error)
            }
        }
    }

    async fn classify(&mut self, file: cloister_client::Image, view: View) -> Result<Outcome, Failure> {
        if cloister_seal::is_sealed(file.bytes()) {
            return Ok(Outcome::Refused("it is sealed, so that its score would be; it takes no part".to_owned()));
        }
        let end = Instant::now() + self.wait;
        let mut pause = FIRST_PAUSE;
        let mut faults = 0;
        let mut broken = false;
        loop {
            if broken || !self.session.is_open() {
                self.session = self.place.session(end.saturating_duration_since(Instant::now())).await?;
            }
            let error = match self.session.classify(file.clone(), view, self.crops, None).await {
                Ok(answer) => return Ok(Outcome::Scored(Box::new(answer))),
                Err(error) => error,
            };
            broken = !matches!(error, Error::Refused { .. });
            faults += u32::from(is_fault(&error));
            match meaning(&error) {
                Meaning::Again(after) if faults < FAULTS && Instant::now() < end => {
                    tokio::time::sleep(after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Meaning::Image => return Ok(Outcome::Refused(error.to_string())),
                Meaning::Again(_) if is_fault(&error) => return Ok(Outcome::Refused(error.to_string())),
                Meaning::Again(_) | Meaning::Stop => return Err(enclave::failure(error)),
            }
        }
    }
}

/// An enclave that is there and could not answer, for a reason of its own.
fn is_fault(error: &Error) -> bool {
    matches!(error, Error::Refused { status: 500..=599, .. }) && !enclave::may_come(error)
}

fn meaning(error: &Error) -> Meaning {
    match error {
        &Error::Refused { status: 408 | 429 | 500..=599, retry_after, .. } => Meaning::Again(retry_after),
        // Whoever is not let in with one image is let in with none.
        Error::Refused { status: 401 | 403, .. } => Meaning::Stop,
        Error::Refused { status: 400..=499, .. } => Meaning::Image,
        error if enclave::may_come(error) => Meaning::Again(None),
        _ => Meaning::Stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, seconds: Option<u64>) -> Error {
        let (kind, title) = ("about:blank".to_owned(), "no".to_owned());
        Error::Refused { status, kind, title, detail: None, retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn a_busy_enclave_is_asked_again_when_it_says() {
        for status in [408, 429, 500, 503] {
            let after = Some(Duration::from_secs(7));
            assert!(matches!(meaning(&refused(status, Some(7))), Meaning::Again(said) if said == after), "{status}");
        }
        assert!(matches!(meaning(&refused(503, None)), Meaning::Again(None)));
        let after = Duration::from_secs(1);
        assert!(matches!(meaning(&Error::Timeout { what: "an answer", after }), Meaning::Again(None)));
    }

    #[test]
    fn an_image_that_is_refused_stops_none_but_a_credential_that_is_refused_stops_all() {
        for status in [400, 413, 415, 422] {
            assert!(matches!(meaning(&refused(status, None)), Meaning::Image), "{status}");
        }
        for status in [401, 403] {
            assert!(matches!(meaning(&refused(status, None)), Meaning::Stop), "{status}");
        }
        assert!(matches!(meaning(&Error::OtherResult("a result")), Meaning::Stop));
    }

    #[test]
    fn only_what_the_enclave_could_not_compute_counts_as_its_fault() {
        assert!(is_fault(&refused(500, None)));
        for status in [408, 422, 429, 503] {
            assert!(!is_fault(&refused(status, None)), "{status}");
        }
    }
}
