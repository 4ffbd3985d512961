//! The parts of a multipart body. The parser keeps what it cannot make sense of yet, without a bound of its own: so it is fed
//! one frame at a time, and only so much until it gives something back.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::RequestExt;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{Multipart, Request};
use axum::http::StatusCode;
use hyper::body::Frame;

use super::admission::Reserved;
use super::problem::Problem;
use super::upload::Upload;
use crate::limits;

/// A multipart body, read within its bounds.
pub(super) struct Parts {
    parser: Multipart,
    kept: Arc<AtomicUsize>,
}

/// One part of it.
pub(super) struct Part<'a> {
    field: Field<'a>,
    kept: Arc<AtomicUsize>,
}

impl Parts {
    pub(super) async fn of(request: Request, reserved: Reserved) -> Result<Self, Problem> {
        let kept = Arc::new(AtomicUsize::new(0));
        let fed = Arc::clone(&kept);
        let request =
            request.map(|body| Body::new(Fed { upload: Upload::new(body, reserved), kept: fed, paused: false }));
        let parser = request.extract().await;
        let parser: Multipart = parser
            .map_err(|error: axum::extract::multipart::MultipartRejection| Problem::NotMultipart(error.body_text()))?;
        Ok(Self { parser, kept })
    }

    pub(super) async fn next(&mut self) -> Result<Option<Part<'_>>, Problem> {
        let field = self.parser.next_field().await.map_err(|error| broken(&error))?;
        self.kept.store(0, Ordering::Relaxed);
        Ok(field.map(|field| Part { field, kept: Arc::clone(&self.kept) }))
    }
}

impl Part<'_> {
    pub(super) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.field.content_type()
    }

    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.field.chunk().await.map_err(|error| broken(&error))?;
        self.kept.store(0, Ordering::Relaxed);
        Ok(chunk)
    }
}

/// What the parser reads.
struct Fed {
    upload: Upload,
    kept: Arc<AtomicUsize>,
    paused: bool,
}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = Problem;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Problem>>> {
        // The parser asks for more until there is none: a pause makes it look at what it has.
        if std::mem::take(&mut self.paused) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.upload).poll_frame(cx));
        self.paused = true;
        let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or(0);
        if self.kept.fetch_add(length, Ordering::Relaxed) + length > limits::MAX_PART_HEAD_BYTES {
            let found = format!("there is no part in {} bytes", limits::MAX_PART_HEAD_BYTES);
            return Poll::Ready(Some(Err(Problem::BodyBroken(found))));
        }
        Poll::Ready(frame)
    }
}

/// The problem that the body ended with, through the parser's wrappings, or the parser's own.
fn broken(error: &MultipartError) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(problem) = error.downcast_ref::<Problem>() {
            return problem.clone();
        }
        cause = error.source();
    }
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Problem::BodyTooLarge { limit: limits::MAX_EXAM_BYTES };
    }
    Problem::BodyBroken(error.body_text())
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{self, StreamExt};

    use super::super::admission::Admission;
    use super::*;
    use crate::config::Capacity;

    /// The parts of a body that comes in frames of 16 KiB.
    async fn parts(body: Vec<u8>, limit: usize) -> Result<Vec<(String, usize)>, Problem> {
        let frames: Vec<_> = body.chunks(16 * 1024).map(|frame| Ok::<_, std::io::Error>(frame.to_vec())).collect();
        let request = Request::post("/")
            .header("content-type", "multipart/form-data; boundary=b")
            .body(Body::from_stream(stream::iter(frames).boxed()))
            .unwrap();
        let mut parts =
            Parts::of(request, Admission::new(Capacity { queue: 1, threads: 1 }).reserve(None, limit).unwrap()).await?;
        let mut read = Vec::new();
        while let Some(mut part) = parts.next().await? {
            let name = part.name().to_owned();
            let mut length = 0;
            while let Some(chunk) = part.chunk().await? {
                length += chunk.len();
            }
            read.push((name, length));
        }
        Ok(read)
    }

    fn part(name: &str, length: usize) -> Vec<u8> {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [head.as_bytes(), &vec![b'\r'; length], b"\r\n"].concat()
    }

    #[tokio::test]
    async fn parts_much_larger_than_a_head_are_read_whole() {
        let body = [part("one", 1 << 20), part("two", 0), part("three", 999_999), b"--b--\r\n".to_vec()].concat();
        let read = parts(body, 2 << 20).await.unwrap();
        assert_eq!(read, [("one".to_owned(), 1 << 20), ("two".to_owned(), 0), ("three".to_owned(), 999_999)]);
    }

    #[tokio::test]
    async fn a_body_whose_boundary_never_comes_is_refused_early() {
        let refused = parts(vec![b'-'; 2 << 20], 1 << 20).await;
        assert!(matches!(refused, Err(Problem::BodyBroken(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_part_whose_head_never_ends_is_refused_early() {
        let head = [b"--b\r\nX-Long: ".as_slice(), &vec![b'x'; 2 << 20]].concat();
        let refused = parts(head, 1 << 20).await;
        assert!(matches!(refused, Err(Problem::BodyBroken(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn a_body_past_its_limit_is_too_large_whatever_the_parser_says() {
        let refused = parts(part("one", 2 << 20), 1 << 20).await;
        assert!(matches!(refused, Err(Problem::BodyTooLarge { limit: 1_048_576 })), "{refused:?}");
    }
}
