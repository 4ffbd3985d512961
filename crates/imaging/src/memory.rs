//! Memory of pictures and their files, which is used again: fresh pages for 17 MB, and giving them back, cost a third of decoding a picture into
//! them. What was in it is wiped before anybody else has it. What is worked in on the way to a picture is used again in the same way.

use std::ops::{Deref, DerefMut, RangeInclusive};
use std::sync::{Mutex, PoisonError};

use ndarray::Array2;

use crate::limits;

static GREYS: Spare<u16> = Spare::new(limits::MAX_SPARE, limits::LARGEST_SPARE_BYTES);
static FILES: Spare<u8> = Spare::new(limits::MAX_SPARE, limits::LARGEST_SPARE_BYTES);
static PIECES: Spare<u8> = Spare::new(limits::MAX_SPARE_PIECES, limits::LARGEST_SPARE_WORK_BYTES);
// A picture needs one of each, and pictures are seldom prepared two at once.
static BANDS: Spare<u8> = Spare::new(1, limits::LARGEST_SPARE_WORK_BYTES);
static COUNTS: Spare<u32> = Spare::new(1, limits::LARGEST_SPARE_WORK_BYTES);
static LINES: Spare<f32> = Spare::new(3 * limits::MAX_SPARE_CROPS, limits::LARGEST_SPARE_LINE_BYTES);
static STARTS: Spare<u32> = Spare::new(limits::MAX_SPARE_CROPS, limits::LARGEST_SPARE_LINE_BYTES);

/// So many zeros, in memory that was given back if there is some.
pub fn greys(count: usize) -> Vec<u16> {
    GREYS.zeros(count)
}

/// Gives back a picture's memory, to be used for others.
pub fn recycle(picture: Array2<u16>) {
    GREYS.keep(picture.into_raw_vec_and_offset().0);
}

/// A file's bytes, in memory that is wiped and used for others, or given back to the system where it is large.
pub type FileMemory = Lent<u8>;

/// Nothing yet of a file, in memory that was given back if there is some for about so many bytes: half of them at least, and no more than twice as
/// many. A file may grow: what it grows out of is large, so that the allocator moves it or gives it back to the system.
pub fn file(expected: usize) -> FileMemory {
    let mut memory = FILES.of_about(expected).unwrap_or_default();
    memory.clear();
    Lent { memory, to: &FILES }
}

impl From<Vec<u8>> for FileMemory {
    /// A file that is in memory already.
    fn from(memory: Vec<u8>) -> Self {
        Self { memory, to: &FILES }
    }
}

/// So many zeros for a piece of a file.
pub(crate) fn piece(count: usize) -> Lent<u8> {
    Lent { memory: PIECES.zeros(count), to: &PIECES }
}

/// So many zeros for a band of distances.
pub(crate) fn band(count: usize) -> Lent<u8> {
    Lent { memory: BANDS.zeros(count), to: &BANDS }
}

/// So many counters.
pub(crate) fn counts(count: usize) -> Lent<u32> {
    Lent { memory: COUNTS.zeros(count), to: &COUNTS }
}

/// Zeros for a crop's lines or weights: so many, or some more, because crops differ a little and are to find each other's memory large enough.
pub(crate) fn line(count: usize) -> Lent<f32> {
    Lent { memory: LINES.zeros(count.next_power_of_two()), to: &LINES }
}

/// As [`line`], for where something starts.
pub(crate) fn starts(count: usize) -> Lent<u32> {
    Lent { memory: STARTS.zeros(count.next_power_of_two()), to: &STARTS }
}

/// Memory that is given back when it is dropped. What it grows out of is not wiped: only files do.
pub struct Lent<T: Copy + Default + 'static> {
    memory: Vec<T>,
    to: &'static Spare<T>,
}

impl<T: Copy + Default> Deref for Lent<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.memory
    }
}

impl<T: Copy + Default> DerefMut for Lent<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.memory
    }
}

