//! Memory of pictures, which is used again: fresh pages for 17 MB, and giving them back, cost a third of decoding a picture into them. What was
//! in it is wiped before anybody else has it.

use std::ops::{Deref, RangeInclusive};
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;

use crate::limits;

static GREYS: Spare = Spare::new();

/// So many zeros, in memory that was given back if there is some.
pub fn greys(count: usize) -> Vec<u16> {
    GREYS.zeros(count)
}

/// Gives back a picture's memory, to be used for others.
pub fn recycle(picture: Array2<u16>) {
    GREYS.keep(picture.into_raw_vec_and_offset().0);
}

/// A picture whose memory is given back.
pub(crate) struct Picture(Array2<u16>);

impl From<Array2<u16>> for Picture {
    fn from(picture: Array2<u16>) -> Self {
        Self(picture)
    }
}

impl Deref for Picture {
    type Target = Array2<u16>;

    fn deref(&self) -> &Array2<u16> {
        &self.0
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.0));
    }
}

/// Wiped memory that nobody uses at the moment.
struct Spare(Mutex<Vec<Vec<u16>>>);

impl Spare {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn zeros(&self, count: usize) -> Vec<u16> {
        // Of more than twice as much, a small picture would hold what a large one is counted for.
        if let Some(mut memory) = self.take(|spare| smallest(spare, count..=2 * count)) {
            memory.resize(count, 0);
            return memory;
        }
        // One that is too small makes room, or the smallest of as many as are kept: who asks will give back one more.
        drop(self.take(|spare| {
            let full = spare.len() >= limits::MAX_SPARE;
            smallest(spare, 0..=if full { usize::MAX } else { count })
        }));
        vec![0; count]
    }

    fn take(&self, which: impl FnOnce(&[Vec<u16>]) -> Option<usize>) -> Option<Vec<u16>> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = which(&spare)?;
        Some(spare.swap_remove(at))
    }

    fn keep(&self, mut memory: Vec<u16>) {
        if memory.is_empty() || memory.capacity() * size_of::<u16>() > limits::LARGEST_SPARE_BYTES {
            return;
        }
        memory.fill(0);
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(memory);
        if spare.len() > limits::MAX_SPARE {
            // It is had again most cheaply.
            let smallest = smallest(&spare, 0..=usize::MAX);
            smallest.map(|at| spare.swap_remove(at));
        }
    }
}

/// The place of the smallest that has room for so many.
fn smallest(spare: &[Vec<u16>], capacities: RangeInclusive<usize>) -> Option<usize> {
    let fitting = (0..spare.len()).filter(|at| capacities.contains(&spare[*at].capacity()));
    fitting.min_by_key(|at| spare[*at].capacity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_holds_nothing_of_what_was_in_it() {
        let spare = Spare::new();
        let mut first = spare.zeros(100);
        first.fill(7);
        let place = first.as_ptr();
        spare.keep(first);
        assert!(spare.0.lock().unwrap().iter().flatten().all(|grey| *grey == 0), "wiped when it is given back");
        let second = spare.zeros(60);
        assert_eq!((second.as_ptr(), second.as_slice()), (place, [0; 60].as_slice()));
        spare.keep(second);
        let third = spare.zeros(100);
        assert_eq!((third.as_ptr(), third.as_slice()), (place, [0; 100].as_slice()));
        assert_eq!(spare.zeros(50), [0; 50], "there is none left to be used again");
        spare.keep(third);
        assert_eq!(spare.zeros(101), [0; 101]);
        assert!(spare.0.lock().unwrap().is_empty(), "what was too small made room");
        spare.keep(vec![1; 100]);
        assert_eq!(spare.zeros(49).capacity(), 49);
        assert_eq!(spare.0.lock().unwrap().len(), 1, "what is far too large waits for another");
        (1..limits::MAX_SPARE).for_each(|more| spare.keep(vec![1; 100 + more]));
        assert_eq!(spare.zeros(30).capacity(), 30);
        let kept: Vec<usize> = spare.0.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(kept, (101..100 + limits::MAX_SPARE).collect::<Vec<_>>(), "the smallest made room");
    }

    #[test]
    fn little_is_kept_and_nothing_that_is_very_large() {
        let spare = Spare::new();
        (1..=2 * limits::MAX_SPARE).for_each(|count| spare.keep(vec![1; count]));
        spare.keep(vec![]);
        spare.keep(vec![1; limits::LARGEST_SPARE_BYTES / 2 + 1]);
        let mut kept: Vec<usize> = spare.0.lock().unwrap().iter().map(Vec::len).collect();
        kept.sort_unstable();
        assert_eq!(kept, (limits::MAX_SPARE + 1..=2 * limits::MAX_SPARE).collect::<Vec<_>>(), "the largest");
        let spare = Spare::new();
        spare.keep(vec![]);
        assert!(spare.0.lock().unwrap().is_empty());
    }
}
