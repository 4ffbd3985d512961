//! The request itself: the one place that knows what the client library can be asked for.

use cloister_client::{Allowed, Asked, Error, Exam, Session};
use cloister_imaging::View;

use crate::gateway::Gateway;
use crate::worklist::{Reason, StoredMap, Work};

/// An exam's images out of the spool, each with its view.
pub(super) async fn images(gateway: &Gateway, work: &Work) -> Result<Vec<(View, Vec<u8>)>, Reason> {
    let (spool, work) = (gateway.spool.clone(), work.clone());
    let read = tokio::task::spawn_blocking(move || {
        let mut images = Vec::new();
        for (number, view) in &work.files {
            let view = view.ok_or_else(|| Reason::new("no-view", "A file does not say which view it shows."))?;
            let image = spool.image(&work.id, *number).map_err(|error| {
                tracing::error!(%error, exam = %work.id, "an image cannot be read");
                Reason::new("spool", "An image could not be read from the gateway's disk.")
            })?;
            images.push((view, image));
        }
        Ok(images)
    });
    read.await.unwrap_or_else(|_| Err(Reason::new("spool", "An image could not be read from the gateway's disk.")))
}

/// Why an exam is not sent as it is: a view is missing, and that is not allowed.
pub(super) fn incomplete(work: &Work) -> Option<Reason> {
    let there = |view: &View| work.files.iter().any(|(_, other)| other.as_ref() == Some(view));
    let missing: Vec<&str> = View::ALL.iter().filter(|view| !there(view)).map(|view| view.as_str()).collect();
    let refused = !missing.is_empty() && !work.missing_allowed;
    refused.then(|| Reason::new("missing-view", format!("Views are missing: {}.", missing.join(", "))))
}

/// Sends the exam and gives what was answered, its receipt held against images and enclave.
pub(super) async fn ask(
    gateway: &Gateway,
    index: usize,
    work: &Work,
    session: &mut Session,
    images: Vec<(View, Vec<u8>)>,
) -> Result<Exam, Error> {
    let exams = &gateway.config.exams;
    let map = (exams.maps && gateway.enclaves.has_maps(index)).then(|| exams.operating_point.label.clone());
    let asked = Asked { crops: exams.crops, map, nonce: Some(work.nonce) };
    let allowed = Allowed { mixed: exams.mixed, missing: work.missing_allowed };
    session.exam_allowing(allowed, images, asked, None).await
}

/// Whether an enclave refused because its model has no maps, or none of that label.
pub(super) fn is_without_maps(kind: &str) -> bool {
    kind.starts_with("map-")
}

/// The maps that came with an answer, taken out of it.
pub(super) fn maps(answer: &mut Exam) -> Vec<StoredMap> {
    let stored = answer.views.iter_mut().filter_map(|view| {
        let map = view.map.take()?;
        Some(StoredMap { view: view.view, rows: map.rows, columns: map.columns, cells: map.values })
    });
    stored.collect()
}
