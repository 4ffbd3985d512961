//! Request bodies that go out in chunks, and say how far they are.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::limits::UPLOAD_CHUNK_BYTES;

/// Called with the number of bytes handed over so far.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// A body of known length, cut into chunks so that progress can be told.
pub(crate) struct Upload {
    rest: Bytes,
    sent: u64,
    progress: Option<Progress>,
}

impl Upload {
    pub(crate) fn new(bytes: Bytes, progress: Option<Progress>) -> Self {
        Self { rest: bytes, sent: 0, progress }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(UPLOAD_CHUNK_BYTES);
        let chunk = self.rest.split_to(length);
        self.sent += length as u64;
        if let Some(progress) = &self.progress {
            progress(self.sent);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
