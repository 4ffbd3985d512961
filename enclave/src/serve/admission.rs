//! Who may come in: a budget for the bytes being uploaded, a bounded queue, and as many workers as processors.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloister_imaging::FileMemory;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::config::Capacity;
use crate::disclose::metrics;
use crate::limits;

const BUDGET_UNIT: usize = 64 * 1024;

/// Who may come in, and how many at once.
pub struct Admission {
    bytes: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    decoded: Arc<Semaphore>,
    attestations: Semaphore,
    places: usize,
}

/// A body's share of the budget. It grows as bytes arrive, or before where they come into memory that is held already, and is given back with
/// the last clone.
#[derive(Clone)]
pub(super) struct Reserved(Arc<Share>);

struct Share {
    budget: Arc<Semaphore>,
    limit: usize,
    taken: Mutex<Taken>,
}

struct Taken {
    bytes: usize,
    /// What is left of the memory of files that have come.
    unused: usize,
    permit: OwnedSemaphorePermit,
}

impl Reserved {
    /// Sets memory aside for the next bytes of the body.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), Problem> {
        let mut taken = self.taken();
        taken.bytes += bytes;
        if taken.bytes > self.0.limit {
            return Err(Problem::BodyTooLarge { limit: self.0.limit });
        }
        self.set_aside(&mut taken, 0).ok_or(Problem::Busy)
    }

    /// Memory for a file of about so many bytes that are yet to come: another one's, all of which counts from now on, or none. A body's files
    /// come one after another: the one before has to be settled.
    pub(super) fn memory(&self, expected: usize) -> FileMemory {
        let memory = cloister_imaging::file(expected);
        match self.set_aside(&mut self.taken(), memory.capacity()) {
            Some(()) => memory,
            None => cloister_imaging::file(0),
        }
    }

    /// Nothing more comes into this memory. What is left of it goes on to count.
    pub(super) fn settle(&self, memory: &FileMemory) {
        self.taken().unused += memory.capacity() - memory.len();
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes of the budget what is missing for all that was taken, and so many bytes more.
    fn set_aside(&self, taken: &mut Taken, more: usize) -> Option<()> {
        let units = (taken.bytes + taken.unused + more).div_ceil(BUDGET_UNIT);
        let missing = u32::try_from(units.saturating_sub(taken.permit.num_permits())).ok()?;
        taken.permit.merge(Arc::clone(&self.0.budget).try_acquire_many_owned(missing).ok()?);
        Some(())
    }
}

/// A place in the queue, then a worker, then memory for pixels; all given back when dropped.
pub(super) struct Turn {
    _place: OwnedSemaphorePermit,
    _worker: OwnedSemaphorePermit,
    _decoded: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(Capacity { queue, threads: workers }: Capacity) -> Self {
        // Those at work hold their places too.
        let places = queue + workers;
        Self {
            bytes: Arc::new(Semaphore::new(limits::UPLOAD_BUDGET_BYTES / BUDGET_UNIT)),
            queue: Arc::new(Semaphore::new(places)),
            workers: Arc::new(Semaphore::new(workers)),
            decoded: Arc::new(Semaphore::new(limits::DECODED_BUDGET_BYTES / BUDGET_UNIT)),
            attestations: Semaphore::new(limits::MAX_CONCURRENT_ATTESTATIONS),
            places,
        }
    }