impl<T: Copy + Default> std::fmt::Debug for Lent<T> {
    /// Nothing of what is in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lent({})", self.memory.len())
    }
}

impl<T: Copy + Default> Drop for Lent<T> {
    fn drop(&mut self) {
        self.to.keep(std::mem::take(&mut self.memory));
    }
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

/// Wiped memory that nobody uses at the moment: so many at most, and each of so many bytes at most.
struct Spare<T> {
    kept: Mutex<Vec<Vec<T>>>,
    most: usize,
    largest: usize,
}

impl<T: Copy + Default> Spare<T> {
    const fn new(most: usize, largest: usize) -> Self {
        Self { kept: Mutex::new(Vec::new()), most, largest }
    }

    fn zeros(&self, count: usize) -> Vec<T> {
        // Of more than twice as much, a small picture would hold what a large one is counted for.
        if let Some(mut memory) = self.take(|spare| smallest(spare, count..=2 * count)) {
            memory.resize(count, T::default());
            return memory;
        }
        // One that is too small makes room, or the smallest of as many as are kept: who asks will give back one more.
        drop(self.take(|spare| {
            let full = spare.len() >= self.most;
            smallest(spare, 0..=if full { usize::MAX } else { count })
        }));
        vec![T::default(); count]
    }

    /// Memory with room for so many, or for nearly as many, and not for many more; none where there is none such.
    fn of_about(&self, count: usize) -> Option<Vec<T>> {
        let fitting = self.take(|spare| {
            let nearly = || smallest(spare, count.div_ceil(2).max(1)..=count);
            smallest(spare, count..=2 * count).filter(|_| count > 0).or_else(nearly)
        });
        if fitting.is_none() {
            // One makes room where as many as may be are kept: who asks will give back one more, that others like it will find.
            drop(self.take(|spare| smallest(spare, 0..=usize::MAX).filter(|_| spare.len() >= self.most)));
        }
        fitting
    }

    fn take(&self, which: impl FnOnce(&[Vec<T>]) -> Option<usize>) -> Option<Vec<T>> {
        let mut spare = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = which(&spare)?;
        Some(spare.swap_remove(at))
    }

