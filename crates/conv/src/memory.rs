//! Memory that is used again: fresh pages cost a quarter of a short computation.

use std::sync::{Mutex, PoisonError};

use crate::layout::Line;
use crate::pages::prefer_huge_pages;

/// Lines of zeros, on huge pages where there are some.
pub(crate) fn zeros(count: usize) -> Vec<Line> {
    let mut lines = Vec::with_capacity(count);
    prefer_huge_pages(lines.spare_capacity_mut());
    lines.resize(count, Line::ZERO);
    lines
}

/// Pieces of memory that nobody uses at the moment: as many as computations were at work at once.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    spare: Mutex<Vec<Vec<Line>>>,
    /// How often it was lent: tests do so in two ways.
    #[cfg(test)]
    lent: std::sync::atomic::AtomicUsize,
}

impl Memory {
    /// Lends pieces of so many lines each, with whatever was left in them.
    pub(crate) fn lend(&self, pieces: &[usize], work: impl FnOnce(Vec<&mut [Line]>)) {
        #[cfg(test)]
        if self.lent.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            // Each piece for itself, so that a sanitizer sees where one ends, and full of what spoils every result.
            let mut apart: Vec<Vec<Line>> =
                pieces.iter().map(|lines| vec![Line([f32::NAN; crate::layout::LANES]); *lines]).collect();
            return work(apart.iter_mut().map(Vec::as_mut_slice).collect());
        }
        self.lend_whole(pieces.iter().sum(), |mut whole| {
            let mut divided = Vec::with_capacity(pieces.len());
            for lines in pieces {
                let (piece, rest) = whole.split_at_mut(*lines);
                divided.push(piece);
                whole = rest;
            }
            work(divided);
        });
    }

    fn lend_whole(&self, count: usize, work: impl FnOnce(&mut [Line])) {
        let spare = {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = (0..spare.len()).filter(|at| spare[*at].len() >= count).min_by_key(|at| spare[*at].len());
            // One that is too small makes room for one that is not, so that there are no more pieces than computations.
            fitting.or((!spare.is_empty()).then_some(0)).map(|at| spare.swap_remove(at))
        };
        let mut lines = match spare {
            Some(lines) if lines.len() >= count => lines,
            small => {
                drop(small);
                zeros(count)
            }
        };
        work(&mut lines[..count]);
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_grows_where_it_has_to() {
        let memory = Memory::default();
        memory.lend_whole(3, |lines| lines[2] = Line([7.0; 16]));
        memory.lend_whole(2, |lines| assert_eq!(lines.len(), 2));
        memory.lend_whole(3, |lines| assert_eq!(lines[2], Line([7.0; 16]), "the same memory"));
        memory.lend_whole(5, |_| memory.lend_whole(1, |_| ()));
        let spare = memory.spare.lock().unwrap();
        assert_eq!(spare.iter().map(Vec::len).collect::<Vec<_>>(), [1, 5]);
    }
}