    /// Lets a body in: one of a declared length past its limit, or past a full queue, is refused before its first byte.
    pub(super) fn reserve(&self, declared: Option<u64>, limit: usize) -> Result<Reserved, Problem> {
        if declared.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limit)) {
            return Err(Problem::BodyTooLarge { limit });
        }
        if self.queue.available_permits() == 0 {
            return Err(Problem::QueueFull);
        }
        let permit = Arc::clone(&self.bytes).try_acquire_owned().map_err(|_| Problem::Busy)?;
        let taken = Mutex::new(Taken { bytes: 0, unused: 0, permit });
        Ok(Reserved(Arc::new(Share { budget: Arc::clone(&self.bytes), limit, taken })))
    }

    /// A place in the queue for `images`, refused at once when there is none; then a worker, and memory for the largest of the
    /// images once decoded, both waited for.
    pub(super) async fn turn(&self, images: usize, decoded_bytes: usize) -> Result<Turn, Problem> {
        let places = u32::try_from(images.min(self.places)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.queue).try_acquire_many_owned(places).map_err(|_| Problem::QueueFull)?;
        metrics::queue_depth(self.depth());
        let units = decoded_bytes.min(limits::DECODED_BUDGET_BYTES).div_ceil(BUDGET_UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let gone = |_| Problem::Internal("the workers are gone");
        let worker = Arc::clone(&self.workers).acquire_owned().await.map_err(gone)?;
        let decoded = Arc::clone(&self.decoded).acquire_many_owned(units).await.map_err(gone)?;
        Ok(Turn { _place: place, _worker: worker, _decoded: decoded })
    }

    pub(super) async fn attestation(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
        self.attestations.acquire().await.map_err(|_| Problem::Attestation)
    }

    /// Images waiting or at work.
    pub(super) fn depth(&self) -> usize {
        self.places - self.queue.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(queue: usize, threads: usize) -> Admission {
        Admission::new(Capacity { queue, threads })
    }

    #[test]
    fn a_body_that_says_it_is_too_large_is_refused_before_it_is_read() {
        let admission = admission(1, 1);
        assert!(matches!(admission.reserve(Some(11), 10), Err(Problem::BodyTooLarge { limit: 10 })));
        assert!(admission.reserve(Some(10), 10).is_ok());
    }

    #[test]
    fn bodies_take_the_budget_as_they_arrive_and_give_it_back_whole() {
        let admission = admission(1, 1);
        let all = limits::UPLOAD_BUDGET_BYTES;
        let slow = admission.reserve(Some(all as u64), all).unwrap();
        let fast = admission.reserve(None, all).unwrap();
        fast.grow(all - BUDGET_UNIT).unwrap();
        assert!(matches!(admission.reserve(None, all), Err(Problem::Busy)), "there is nothing left");
        assert!(slow.grow(BUDGET_UNIT).is_ok(), "its first unit was its own");
        assert!(matches!(slow.grow(1), Err(Problem::Busy)));
        let clone = fast.clone();
        drop(fast);
        assert!(matches!(admission.reserve(None, all), Err(Problem::Busy)), "a clone still holds it");
        drop((clone, slow));
        assert!(admission.reserve(None, all).unwrap().grow(all).is_ok());
    }

    #[test]
    fn memory_that_another_file_had_counts_before_anything_comes_into_it() {
        const LENGTH: usize = 4 * BUDGET_UNIT;
        let admission = admission(1, 1);
        let left = || admission.bytes.available_permits();
        let all = left();
        let used_before = || drop(FileMemory::from(vec![7; LENGTH]));
        used_before();
        let reserved = admission.reserve(None, limits::MAX_EXAM_BYTES).unwrap();
        let mut first = reserved.memory(LENGTH);
        assert_eq!((first.capacity(), all - left()), (LENGTH, 4));
        reserved.grow(BUDGET_UNIT).unwrap();
        first.extend([1; BUDGET_UNIT]);
        reserved.settle(&first);
        assert_eq!(all - left(), 4, "what came into it was counted before");
        used_before();
        let second = reserved.memory(LENGTH);
        assert_eq!((second.capacity(), all - left()), (LENGTH, 8), "what is left of the first is held too");
        let others = admission.reserve(None, limits::UPLOAD_BUDGET_BYTES).unwrap();
        others.grow((left() - 2) * BUDGET_UNIT).unwrap();
        drop(second);
        assert_eq!(others.memory(LENGTH).capacity(), 0, "there is no room for it");
        assert_eq!(cloister_imaging::file(LENGTH).capacity(), LENGTH, "it is there for others");
        drop((reserved, others));
        assert_eq!(left(), all);
    }

    #[test]
    fn a_body_that_grows_past_its_limit_is_refused() {
        let reserved = admission(1, 1).reserve(None, 10).unwrap();
        assert!(reserved.grow(10).is_ok());
        assert!(matches!(reserved.grow(1), Err(Problem::BodyTooLarge { limit: 10 })));
    }

    #[tokio::test]
    async fn images_that_do_not_fit_decoded_wait_for_those_that_do() {
        let admission = admission(2, 2);
        let large = limits::DECODED_BUDGET_BYTES / 2 + 1;
        let first = admission.turn(1, large).await.unwrap();
        let second = admission.turn(1, large);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_free_place_admits() {
        let admission = admission(1, 1);
        let at_work = admission.turn(1, 0).await.unwrap();
        let waiting = admission.turn(1, 0);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(admission.turn(1, 0).await, Err(Problem::QueueFull)));
        assert!(matches!(admission.reserve(Some(1), 1), Err(Problem::QueueFull)));
        drop(at_work);
        assert!(waiting.await.is_ok());
    }

    #[tokio::test]
    async fn an_exam_larger_than_the_whole_queue_is_admitted_when_nothing_else_waits() {
        let admission = admission(1, 1);
        assert!(admission.turn(4, 0).await.is_ok());
    }
}
