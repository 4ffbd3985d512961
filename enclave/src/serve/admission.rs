//! Who may come in: a budget for the bytes being uploaded, a bounded queue, and as many workers as processors.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::limits;

const BUDGET_UNIT: usize = 64 * 1024;

pub(super) struct Admission {
    bytes: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    attestations: Semaphore,
    places: usize,
}

/// Bytes of the budget, given back when dropped.
pub(super) struct Reserved {
    _permit: OwnedSemaphorePermit,
}

/// A place in the queue, then a worker; both given back when dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _worker: OwnedSemaphorePermit,
}

impl Admission {
    pub(super) fn new(queue: usize, workers: usize) -> Self {
        // Those at work hold their places too.
        let places = queue + workers;
        Self {
            bytes: Arc::new(Semaphore::new(limits::UPLOAD_BUDGET_BYTES / BUDGET_UNIT)),
            queue: Arc::new(Semaphore::new(places)),
            workers: Arc::new(Semaphore::new(workers)),
            attestations: Semaphore::new(limits::MAX_CONCURRENT_ATTESTATIONS),
            places,
        }
    }

    /// Sets memory aside for a body, before its first byte is read.
    pub(super) fn reserve(&self, declared: Option<u64>, limit: usize) -> Result<Reserved, Problem> {
        let length = match declared.map(usize::try_from) {
            Some(Ok(length)) if length <= limit => length,
            Some(_) => return Err(Problem::BodyTooLarge { limit }),
            None => limit,
        };
        if self.queue.available_permits() == 0 {
            return Err(Problem::QueueFull);
        }
        let units = u32::try_from(length.div_ceil(BUDGET_UNIT)).map_err(|_| Problem::BodyTooLarge { limit })?;
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(units).map_err(|_| Problem::Busy)?;
        Ok(Reserved { _permit: permit })
    }

    /// A place in the queue for `images`, refused at once when there is none, then a worker, waited for.
    pub(super) async fn turn(&self, images: usize) -> Result<Turn, Problem> {
        let places = u32::try_from(images.min(self.places)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.queue).try_acquire_many_owned(places).map_err(|_| Problem::QueueFull)?;
        metrics::gauge!("cloister_queue_depth").set(self.depth());
        let worker =
            Arc::clone(&self.workers).acquire_owned().await.map_err(|_| Problem::Internal("the workers are gone"))?;
        Ok(Turn { _place: place, _worker: worker })
    }

    pub(super) async fn attestation(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.attestations.acquire().await.map_err(|_| Problem::Attestation)
    }

    /// Images waiting or at work.
    #[expect(clippy::cast_precision_loss, reason = "a queue holds far fewer than 2^52 images")]
    pub(super) fn depth(&self) -> f64 {
        (self.places - self.queue.available_permits()) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
        let admission = Admission::new(1, 1);
        assert!(matches!(admission.reserve(Some(11), 10), Err(Problem::BodyTooLarge { limit: 10 })));
        assert!(admission.reserve(Some(10), 10).is_ok());
    }

    #[test]
    fn a_body_of_unknown_length_counts_as_the_largest() {
        let admission = Admission::new(1, 1);
        let half = limits::UPLOAD_BUDGET_BYTES / 2;
        let first = admission.reserve(None, half).unwrap();
        let second = admission.reserve(None, half).unwrap();
        assert!(matches!(admission.reserve(None, 1), Err(Problem::Busy)));
        drop((first, second));
        assert!(admission.reserve(None, 1).is_ok());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_free_place_admits() {
        let admission = Admission::new(1, 1);
        let at_work = admission.turn(1).await.unwrap();
        let waiting = admission.turn(1);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(admission.turn(1).await, Err(Problem::QueueFull)));
        assert!(matches!(admission.reserve(Some(1), 1), Err(Problem::QueueFull)));
        drop(at_work);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn an_exam_larger_than_the_whole_queue_is_admitted_when_nothing_else_waits() {
        let admission = Admission::new(1, 1);
        assert!(admission.turn(4).await.is_ok());
    }
}