    fn keep(&self, mut memory: Vec<T>) {
        if memory.capacity() == 0 || memory.capacity() * size_of::<T>() > self.largest {
            return;
        }
        // What it was cut down from is wiped too.
        memory.clear();
        memory.resize(memory.capacity(), T::default());
        let mut spare = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(memory);
        if spare.len() > self.most {
            // It is had again most cheaply.
            let smallest = smallest(&spare, 0..=usize::MAX);
            smallest.map(|at| spare.swap_remove(at));
        }
    }
}

/// The place of the smallest that has room for so many.
fn smallest<T>(spare: &[Vec<T>], capacities: RangeInclusive<usize>) -> Option<usize> {
    let fitting = (0..spare.len()).filter(|at| capacities.contains(&spare[*at].capacity()));
    fitting.min_by_key(|at| spare[*at].capacity())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_holds_nothing_of_what_was_in_it() {
        let spare = Spare::<u16>::new(limits::MAX_SPARE, limits::LARGEST_SPARE_BYTES);
        let mut first = spare.zeros(100);
        first.fill(7);
        let place = first.as_ptr();
        spare.keep(first);
        assert!(spare.kept.lock().unwrap().iter().flatten().all(|grey| *grey == 0), "wiped when it is given back");
        let mut cut = spare.zeros(100);
        cut.fill(7);
        cut.truncate(10);
        spare.keep(cut);
        let whole = |memory: &Vec<u16>| memory.len() == memory.capacity() && memory.iter().all(|grey| *grey == 0);
        assert!(spare.kept.lock().unwrap().iter().all(whole), "and what it was cut down from");
        let second = spare.zeros(60);
        assert_eq!((second.as_ptr(), second.as_slice()), (place, [0; 60].as_slice()));
        spare.keep(second);
        let third = spare.zeros(100);
        assert_eq!((third.as_ptr(), third.as_slice()), (place, [0; 100].as_slice()));
        assert_eq!(spare.zeros(50), [0; 50], "there is none left to be used again");
        spare.keep(third);
        assert_eq!(spare.zeros(101), [0; 101]);
        assert!(spare.kept.lock().unwrap().is_empty(), "what was too small made room");
        spare.keep(vec![1; 100]);
        assert_eq!(spare.zeros(49).capacity(), 49);
        assert_eq!(spare.kept.lock().unwrap().len(), 1, "what is far too large waits for another");
        (1..limits::MAX_SPARE).for_each(|more| spare.keep(vec![1; 100 + more]));
        assert_eq!(spare.zeros(30).capacity(), 30);
        let kept: Vec<usize> = spare.kept.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(kept, (101..100 + limits::MAX_SPARE).collect::<Vec<_>>(), "the smallest made room");
    }

    #[test]
    fn little_is_kept_and_nothing_that_is_very_large() {
        let spare = Spare::<u16>::new(limits::MAX_SPARE, limits::LARGEST_SPARE_BYTES);
        (1..=2 * limits::MAX_SPARE).for_each(|count| spare.keep(vec![1; count]));
        spare.keep(vec![]);
        spare.keep(vec![1; limits::LARGEST_SPARE_BYTES / 2 + 1]);
        let mut kept: Vec<usize> = spare.kept.lock().unwrap().iter().map(Vec::len).collect();
        kept.sort_unstable();
        assert_eq!(kept, (limits::MAX_SPARE + 1..=2 * limits::MAX_SPARE).collect::<Vec<_>>(), "the largest");
        let spare = Spare::<u16>::new(limits::MAX_SPARE, limits::LARGEST_SPARE_BYTES);
        spare.keep(vec![]);
        assert!(spare.kept.lock().unwrap().is_empty());
    }

    #[test]
    fn a_file_has_memory_of_about_its_own_length_and_may_grow_out_of_it() {
        let spare = Spare::<u8>::new(4, 1000);
        [vec![7; 100], vec![7; 200], vec![7; 450]].into_iter().for_each(|memory| spare.keep(memory));
        let capacity = |count| {
            let memory = spare.of_about(count)?;
            let capacity = memory.capacity();
            assert!(memory.iter().all(|byte| *byte == 0), "wiped when it was given back");
            spare.keep(memory);
            Some(capacity)
        };
        assert_eq!([0, 49, 50, 100].map(capacity), [None, None, Some(100), Some(100)]);
        assert_eq!([101, 200, 201, 225].map(capacity), [Some(200), Some(200), Some(200), Some(450)]);
        assert_eq!([450, 900, 901].map(capacity), [Some(450), Some(450), None]);
        let mut memory = spare.of_about(450).unwrap();
        memory.resize(500, 7);
        spare.keep(memory);
        assert!(spare.of_about(500).unwrap().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn files_of_another_length_find_memory_again_after_a_while() {
        let spare = Spare::<u8>::new(2, 1000);
        [vec![7; 900], vec![7; 900]].into_iter().for_each(|memory| spare.keep(memory));
        assert!(spare.of_about(100).is_none());
        spare.keep(vec![7; 100]);
        assert_eq!(spare.of_about(100).map(|memory| memory.capacity()), Some(100));
    }

    #[test]
    fn a_file_is_given_back_when_it_is_dropped_and_so_is_memory_that_nothing_came_into() {
        drop(FileMemory::from(vec![7; 1 << 20]));
        drop(file(1 << 20));
        let again = file(1 << 20);
        assert!(again.is_empty() && again.capacity() == 1 << 20, "{again:?}");
        assert_eq!(format!("{again:?}"), "Lent(0)");
    }
}
