//! `POST /v1/exams`: the four views of one exam, one part a view.

mod together;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::{Extension, Json};
use cloister_imaging::{FileMemory, Laterality, View};
use cloister_model::Classifier;
use serde::{Deserialize, Serialize};
use tokio::time::Instant as Deadline;
use utoipa::ToSchema;

use super::Shared;
use super::decoding::{Held, Image, decoded_bytes};
use super::images::{
    Digests, NO_THREAD, Prepared, Purpose, Viewed, declared_length, expected, in_worker, prepare, ready,
};
use super::parts::{Part, Parts};
use super::problem::Problem;
use super::receipt::{self, Asked, Computed, OfExam, Scores};
use super::sealed::Refusal;
use super::upload::{Incoming, before};
use crate::identity::Identity;
use crate::limits;
use crate::state::ModelIdentity;

/// A whole exam's scores.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    /// `left` and `right`: by label, the mean of that side's CC and MLO views, or of the networks that look at both breasts from each angle. A
    /// side without one of its views is absent: the other view's scores are its own, and no mean.
    breasts: BTreeMap<&'static str, Scores>,
    /// L-CC, R-CC, L-MLO, R-MLO.
    views: Vec<Viewed>,
    /// What is to be said of the exam as a whole, absent when there is nothing: `missing-L-CC`, `missing-L-MLO`, `missing-R-CC`,
    /// `missing-R-MLO`, `mixed-patients`, `mixed-studies`. In the receipt too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    findings: Vec<&'static str>,
    model: ModelIdentity,
    /// The enclave's signed receipt, in base64: a COSE_Sign1 that names inputs, model and scores.
    receipt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    crops: Option<u32>,
    nonce: Option<String>,
    mixed: Option<String>,
    map: Option<String>,
    missing: Option<String>,
}

/// What a request takes that an exam is refused for otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Allowed {
    /// DICOM files of several patients or studies, as they are one exam in collections without identities.
    pub(super) mixed: bool,
    /// Fewer than four views.
    pub(super) missing: bool,
}

impl Allowed {
    fn of(mixed: Option<&str>, missing: Option<&str>) -> Result<Self, Problem> {
        Ok(Self { mixed: allows("mixed", mixed)?, missing: allows("missing", missing)? })
    }
}

/// A parameter that takes one word.
pub(super) fn allows(name: &str, word: Option<&str>) -> Result<bool, Problem> {
    match word {
        None => Ok(false),
        Some("allow") => Ok(true),
        Some(_) => Err(Problem::Query(format!("{name} takes allow alone"))),
    }
}

/// Classifies the four views of one exam.
#[utoipa::path(
    post, path = "/v1/exams", tag = "classification",
    params(
        ("crops" = Option<u32>, Query, description = "1 (noiseless) to 32 for each view; 10 by default"),
        ("nonce" = Option<String>, Query, description = "16 to 64 random bytes of the caller, in hexadecimal, for the receipt"),
        ("mixed" = Option<String>, Query, description = "allow: take DICOM files of several patients or studies, and say so in the answer"),
        ("map" = Option<String>, Query, description = "A label of the model's, such as malignant: each view's answer then holds a map of where the network looked for it"),
        ("missing" = Option<String>, Query, description = "allow: take one to four views, where the model scores each alone; a breast without both of its own gets no score"),
    ),
    request_body(content = String, content_type = "multipart/form-data", description = "Four parts, named L-CC, R-CC, L-MLO and R-MLO, \
        each an image as /v1/images takes it; a part that is a DICOM file may be named `image`, and its view is what the file says"),
    responses(
        (status = 200, body = Answer),
        super::problem::Refusals,
    )
)]
pub(super) async fn post(
    State(shared): State<Shared>,
    Extension(identity): Extension<Arc<Identity>>,
    query: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Result<Json<Answer>, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let asked = Asked::new(identity, parameters.crops, parameters.nonce.as_deref())?.with_map(parameters.map);
    let allowed = Allowed::of(parameters.mixed.as_deref(), parameters.missing.as_deref())?;
    four(&shared, asked, allowed, request).await.map(Json)
}

