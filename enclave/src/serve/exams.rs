//! `POST /v1/exams`: the four views of one exam, one part a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use cloister_imaging::{Laterality, View};
use cloister_model::Classification;
use serde::{Deserialize, Serialize};
use tokio::time::Instant as Deadline;
use utoipa::ToSchema;

use super::Shared;
use super::images::{Scored, classify, crops, declared_length, decoded_bytes, in_worker, ready};
use super::parts::{Part, Parts};
use super::problem::Problem;
use super::upload::{append, before};
use crate::limits;
use crate::state::ModelIdentity;

/// A whole exam's scores.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    /// `left` and `right`: by label, the mean of that side's CC and MLO views.
    breasts: BTreeMap<&'static str, BTreeMap<String, f64>>,
    /// L-CC, R-CC, L-MLO, R-MLO.
    #[schema(value_type = Vec<Scored>)]
    views: Vec<Classification>,
    model: ModelIdentity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    crops: Option<u32>,
}

/// Classifies the four views of one exam.
#[utoipa::path(
    post, path = "/v1/exams", tag = "classification",
    params(("crops" = Option<u32>, Query, description = "1 (noiseless) to 32 for each view; 10 by default")),
    request_body(content = String, content_type = "multipart/form-data", description = "Four parts, named L-CC, R-CC, L-MLO and R-MLO, \
        each an image as /v1/images takes it"),
    responses(
        (status = 200, body = Answer),
        super::problem::Refusals,
    )
)]
pub(super) async fn post(
    State(shared): State<Shared>,
    query: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Result<Json<Answer>, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let crops = crops(parameters.crops)?;
    four(&shared, crops, request).await.map(Json)
}

/// Receives, queues and classifies the four views.
pub(super) async fn four(shared: &Shared, crops: Option<u32>, request: Request) -> Result<Answer, Problem> {
    let loaded = ready(shared)?;
    let reserved = shared.admission.reserve(declared_length(request.headers()), limits::MAX_EXAM_BYTES)?;
    let images = receive(Parts::of(request, reserved.clone()).await?).await?;
    let largest = images.iter().map(|(_, image)| decoded_bytes(image)).max().unwrap_or(0);
    let turn = shared.admission.turn(images.len(), largest).await?;
    let network = Arc::clone(&loaded);
    let views = in_worker((reserved, turn), move || {
        let one = |(view, image): (View, Vec<u8>)| {
            classify(&network.classifier, &image, view, crops).map_err(|problem| problem.with_view(view))
        };
        images.into_iter().map(one).collect::<Result<Vec<_>, Problem>>()
    })
    .await?;
    Ok(Answer { breasts: breasts(&views), views, model: loaded.model.clone() })
}

/// The four images in the order of [`View::ALL`].
async fn receive(mut parts: Parts) -> Result<Vec<(View, Vec<u8>)>, Problem> {
    let deadline = Deadline::now() + limits::UPLOAD_TIMEOUT;
    let mut images = BTreeMap::new();
    while let Some(part) = before(deadline, parts.next()).await?? {
        let name = part.name();
        let view: View = name.parse().map_err(|_| Problem::PartUnknown(name.chars().take(40).collect()))?;
        if images.contains_key(&view) {
            return Err(Problem::PartTwice(view));
        }
        let image = receive_part(part, deadline).await?;
        images.insert(view, image);
    }
    View::ALL.into_iter().map(|view| Ok((view, images.remove(&view).ok_or(Problem::PartMissing(view))?))).collect()
}

async fn receive_part(mut part: Part<'_>, deadline: Deadline) -> Result<Vec<u8>, Problem> {
    let mut image = Vec::new();
    while let Some(data) = before(deadline, part.chunk()).await?? {
        append(&mut image, &data)?;
    }
    if image.is_empty() { Err(Problem::Empty) } else { Ok(image) }
}

/// The mean of each side's views, label by label.
fn breasts(views: &[Classification]) -> BTreeMap<&'static str, BTreeMap<String, f64>> {
    let side = |laterality| {
        let of_side: Vec<_> = views.iter().filter(|c| c.view.laterality() == laterality).collect();
        let labels = of_side.first().map(|c| c.scores.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "two views")]
        let mean =
            |label: &String| of_side.iter().filter_map(|c| c.scores.get(label)).sum::<f64>() / of_side.len() as f64;
        labels.iter().map(|label| (label.clone(), mean(label))).collect()
    };
    BTreeMap::from([("left", side(Laterality::Left)), ("right", side(Laterality::Right))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(view: View, malignant: f64) -> Classification {
        Classification {
            view,
            window: [0, 1, 0, 1],
            best_center: [0, 0],
            scores: BTreeMap::from([("malignant".to_owned(), malignant)]),
            crops: 1,
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
}
