//! Where everything stands that a computation works in: what is not needed at the same time stands in the same place.

use std::ops::RangeInclusive;

/// What memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A whole picture.
    Picture(usize),
    /// A step's input with padding around each plane.
    Padded(usize),
    /// Rows that a thread keeps within a group: the picture's number in its part's list.
    Ring { thread: usize, number: usize },
    /// Rows that a thread keeps for the part before. See [`Purpose::Ring`].
    Head { thread: usize, number: usize },
    /// What a thread works in.
    Scratch { thread: usize },
}

/// So many lines, for as long as some groups run that follow each other.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) purpose: Purpose,
    pub(crate) lines: usize,
    pub(crate) groups: RangeInclusive<usize>,
}

/// A block, and its first line.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) block: Block,
    pub(crate) start: usize,
}

impl Placed {
    fn end(&self) -> usize {
        self.start + self.block.lines
    }
}

/// All blocks.
#[derive(Debug)]
pub(crate) struct Placement {
    placed: Vec<Placed>,
    /// For each group: which are needed while it runs, by their first lines.
    groups: Vec<Vec<usize>>,
}

impl Placement {
    /// The largest are placed first, each as low as those placed before it leave room for: few lines more than are needed at once, if any.
    /// Those of no lines have no place.
    pub(crate) fn of(mut blocks: Vec<Block>) -> Self {
        blocks.retain(|block| block.lines > 0);
        blocks.sort_by_key(|block| std::cmp::Reverse(block.lines));
        let last = blocks.iter().map(|block| *block.groups.end()).max();
        let mut this = Self { placed: Vec::with_capacity(blocks.len()), groups: Vec::new() };
        this.groups.resize_with(last.map_or(0, |last| last + 1), Vec::new);
        for block in blocks {
            let start = this.lowest(&block);
            for group in &mut this.groups[block.groups.clone()] {
                let at = group.partition_point(|other| this.placed[*other].start < start);
                group.insert(at, this.placed.len());
            }
            this.placed.push(Placed { block, start });
        }
        this
    }

    /// The first line from which on a block meets none of those that are placed.
    fn lowest(&self, block: &Block) -> usize {
        let meeting = self.groups[block.groups.clone()].iter().flatten();
        let mut meeting: Vec<&Placed> = meeting.map(|number| &self.placed[*number]).collect();
        meeting.sort_by_key(|other| other.start);
        let mut start = 0;
        for other in meeting {
            if other.start >= start + block.lines {
                break;
            }
            start = start.max(other.end());
        }
        start
    }

    /// Lines in all.
    pub(crate) fn lines(&self) -> usize {
        self.placed.iter().map(Placed::end).max().unwrap_or(0)
    }

    #[cfg(test)]
    pub(crate) fn all(&self) -> &[Placed] {
        &self.placed
    }

    /// What is needed while a group runs, by its first lines.
    pub(crate) fn during(&self, group: usize) -> impl Iterator<Item = &Placed> {
        self.groups.get(group).into_iter().flatten().map(|number| &self.placed[*number])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(lines: usize, groups: RangeInclusive<usize>) -> Block {
        Block { purpose: Purpose::Scratch { thread: 0 }, lines, groups }
    }

    #[test]
    fn what_is_needed_at_different_times_stands_in_the_same_place() {
        let placement = Placement::of(vec![block(5, 0..=1), block(3, 2..=2), block(2, 2..=3), block(4, 1..=1)]);
        assert_eq!(placement.lines(), 9);
        assert_eq!(placement.during(2).map(|placed| placed.start..placed.end()).collect::<Vec<_>>(), [0..3, 3..5]);
        assert_eq!(Placement::of(vec![]).lines(), 0);
    }

    proptest! {
        #[test]
        fn nothing_stands_where_something_else_is_needed(
            blocks in prop::collection::vec((0..20usize, 0..8usize, 0..4usize), 0..40),
        ) {
            let blocks: Vec<Block> =
                blocks.into_iter().map(|(lines, first, more)| block(lines, first..=first + more)).collect();
            let placement = Placement::of(blocks.clone());
            for group in 0..12 {
                let needed = || blocks.iter().filter(|block| block.lines > 0 && block.groups.contains(&group));
                let placed: Vec<_> = placement.during(group).collect();
                prop_assert_eq!(placed.len(), needed().count());
                let lines: usize = needed().map(|block| block.lines).sum();
                prop_assert_eq!(placed.iter().map(|placed| placed.block.lines).sum::<usize>(), lines);
                prop_assert!(placed.windows(2).all(|pair| pair[0].end() <= pair[1].start));
            }
        }
    }
}
