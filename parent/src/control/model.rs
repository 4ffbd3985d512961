//! `GET /v1/model`: the sealed file, whole or a range of it, streamed from one open handle for each request.

use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use tokio::io::AsyncReadExt;
use tokio::task::spawn_blocking;
use tokio_util::io::ReaderStream;

use super::Shared;
use super::range::{Decision, decide};
use crate::limits;
use crate::problem::Problem;

pub(super) async fn give(
    State(shared): State<Shared>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let path = shared.enclave.described.model.clone();
    let opened = spawn_blocking(move || open(path)).await.map_err(io::Error::other).and_then(|opened| opened);
    let (file, length, etag) = opened.map_err(|error| {
        tracing::warn!(path = %shared.enclave.described.model.display(), %error, "the sealed model cannot be read");
        Problem::ModelUnavailable
    })?;
    let (status, first, count) = match decide(&headers, method == Method::GET, length, &etag) {
        Decision::Whole => (StatusCode::OK, 0, length),
        Decision::Part(part) => (StatusCode::PARTIAL_CONTENT, *part.start(), part.end() - part.start() + 1),
        Decision::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        Decision::PreconditionFailed => return Err(Problem::Precondition),
        Decision::Unsatisfiable => return Err(Problem::Range { length }),
    };
    let mut response = Response::builder().status(status).header(header::ETAG, etag);
    if status != StatusCode::NOT_MODIFIED {
        response = response
            .header(header::ACCEPT_RANGES, "bytes")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, count);
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let last = first + count - 1;
        response = response.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{length}"));
    }
    let body = if method == Method::GET && count > 0 { stream(file, first, count).await } else { Ok(Body::empty()) };
    body.map_err(|error| tracing::warn!(%error, "the sealed model cannot be read"))
        .and_then(|body| response.body(body).map_err(|error| tracing::error!(%error, "an answer cannot be built")))
        .map_err(|()| Problem::ModelUnavailable)
}

fn open(path: PathBuf) -> io::Result<(File, u64, String)> {
    // Opening a pipe would wait for its writer.
    if !std::fs::metadata(&path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file any more"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let etag = etag(&metadata);
    Ok((file, metadata.len(), etag))
}

/// A strong tag: another file, or the same one written to, has another.
fn etag(metadata: &Metadata) -> String {
    format!(
        "\"{:x}-{:x}-{:x}-{:x}.{:x}-{:x}.{:x}\"",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// A file that became shorter ends the stream early; the connection breaks then, for the answer's length was told.
async fn stream(mut file: File, first: u64, count: u64) -> io::Result<Body> {
    let file =
        spawn_blocking(move || file.seek(SeekFrom::Start(first)).map(|_| file)).await.map_err(io::Error::other)??;
    let mut file = tokio::fs::File::from_std(file);
    file.set_max_buf_size(limits::MODEL_READ_BYTES);
    Ok(Body::from_stream(ReaderStream::with_capacity(file.take(count), limits::MODEL_READ_BYTES)))
}
