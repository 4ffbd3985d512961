//! A body on its way in: within its length, the budget of memory, and a least rate.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use cloister_imaging::FileMemory;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant as Deadline, timeout, timeout_at};

use super::admission::Reserved;
use super::problem::Problem;
use crate::limits;

/// How a body in memory grows: by doubling, it would take up to twice what the budget counts.
const GROWTH: usize = 1024 * 1024;

/// A body whose every byte is accounted for.
pub(super) struct Upload {
    body: Body,
    reserved: Reserved,
    pace: Pace,
}

impl Upload {
    pub(super) fn new(body: Body, reserved: Reserved) -> Self {
        Self { body, reserved, pace: Pace { since: Instant::now(), bytes: 0 } }
    }

    fn account(&mut self, length: usize) -> Result<(), Problem> {
        self.reserved.grow(length)?;
        if self.pace.keeps(Instant::now(), length) { Ok(()) } else { Err(Problem::BodyStalled) }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Problem;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Problem>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => Err(Problem::BodyBroken(error.to_string())),
            Some(Ok(frame)) => self.account(frame.data_ref().map_or(0, Bytes::len)).map(|()| frame),
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What came since a moment.
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    /// Whether the body still comes fast enough, now that `length` more of it came.
    fn keeps(&mut self, now: Instant, length: usize) -> bool {
        self.bytes += length as u64;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < limits::RATE_WINDOW {
            return true;
        }
        let enough = self.bytes >= limits::MIN_UPLOAD_BYTES_PER_SECOND * elapsed.as_secs();
        *self = Self { since: now, bytes: 0 };
        enough
    }
}

/// The next piece of a body, before the client counts as stalled and before the whole is due.
pub(super) async fn before<F: Future>(deadline: Deadline, next: F) -> Result<F::Output, Problem> {
    timeout_at(deadline, timeout(limits::UPLOAD_IDLE_TIMEOUT, next))
        .await
        .map_err(|_| Problem::BodyStalled)?
        .map_err(|_| Problem::BodyStalled)
}

/// An image on its way in.
pub(super) struct Incoming {
    bytes: FileMemory,
    expected: usize,
    reserved: Reserved,
}

impl Incoming {
    /// Of about so many bytes; of 0, where nobody knows.
    pub(super) fn new(expected: usize, reserved: Reserved) -> Self {
        Self { bytes: reserved.memory(expected), expected, reserved }
    }

    /// Adds to the image, as long as it stays one.
    pub(super) fn append(&mut self, data: &[u8]) -> Result<(), Problem> {
        let image = &mut *self.bytes;
        if image.len() + data.len() > limits::MAX_IMAGE_BYTES {
            return Err(Problem::BodyTooLarge { limit: limits::MAX_IMAGE_BYTES });
        }
        if image.capacity() - image.len() < data.len() {
            // No more than a small image takes, whose memory would be found too large for the next.
            let whole = image.is_empty() && (1..GROWTH).contains(&self.expected);
            image.reserve_exact(data.len().max(if whole { self.expected } else { GROWTH }));
        }
        image.extend_from_slice(data);
        Ok(())
    }

    /// The image, once all of it came.
    pub(super) fn whole(self) -> Result<FileMemory, Problem> {
        self.reserved.settle(&self.bytes);
        if self.bytes.is_empty() { Err(Problem::Empty) } else { Ok(self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_body_that_is_due_and_not_there_has_stalled() {
        let never = futures_util::future::pending::<()>();
        assert!(matches!(before(Deadline::now(), never).await, Err(Problem::BodyStalled)));
    }

    #[test]
    fn a_fast_beginning_does_not_make_up_for_a_trickle_later() {
        let begun = Instant::now();
        let mut pace = Pace { since: begun, bytes: 0 };
        assert!(pace.keeps(begun + Duration::from_secs(1), 100 << 20));
        assert!(pace.keeps(begun + Duration::from_secs(10), 1));
        assert!(pace.keeps(begun + Duration::from_secs(15), 1), "its window is not over");
        assert!(!pace.keeps(begun + Duration::from_secs(21), 1));
    }

    #[test]
    fn a_body_at_the_least_rate_is_fast_enough() {
        let begun = Instant::now();
        let mut pace = Pace { since: begun, bytes: 0 };
        let least = usize::try_from(limits::MIN_UPLOAD_BYTES_PER_SECOND).unwrap();
        assert!((1..60).all(|second| pace.keeps(begun + Duration::from_secs(second), least)));
    }

    fn reserved() -> Reserved {
        use super::super::admission::Admission;
        use crate::config::Capacity;
        Admission::new(Capacity { queue: 1, threads: 1 }).reserve(None, limits::MAX_EXAM_BYTES).unwrap()
    }

    #[test]
    fn an_image_grows_to_its_limit_and_not_past_it() {
        let bytes = vec![0; limits::MAX_IMAGE_BYTES - 1].into();
        let mut image = Incoming { bytes, expected: 0, reserved: reserved() };
        assert!(image.append(b"x").is_ok());
        assert!(matches!(image.append(b"x"), Err(Problem::BodyTooLarge { .. })));
    }

    #[test]
    fn a_small_image_takes_as_much_memory_as_it_is_long_and_one_of_no_known_length_grows_by_more() {
        for (expected, capacity) in [(1000, 1000), (0, GROWTH), (3 * GROWTH, GROWTH)] {
            let mut image = Incoming::new(expected, reserved());
            image.append(&[7; 100]).unwrap();
            assert_eq!(image.bytes.capacity(), capacity, "{expected}");
        }
    }
}
