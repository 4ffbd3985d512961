//! `POST /v1/images`: one image, one view.

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use cloister_imaging::{FileMemory, Finding, Laterality, View, recycle};
use cloister_model::{Classification, Classifier, PreparedView, ToScore};
use http_body_util::BodyExt;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use tokio::time::Instant as Deadline;
use utoipa::ToSchema;

use super::Shared;
use super::decoding::{Decoded, Held, Image, decoded_bytes};
use super::problem::Problem;
use super::receipt::{self, Asked, Computed, OfExam};
use super::sealed::Reply;
use super::upload::{Incoming, Upload, before};
use crate::disclose::{Disclose, Record, log, metrics};
use crate::identity::Identity;
use crate::limits;
use crate::state::{Loaded, ModelIdentity, Phase};

/// One image's scores: for the screening model, `benign` and `malignant` stand beside the other members.
#[derive(Serialize, ToSchema)]
pub(super) struct Answer {
    #[serde(flatten)]
    pub(super) viewed: Viewed,
    pub(super) model: ModelIdentity,
    /// The enclave's signed receipt, in base64: a COSE_Sign1 that names inputs, model and scores.
    pub(super) receipt: String,
}

/// One view's scores, and what a person should know of its file.
#[derive(Serialize, ToSchema)]
pub(super) struct Viewed {
    #[serde(flatten)]
    #[schema(value_type = Scored)]
    pub(super) classification: Classification,
    /// What is no reason to refuse an image, and a reason to look twice; absent when there is nothing. Of a DICOM file's attributes:
    /// `burned-in-annotation`, `lossy-compression`, `secondary-capture`, `view-in-patient-orientation`. Of the picture: `cut-off-bottom`,
    /// `cut-off-far`, `cut-off-top`, `drawn-line`, `edge-line`, `lit-background`, `low-contrast`, `saturated`, `small-breast`,
    /// `view-doubtful`. In the receipt too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) findings: Vec<&'static str>,
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
    /// A probability for each label of the model; the screening model has these two. None where the model scores exams as a whole.
    #[schema(value_type = f64, required = false, minimum = 0, maximum = 1)]
    benign: Option<f64>,
    /// See `benign`.
    #[schema(value_type = f64, required = false, minimum = 0, maximum = 1)]
    malignant: Option<f64>,
    /// Where the network looked, if `map` asked for that.
    map: Option<Mapped>,
}

/// A map of where the network looked, over the whole image as it was sent.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes cloister_model::Map, which knows nothing of OpenAPI")]
pub(super) struct Mapped {
    /// The label that it is for.
    label: String,
    /// Rows of cells, at most 128.
    rows: u32,
    /// Cells in a row, at most 128.
    columns: u32,
    /// A byte for each cell, row after row from the top left, in base64. The largest is 255, unless all are 0.
    values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    view: Option<String>,
    crops: Option<u32>,
    nonce: Option<String>,
    map: Option<String>,
}

/// Classifies one image.
#[utoipa::path(
    post, path = "/v1/images", tag = "classification",
    params(
        ("view" = Option<String>, Query, description = "L-CC, R-CC, L-MLO or R-MLO; a DICOM file says it itself, and must not say another"),
        ("crops" = Option<u32>, Query, description = "1 (noiseless) to 32; 10 by default"),
        ("nonce" = Option<String>, Query, description = "16 to 64 random bytes of the caller, in hexadecimal, for the receipt"),
        ("map" = Option<String>, Query, description = "A label of the model's, such as malignant: the answer then holds a map of where the network looked for it"),
    ),
    request_body(
        description = "An 8- or 16-bit greyscale PNG, background 0; a DICOM file of one mammogram for presentation; or either, sealed under \
            one of the enclave's data keys",
        content((Vec<u8> = "image/png"), (Vec<u8> = "application/dicom"), (Vec<u8> = "application/vnd.cloister.sealed"))
    ),
    responses(
        (status = 200, description = "The scores; of a sealed image, sealed as a result under the image's data key", content(
            (Answer = "application/json"),
            (Vec<u8> = "application/vnd.cloister.sealed")
        )),
        super::problem::Refusals,
    )
)]
pub(super) async fn post(
    State(shared): State<Shared>,
    Extension(identity): Extension<Arc<Identity>>,
    query: Result<Query<Parameters>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let Query(parameters) = query.map_err(|error| Problem::Query(error.body_text()))?;
    let view = parameters.view.as_deref().map(view).transpose()?;
    let asked = Asked::new(identity, parameters.crops, parameters.nonce.as_deref())?.with_map(parameters.map);
    one(&shared, view, asked, &headers, body).await
}

