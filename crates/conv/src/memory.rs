//! Memory that is used again: fresh pages cost a quarter of a short computation.

use std::sync::{Mutex, PoisonError};

use crate::layout::Line;

/// Pieces of memory that nobody uses at the moment: as many as computations were at work at once.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    spare: Mutex<Vec<Vec<Line>>>,
}

impl Memory {
    /// Lends `count` lines, with whatever was left in them.
    pub(crate) fn lend(&self, count: usize, work: impl FnOnce(&mut [Line])) {
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
                vec![Line::ZERO; count]
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
        memory.lend(3, |lines| lines[2] = Line([7.0; 16]));
        memory.lend(2, |lines| assert_eq!(lines.len(), 2));
        memory.lend(3, |lines| assert_eq!(lines[2], Line([7.0; 16]), "the same memory"));
        memory.lend(5, |_| memory.lend(1, |_| ()));
        let spare = memory.spare.lock().unwrap();
        assert_eq!(spare.iter().map(Vec::len).collect::<Vec<_>>(), [1, 5]);
    }
}
