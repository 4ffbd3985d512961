//! Memory that is used again: fresh pages cost a quarter of a short computation.

use std::sync::{Mutex, PoisonError};

use crate::layout::Line;
use crate::pages::prefer_huge_pages;
use crate::placement::{Placed, Placement, Purpose};

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
    /// Lends memory for all blocks, with whatever was left in it.
    pub(crate) fn lend(&self, placement: &Placement, work: impl FnOnce(&mut Lent<'_>)) {
        #[cfg(test)]
        if self.lent.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            // Each block for itself, so that a sanitizer sees where one ends, and full of what spoils every result.
            let nan = Line([f32::NAN; crate::layout::LANES]);
            let mut apart = placement.all().iter().map(|placed| vec![nan; placed.block.lines]).collect();
            return work(&mut Lent { placement, lines: Lines::Apart(&mut apart) });
        }
        self.lend_whole(placement.lines(), |lines| work(&mut Lent { placement, lines: Lines::Whole(lines) }));
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

/// Memory for one computation.
pub(crate) struct Lent<'m> {
    placement: &'m Placement,
    lines: Lines<'m>,
}

enum Lines<'m> {
    Whole(&'m mut [Line]),
    #[cfg(test)]
    Apart(&'m mut Vec<Vec<Line>>),
}

impl Lent<'_> {
    /// Gives each block that is needed while a group runs to `take`.
    pub(crate) fn during<'l>(&'l mut self, group: usize, mut take: impl FnMut(Purpose, &'l mut [Line])) {
        match &mut self.lines {
            Lines::Whole(lines) => {
                let (mut rest, mut at) = (&mut **lines, 0);
                for Placed { block, start } in self.placement.during(group) {
                    let (_, from) = rest.split_at_mut(start - at);
                    let (own, others) = from.split_at_mut(block.lines);
                    (rest, at) = (others, start + block.lines);
                    take(block.purpose, own);
                }
            }
            #[cfg(test)]
            Lines::Apart(apart) => {
                let all = self.placement.all().iter().zip(apart.iter_mut());
                let needed = all.filter(|(placed, _)| placed.block.groups.contains(&group));
                needed.for_each(|(placed, lines)| take(placed.block.purpose, lines));
            }
        }
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