/// Receives, queues and classifies one image, plain or sealed.
pub(super) async fn one(
    shared: &Shared,
    view: Option<View>,
    asked: Asked,
    headers: &HeaderMap,
    body: Body,
) -> Result<Reply, Problem> {
    let loaded = ready(shared)?;
    asked.check_map(&loaded.classifier, view.as_slice())?;
    let declared = declared_length(headers);
    let reserved = loaded.admission.reserve(declared, limits::MAX_IMAGE_BYTES)?;
    let image = Incoming::new(expected(declared, 1), reserved.clone());
    let body = receive(Upload::new(body, reserved.clone()), image).await?;
    let (image, reserved, envelope) = if cloister_seal::is_sealed(&body) {
        let view = view.ok_or_else(no_view)?;
        let opened = shared.data_keys.open(&loaded.admission, (body, reserved), view).await?;
        (Image::new(opened.image, None, Some(view)), opened.reserved, Some(opened.envelope))
    } else {
        (Image::new(body, content_type(headers), view), reserved, None)
    };
    let image = image.ok_or_else(no_view)?;
    let held = Held { prepared: 1, windows: loaded.classifier.prepared_bytes() };
    let turn = loaded.admission.turn(1, decoded_bytes([&image], held)?).await?;
    let nsm = Arc::clone(&shared.nsm);
    in_worker((reserved, turn), move || {
        let prepared = prepare(&loaded.classifier, image, &asked, Purpose::Alone)?;
        let scored = prepared.score()?;
        let receipt = receipt::issue(&asked, nsm.as_ref(), &loaded, &[&scored], OfExam::default())?;
        let answer = Answer { viewed: scored.viewed, model: loaded.model.clone(), receipt };
        match envelope {
            None => Ok(Reply::Plain(Box::new(answer))),
            Some(envelope) => envelope.seal(&answer).map(Reply::Sealed),
        }
    })
    .await
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

fn no_view() -> Problem {
    Problem::Query("view is missing: name it, such as view=L-CC; only a plain DICOM file says it itself".to_owned())
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// About how long each of so many images is whose lengths were declared together: nothing where none was.
pub(super) fn expected(declared: Option<u64>, images: usize) -> usize {
    let together = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    together / images
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

/// An image that was decoded and prepared, with what a receipt says of it.
pub(super) struct Prepared<T> {
    begun: Instant,
    bytes_sha256: [u8; 32],
    pixels_sha256: [u8; 32],
    /// Of an exam's image, with a right breast's pixels mirrored.
    turned_sha256: Option<[u8; 32]>,
    rows: u32,
    columns: u32,
    sop_instance_uid: Option<String>,
    findings: Vec<&'static str>,
    to_score: T,
}

/// A picture's digests: as it came, and turned as [`Prepared`] says.
pub(super) struct Digests {
    pixels: [u8; 32],
    turned: Option<[u8; 32]>,
}

/// What a request is told when the system has no thread for it.
pub(super) const NO_THREAD: Problem = Problem::Internal("the system has no thread left");

/// What an image is prepared for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An answer of its own.
    Alone,
    /// An exam, whose images have to be told from each other.
    Exam,
}

/// Decodes an image and prepares it for its view's network. Neither its bytes nor its pixels are held then.
pub(super) fn prepare<'a>(
    classifier: &'a Classifier,
    image: Image,
    asked: &Asked,
    purpose: Purpose,
) -> Result<Prepared<ToScore<'a>>, Problem> {
    prepared(image, purpose, |pixels, view| {
        let to_score = classifier.prepare(pixels, view, asked.crops())?;
        let findings = to_score.findings().to_vec();
        let to_score = match &asked.map {
            Some(label) => to_score.with_map(label)?,
            None => to_score,
        };
        Ok((to_score, findings))
    })
}

/// The same, for a network that looks at both breasts.
pub(super) fn prepare_view(
    classifier: &Classifier,
    image: Image,
    asked: &Asked,
) -> Result<Prepared<PreparedView>, Problem> {
    prepared(image, Purpose::Exam, |pixels, view| {
        let view = classifier.prepare_view(pixels, view, asked.crops())?;
        let findings = view.findings().to_vec();
        Ok((view, findings))
    })
}

fn prepared<T>(
    image: Image,
    purpose: Purpose,
    prepare: impl FnOnce(&Array2<u16>, View) -> Result<(T, Vec<Finding>), cloister_model::Error>,
) -> Result<Prepared<T>, Problem> {
    let begun = Instant::now();
    let (bytes_sha256, decoded) = beside(|| sha256(image.bytes()), || image.decode())?;
    let Decoded { pixels, view, sop_instance_uid, mut findings } = decoded?;
    drop(image);
    let (rows, columns) = (side(pixels.nrows())?, side(pixels.ncols())?);
    let digests = || {
        let greys = pixels.as_slice().ok_or(Problem::Internal("the image is not row after row in memory"))?;
        let straight = cloister_receipt::pixels_sha256(rows, columns, [greys]);
        let turned = (purpose == Purpose::Exam).then(|| match view.laterality() {
            Laterality::Left => straight,
            Laterality::Right => {
                let mirrored = greys.chunks(pixels.ncols()).map(|row| row.iter().rev().copied().collect::<Vec<_>>());
                cloister_receipt::pixels_sha256(rows, columns, mirrored)
            }
        });
        Ok::<_, Problem>((straight, turned))
    };
    let (digests, to_score) = beside(digests, || prepare(&pixels, view).map_err(no_scores))?;
    recycle(pixels);
    let ((pixels_sha256, turned_sha256), (to_score, found)) = (digests?, to_score?);
    findings.extend(found.into_iter().map(Finding::code));
    findings.sort_unstable();
    Ok(Prepared {
        begun,
        bytes_sha256,
        pixels_sha256,
        turned_sha256,
        rows,
        columns,
        sop_instance_uid,
        findings,
        to_score,
    })
}

