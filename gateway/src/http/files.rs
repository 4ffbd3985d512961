//! An exam's files: images as they came, maps, receipt, report, results.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header;
use rusqlite::Connection;
use tokio_util::io::ReaderStream;

use super::exams::get;
use super::problem::{Details, Problem};
use crate::Error;
use crate::access::Caller;
use crate::audit::Event;
use crate::gateway::Gateway;
use crate::worklist::{Media, reading};

/// One of the files, as it came.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/files/{number}", tag = "files", params(("id" = String, Path), ("number" = u32, Path)),
    responses((status = 200, description = "The file"), (status = 404, body = Details), (status = 410, body = Details))
)]
pub(crate) async fn image(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((id, number)): Path<(String, u32)>,
) -> Result<Response, Problem> {
    let exam = get(&gateway, &id).await?;
    let file = exam.views.iter().find(|view| view.file == number).ok_or(Problem::NotFound)?;
    if !exam.images_kept {
        return Err(Problem::ImagesDeleted);
    }
    gateway.audit(Event::looked(caller.agent(), &id, "image")).await?;
    let open = gateway.spool.open_image(&id, number).await?;
    let kind = match file.media {
        Media::Dicom => "application/dicom",
        Media::Png => "image/png",
    };
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, file.bytes.to_string())];
    Ok((headers, Body::from_stream(ReaderStream::new(open))).into_response())
}

/// Where the network looked: grey, 0 to 255, over the whole image.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/views/{view}/map", tag = "files", params(("id" = String, Path), ("view" = String, Path)),
    responses((status = 200, description = "A PNG", content_type = "image/png"), (status = 404, body = Details))
)]
pub(crate) async fn map(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((id, view)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let exam = id.clone();
    let found = gateway.worklist.with(move |list| reading::map(list, &exam, &view)).await?;
    let (rows, columns, cells) = found.ok_or(Problem::NotFound)?;
    gateway.audit(Event::looked(caller.agent(), &id, "map")).await?;
    let png = picture(rows, columns, &cells).ok_or(Error::Stored("map"))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response())
}

fn picture(rows: u32, columns: u32, cells: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns, rows);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(cells).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

/// What there is of an exam once it has been answered.
async fn of_answer<T: Send + 'static>(
    gateway: &Gateway,
    caller: &Caller,
    id: &str,
    what: &'static str,
    read: fn(&Connection, &str) -> Result<Option<T>, Error>,
) -> Result<T, Problem> {
    get(gateway, id).await?;
    let exam = id.to_owned();
    let found = gateway.worklist.with(move |list| read(list, &exam)).await?.ok_or(Problem::NotAnswered)?;
    gateway.audit(Event::looked(caller.agent(), id, what)).await?;
    Ok(found)
}

/// The receipt.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/receipt", tag = "files", params(("id" = String, Path)),
    responses((status = 200, description = "COSE", content_type = "application/cose"), (status = 404, body = Details))
)]
pub(crate) async fn receipt(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let receipt = of_answer(&gateway, &caller, &id, "receipt", reading::receipt).await?;
    let name = format!("attachment; filename=\"receipt-{id}.cose\"");
    let kind = "application/cose; cose-type=\"cose-sign1\"".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], receipt).into_response())
}

/// What `cloister exam --json` prints.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/report", tag = "files", params(("id" = String, Path)),
    responses((status = 200, description = "JSON", content_type = "application/json"), (status = 404, body = Details))
)]
pub(crate) async fn report(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let report = of_answer(&gateway, &caller, &id, "report", reading::report).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], report).into_response())
}

/// A result in DICOM.
#[utoipa::path(
    get, path = "/api/v1/exams/{id}/results/{result}", tag = "files",
    params(("id" = String, Path), ("result" = String, Path)),
    responses((status = 200, description = "DICOM", content_type = "application/dicom"), (status = 404, body = Details))
)]
pub(crate) async fn result(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path((id, result)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let exam = get(&gateway, &id).await?;
    // The name is the work list's own, and never a path of the request's.
    let name = exam.results.into_iter().find(|named| named.id == result).ok_or(Problem::NotFound)?.id;
    gateway.audit(Event::looked(caller.agent(), &id, "result")).await?;
    let (spool, exam, named) = (gateway.spool.clone(), id.clone(), name.clone());
    let read = tokio::task::spawn_blocking(move || spool.result(&exam, &named));
    let bytes = read.await.map_err(|_| Error::Worker)??;
    let attachment = format!("attachment; filename=\"{name}.dcm\"");
    let kind = "application/dicom".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, attachment)], bytes).into_response())
}