/// Classifies views one after the other. While the network looks at one, the next is decoded and prepared: what is held of both is no more than
/// was reserved for one, because a decoded image is dropped when it is prepared.
fn classify_all(classifier: &Classifier, images: Vec<(View, Image)>, asked: &Asked) -> Result<Vec<Computed>, Problem> {
    let ready = &|(view, image): (View, Image)| {
        (view, prepare(classifier, image, asked, Purpose::Exam).map_err(|problem| problem.with_view(view)))
    };
    let mut images = images.into_iter();
    let mut ahead = images.next().map(ready);
    let (mut scored, mut pictures) = (Vec::new(), Vec::new());
    while let Some((view, prepared)) = ahead.take() {
        let prepared = prepared?;
        check_new(&mut pictures, view, &prepared)?;
        let next = images.next();
        scored.push(std::thread::scope(|scope| {
            let beside = |image| std::thread::Builder::new().spawn_scoped(scope, move || ready(image));
            let preparing = next.map(beside).transpose().map_err(|_| NO_THREAD)?;
            let scored = prepared.score().map_err(|problem| problem.with_view(view));
            let prepared = preparing.map(|preparing| preparing.join()).transpose();
            ahead = prepared.map_err(|_| Problem::Internal("the classification ended unexpectedly"))?;
            scored
        })?);
    }
    Ok(scored)
}

/// Refuses a picture that came before, straight or mirrored.
fn check_new<T>(pictures: &mut Vec<(View, Digests)>, view: View, prepared: &Prepared<T>) -> Result<(), Problem> {
    if let Some((earlier, _)) = pictures.iter().find(|(_, digests)| prepared.is_same_picture(digests)) {
        return Err(Problem::SameImage(*earlier, view));
    }
    pictures.push((view, prepared.digests()));
    Ok(())
}

/// Receives, queues and classifies the four views, or those that there are.
pub(super) async fn four(shared: &Shared, asked: Asked, allowed: Allowed, request: Request) -> Result<Answer, Problem> {
    let loaded = ready(shared)?;
    asked.check_map(&loaded.classifier, &View::ALL)?;
    let declared = declared_length(request.headers());
    let reserved = loaded.admission.reserve(declared, limits::MAX_EXAM_BYTES)?;
    // Networks that look at both breasts from each angle have nothing to say of fewer views.
    let whole = loaded.classifier.needs_exam();
    let allowed = Allowed { missing: allowed.missing && !whole, ..allowed };
    let incoming = || Incoming::new(expected(declared, View::ALL.len()), reserved.clone());
    let images = receive(Parts::of(request, reserved.clone()).await?, incoming, allowed).await?;
    let held = Held {
        prepared: if whole { together::AT_A_TIME } else { 1 },
        windows: images.len().min(WINDOWS_AT_A_TIME) * loaded.classifier.prepared_bytes(),
    };
    let turn = loaded.admission.turn(images.len(), decoded_bytes(&images, held)?).await?;
    let nsm = Arc::clone(&shared.nsm);
    in_worker((reserved, turn), move || {
        let views::Exam { images, findings } = views::arrange(images, allowed)?;
        let (scored, breasts) = if whole {
            together::classify(&loaded.classifier, images, &asked)?
        } else {
            let scored = classify_all(&loaded.classifier, images, &asked)?;
            let breasts = breasts(&scored);
            (scored, breasts)
        };
        let claims: Vec<_> = scored.iter().collect();
        let of_exam = OfExam { breasts: breasts.clone(), findings: findings.clone() };
        let receipt = receipt::issue(&asked, nsm.as_ref(), &loaded, &claims, of_exam)?;
        let views = scored.into_iter().map(|scored| scored.viewed).collect();
        Ok(Answer { breasts, views, findings, model: loaded.model.clone(), receipt })
    })
    .await
}

/// Windows that are held at a time: the two of one angle, or that which a network looks at and the next one's.
const WINDOWS_AT_A_TIME: usize = 2;

/// What a part is named that is a DICOM file, where the file is to say its view.
const ANY_VIEW: &str = "image";