/// Does both at once, the first on a thread of its own: digests take as long as what goes on beside them.
fn beside<D: Send, T>(digest: impl FnOnce() -> D + Send, work: impl FnOnce() -> T) -> Result<(D, T), Problem> {
    std::thread::scope(|scope| {
        let digest = std::thread::Builder::new().spawn_scoped(scope, digest).map_err(|_| NO_THREAD)?;
        let result = work();
        Ok((digest.join().map_err(|_| Problem::Internal("the image has no digest"))?, result))
    })
}

impl<T> Prepared<T> {
    /// Whether both are one picture, straight or mirrored.
    pub(super) fn is_same_picture(&self, earlier: &Digests) -> bool {
        self.pixels_sha256 == earlier.pixels || (self.turned_sha256.is_some() && self.turned_sha256 == earlier.turned)
    }

    /// What the pictures after it are held against.
    pub(super) fn digests(&self) -> Digests {
        Digests { pixels: self.pixels_sha256, turned: self.turned_sha256 }
    }

    /// Runs `score`.
    fn with(self, score: impl FnOnce(T) -> Result<Classification, cloister_model::Error>) -> Result<Computed, Problem> {
        let Self { begun, bytes_sha256, pixels_sha256, rows, columns, sop_instance_uid, findings, to_score, .. } = self;
        let classification = score(to_score).map_err(no_scores)?;
        metrics::classified(begun.elapsed());
        let viewed = Viewed { classification, findings };
        Ok(Computed { viewed, bytes_sha256, pixels_sha256, rows, columns, sop_instance_uid })
    }
}

impl Prepared<ToScore<'_>> {
    /// Runs the network.
    pub(super) fn score(self) -> Result<Computed, Problem> {
        self.with(ToScore::score)
    }
}

impl Prepared<PreparedView> {
    /// What the network of its angle is given.
    pub(super) fn view(&self) -> &PreparedView {
        &self.to_score
    }

    /// What is said of the view itself, once its exam is scored.
    pub(super) fn placed(self) -> Result<Computed, Problem> {
        self.with(|view| Ok(view.place()))
    }
}

pub(super) fn no_scores(error: cloister_model::Error) -> Problem {
    match error {
        cloister_model::Error::Image(error) => Problem::Image(None, error),
        cloister_model::Error::MapLabel(labels) => Problem::MapUnknownLabel(labels),
        cloister_model::Error::NoMap { reason, .. } => Problem::MapNotAvailable(reason),
        cloister_model::Error::ViewNotServed(view) => Problem::ViewNotServed(view),
        cloister_model::Error::NeedsExam => Problem::NeedsExam,
        other => {
            log(Record::NoScores { reason: other.words() });
            Problem::Internal("the network gave no scores")
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn side(pixels: usize) -> Result<u32, Problem> {
    u32::try_from(pixels).map_err(|_| Problem::Internal("an image is larger than it was allowed to be"))
}

/// Reads a body whole.
async fn receive(mut upload: Upload, mut image: Incoming) -> Result<FileMemory, Problem> {
    let deadline = Deadline::now() + limits::UPLOAD_TIMEOUT;
    while let Some(frame) = before(deadline, upload.frame()).await? {
        if let Ok(data) = frame?.into_data() {
            image.append(&data)?;
        }
    }
    image.whole()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Capacity;

    #[test]
    fn a_view_that_there_is_not_is_refused() {
        assert!(matches!(view("LCC"), Err(Problem::Query(_))));
        assert!(view("L-CC").is_ok());
    }

    #[test]
    fn a_network_without_maps_is_told_apart_from_one_that_fails() {
        let network = || "n.onnx".to_owned();
        let none = no_scores(cloister_model::Error::NoMap { network: network(), reason: "why" });
        assert!(matches!(none, Problem::MapNotAvailable("why")));
        let failed = no_scores(cloister_model::Error::MapScore { network: network() });
        assert!(matches!(failed, Problem::Internal(_)));
    }

    #[tokio::test]
    async fn an_empty_body_is_no_image() {
        let reserved =
            super::super::admission::Admission::new(Capacity { queue: 1, threads: 1 }).reserve(None, 10).unwrap();
        let image = Incoming::new(0, reserved.clone());
        assert!(matches!(receive(Upload::new(Body::empty(), reserved), image).await, Err(Problem::Empty)));
    }
}
