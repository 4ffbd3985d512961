//! A refusal that its reader gets to see. A server that answers and closes in the middle of an upload resets the connection, and the
//! sender learns nothing: so what is left of a refused request's body is read and thrown away first, within bounds.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use tokio::time::timeout;

use crate::limits;

/// A body that its handler reads and that is still there afterwards.
#[derive(Clone)]
struct Lent(Arc<Mutex<Inner>>);

struct Inner {
    body: Body,
    begun: bool,
}

impl Lent {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut inner = self.inner();
        inner.begun = true;
        Pin::new(&mut inner.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner().body.size_hint()
    }
}

pub(super) async fn after_refusal(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let asks_first = parts.headers.contains_key(header::EXPECT);
    let lent = Lent(Arc::new(Mutex::new(Inner { body, begun: false })));
    let response = next.run(Request::from_parts(parts, Body::new(lent.clone()))).await;
    // Reading the body of a sender that asks first, and was not told yes, would tell it yes (RFC 9110, section 10.1.1).
    let unsent = asks_first && !lent.inner().begun;
    if !response.status().is_success() && !lent.is_end_stream() && !unsent {
        // Whether or not the body came to its end, the answer goes out now.
        let _ = timeout(limits::DISCARD_TIMEOUT, discard(lent)).await;
    }
    response
}

async fn discard(mut body: Lent) {
    let mut left = limits::MAX_DISCARDED_BYTES;
    while let Ok(Some(Ok(frame))) = timeout(limits::DISCARD_IDLE_TIMEOUT, body.frame()).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