/// The images, as they came.
async fn receive(mut parts: Parts, incoming: impl Fn() -> Incoming, allowed: Allowed) -> Result<Vec<Image>, Problem> {
    let deadline = Deadline::now() + limits::UPLOAD_TIMEOUT;
    let mut images: Vec<Image> = Vec::new();
    while let Some(part) = before(deadline, parts.next()).await?? {
        let unknown = Problem::PartUnknown(part.name().chars().take(40).collect());
        let view: Option<View> = match part.name() {
            ANY_VIEW => None,
            name => Some(name.parse().map_err(|_| unknown.clone())?),
        };
        if let Some(view) = view
            && images.iter().any(|image| image.view() == Some(view))
        {
            return Err(Problem::PartTwice(view));
        }
        if images.len() == View::ALL.len() {
            return Err(Problem::TooManyParts);
        }
        let kind = part.content_type().map(str::to_owned);
        let image = receive_part(part, incoming(), deadline).await?;
        if cloister_seal::is_sealed(&image) {
            return Err(view.map_or(unknown, |view| Refusal::Part(view).into()));
        }
        images.push(Image::new(image, kind.as_deref(), view).ok_or(unknown)?);
    }
    let all_named = images.iter().all(|image| image.view().is_some());
    if images.is_empty() || (all_named && !allowed.missing) {
        views::check_missing(&images)?;
    }
    Ok(images)
}

async fn receive_part(mut part: Part<'_>, mut image: Incoming, deadline: Deadline) -> Result<FileMemory, Problem> {
    while let Some(data) = before(deadline, part.chunk()).await?? {
        image.append(&data)?;
    }
    image.whole()
}

/// How many views of a breast its scores are the mean of. Of one alone there is none: a mean over fewer is another number, which a caller
/// could choose by what they leave out.
const VIEWS_OF_A_BREAST: usize = 2;

/// The mean of each side's views, label by label, where all of them are there.
fn breasts(views: &[Computed]) -> BTreeMap<&'static str, Scores> {
    let side = |laterality| {
        let views = views.iter().map(|scored| &scored.viewed.classification);
        let of_side: Vec<_> = views.filter(|c| c.view.laterality() == laterality).collect();
        let first = of_side.first().filter(|_| of_side.len() == VIEWS_OF_A_BREAST)?;
        #[expect(clippy::cast_precision_loss, reason = "two views")]
        let mean =
            |label: &String| of_side.iter().filter_map(|c| c.scores.get(label)).sum::<f64>() / of_side.len() as f64;
        Some(first.scores.keys().map(|label| (label.clone(), mean(label))).collect())
    };
    let sides = [("left", side(Laterality::Left)), ("right", side(Laterality::Right))];
    sides.into_iter().filter_map(|(name, scores)| Some((name, scores?))).collect()
}

#[cfg(test)]
mod tests {
    use cloister_model::Classification;

    use super::*;

    fn scored(view: View, malignant: f64) -> Computed {
        let classification = Classification {
            view,
            window: [0, 1, 0, 1],
            best_center: [0, 0],
            scores: BTreeMap::from([("malignant".to_owned(), malignant)]),
            crops: 1,
            map: None,
        };
        Computed {
            viewed: Viewed { classification, findings: Vec::new() },
            bytes_sha256: [0; 32],
            pixels_sha256: [0; 32],
            rows: 1,
            columns: 1,
            sop_instance_uid: None,
        }
    }

    #[test]
    fn a_breast_has_the_mean_of_its_two_views() {
        let views =
            [scored(View::LCc, 0.25), scored(View::RCc, 0.5), scored(View::LMlo, 0.75), scored(View::RMlo, 0.0)];
        let breasts = breasts(&views);
        assert_eq!(breasts["left"]["malignant"], 0.5);
        assert_eq!(breasts["right"]["malignant"], 0.25);
    }

    #[test]
    fn a_breast_without_one_of_its_views_has_no_mean() {
        let views = [scored(View::LCc, 0.25), scored(View::RCc, 0.5), scored(View::RMlo, 0.0)];
        let breasts = breasts(&views);
        assert_eq!(breasts.keys().copied().collect::<Vec<_>>(), ["right"]);
    }
}
