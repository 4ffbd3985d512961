//! `POST /v1/images`: one image, one view.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use cloister_imaging::{DecodeLimits, View, decode};
use cloister_model::{Classification, Classifier};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant as Deadline, timeout, timeout_at};
use utoipa::ToSchema;

use super::Shared;
use super::problem::Problem;
use crate::limits;
use crate::state::{Loaded, ModelIdentity, Phase};

/// One image's scores: for the screening model, `benign` and `malignant` stand beside the other members.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    #[serde(flatten)]
    #[schema(value_type = Scored)]
    pub(super) classification: Classification,
    pub(super) model: ModelIdentity,
}

/// What a classification says of one view.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes cloister_model::Classification, which knows nothing of OpenAPI")]
pub(super) struct Scored {
    /// `L-CC`, `R-CC`, `L-MLO` or `R-MLO`.
    view: String,
    /// Top, bottom, left, right in the image, in pixels, ends exclusive.
    window: [usize; 4],
    /// y, x in the window, in pixels, right breasts mirrored.
    best_center: [i64; 2],
    /// How many crops were averaged.
    crops: u32,
    /// A probability for each label of the model, such as `malignant`.
    #[schema(value_type = f64, minimum = 0, maximum = 1)]
    malignant: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    view: String,
    crops: Option<u32>,
}

/// Classifies one image.
#[utoipa::path(
    post, path = "/v1/images", tag = "classification",
    params(
        ("view" = String, Query, description = "L-CC, R-CC, L-MLO or R-MLO"),
        ("crops" = Option<u32>, Query, description = "1 (noiseless) to 32; 10 by default"),
    ),
    request_body(content = Vec<u8>, content_type = "image/png", description = "An 8- or 16-bit greyscale PNG, background 0"),
    responses(
        (status = 200, body = Answer),
        (status = 400, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 408, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 413, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 415, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 422, body = super::problem::Details, content_type = "application/problem+json"),
        (status = 503, body = super::problem::Details, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post(
    State(shared): State<Shared>,
    query: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let view = view(&parameters.view)?;
    let crops = crops(parameters.crops)?;
    one(&shared, view, crops, &headers, body).await.map(Json)
}

/// Receives, queues and classifies one image.
pub(super) async fn one(
    shared: &Shared,
    view: View,
    crops: Option<u32>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Answer, Problem> {
    let loaded = ready(shared)?;
    let reserved = shared.admission.reserve(declared_length(headers), limits::MAX_IMAGE_BYTES)?;
    let image = receive(body).await?;
    let turn = shared.admission.turn(1).await?;
    let network = Arc::clone(&loaded);
    let classification =
        in_worker((reserved, turn), move || classify(&network.classifier, &image, view, crops)).await?;
    Ok(Answer { classification, model: loaded.model.clone() })
}

/// What serving needs, or why there is none.
pub(super) fn ready(shared: &Shared) -> Result<Arc<Loaded>, Problem> {
    match shared.state.phase() {
        Phase::Ready(loaded) => Ok(loaded),
        Phase::Starting(reason) | Phase::Failed(reason) => Err(Problem::NotReady(reason)),
    }
}

pub(super) fn view(text: &str) -> Result<View, Problem> {
    text.parse().map_err(|_| Problem::Query(format!("view {text:?} is none of L-CC, R-CC, L-MLO and R-MLO")))
}

pub(super) fn crops(asked: Option<u32>) -> Result<Option<u32>, Problem> {
    match asked {
        Some(crops) if !(1..=limits::MAX_CROPS).contains(&crops) => {
            Err(Problem::Query(format!("crops is {crops}; 1 to {} are taken", limits::MAX_CROPS)))
        }
        asked => Ok(asked),
    }
}

pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Runs on a thread that may block. What was admitted stays admitted until the work is done, even when the caller has gone.
pub(super) async fn in_worker<T, H>(
    held: H,
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem>
where
    T: Send + 'static,
    H: Send + 'static,
{
    tokio::task::spawn_blocking(move || {
        let result = work();
        drop(held);
        result
    })
    .await
    .map_err(|_| Problem::Internal("the classification ended unexpectedly"))?
}

pub(super) fn classify(
    classifier: &Classifier,
    image: &[u8],
    view: View,
    crops: Option<u32>,
) -> Result<Classification, Problem> {
    let begun = Instant::now();
    let pixels = decode(image, &DecodeLimits::default()).map_err(Problem::NotAnImage)?;
    let crops = crops.unwrap_or(limits::DEFAULT_CROPS);
    let classification = classifier.classify(&pixels, view, crops).map_err(|error| match error {
        cloister_model::Error::Image(error) => Problem::Image(None, error),
        cloister_model::Error::ViewNotServed(view) => Problem::ViewNotServed(view),
        other => {
            tracing::error!(error = %other, "a classification failed");
            Problem::Internal("the network gave no scores")
        }
    })?;
    metrics::histogram!("cloister_classification_seconds").record(begun.elapsed().as_secs_f64());
    Ok(classification)
}

/// Reads a body within its bounds of size and time.
async fn receive(mut body: Body) -> Result<Vec<u8>, Problem> {
    let deadline = Deadline::now() + limits::UPLOAD_TIMEOUT;
    let expected = body.size_hint().exact().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(expected.min(limits::MAX_IMAGE_BYTES));
    while let Some(frame) = before(deadline, body.frame()).await? {
        let frame = frame.map_err(|error| Problem::BodyBroken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits::MAX_IMAGE_BYTES {
            return Err(Problem::BodyTooLarge { limit: limits::MAX_IMAGE_BYTES });
        }
        bytes.extend_from_slice(&data);
    }
    if bytes.is_empty() { Err(Problem::Empty) } else { Ok(bytes) }
}

/// The next piece of a body, before the client counts as stalled and before the whole is due.
pub(super) async fn before<F: Future>(deadline: Deadline, next: F) -> Result<F::Output, Problem> {
    timeout_at(deadline, timeout(limits::UPLOAD_IDLE_TIMEOUT, next))
        .await
        .map_err(|_| Problem::BodyStalled)?
        .map_err(|_| Problem::BodyStalled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_or_a_number_of_crops_out_of_bounds_is_refused() {
        assert!(matches!(view("LCC"), Err(Problem::Query(_))));
        assert!(view("L-CC").is_ok());
        assert!(matches!(crops(Some(0)), Err(Problem::Query(_))));
        assert!(matches!(crops(Some(limits::MAX_CROPS + 1)), Err(Problem::Query(_))));
        assert_eq!(crops(Some(limits::MAX_CROPS)).unwrap(), Some(limits::MAX_CROPS));
        assert_eq!(crops(None).unwrap(), None);
    }

    #[tokio::test]
    async fn an_empty_body_is_no_image() {
        assert!(matches!(receive(Body::empty()).await, Err(Problem::Empty)));
    }

    #[tokio::test]
    async fn a_body_that_is_due_and_not_there_has_stalled() {
        let never = futures_util::future::pending::<()>();
        assert!(matches!(before(Deadline::now(), never).await, Err(Problem::BodyStalled)));
    }
}
