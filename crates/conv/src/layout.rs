//! The blocked layout: rows of a picture one after another; in a row, its blocks of sixteen channels; in a block, its pixels; and of a
//! pixel, the block's sixteen numbers. Rows are whole, so that a part of a picture is a part of its memory.
//!
//! Pixels of zeros stand before and after those of each row, so that a kernel's window may reach over the edge. Channels that fill up the
//! last block are zeros too.

use std::marker::PhantomData;

/// Channels of a block.
pub(crate) const LANES: usize = 16;

/// One pixel's numbers in one block of channels: a register, and a line of the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);
}

/// The shape of one picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Pixels of zeros before each row.
    pub(crate) left: usize,
    /// Pixels of zeros after each row.
    pub(crate) right: usize,
}

impl Geometry {
    /// Blocks of channels.
    pub(crate) fn blocks(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    /// Lines from one block's first pixel to the next one's.
    pub(crate) fn pixels(&self) -> usize {
        self.left + self.width + self.right
    }

    /// Lines of a row.
    pub(crate) fn row_lines(&self) -> usize {
        self.blocks() * self.pixels()
    }

    /// Channels of a block that are not there to fill it up.
    pub(crate) fn channels_of(&self, block: usize) -> usize {
        (self.channels - block * LANES).min(LANES)
    }
}

/// Rows in memory: all of a picture, some of them, or a ring that keeps the last few.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    lines: &'a [Line],
    geometry: Geometry,
    first: usize,
    capacity: usize,
    zeros: &'a [Line],
    /// Rows from one on that are elsewhere.
    beyond: Option<(usize, &'a [Line])>,
}

impl<'a> Rows<'a> {
    /// `lines` keeps `capacity` rows, of which one is row `first`; `zeros` stands for the rows outside of the picture.
    ///
    /// # Panics
    /// When `lines` or `zeros` is too short.
    pub(crate) fn new(lines: &'a [Line], geometry: Geometry, first: usize, capacity: usize, zeros: &'a [Line]) -> Self {
        assert!(capacity > 0 && lines.len() >= capacity * geometry.row_lines(), "rows in memory");
        assert!(zeros.len() >= geometry.row_lines(), "a row of zeros");
        Self { lines, geometry, first, capacity, zeros, beyond: None }
    }

    /// The same rows, those from `first` on in other lines.
    pub(crate) fn with_beyond(self, first: usize, lines: &'a [Line]) -> Self {
        Self { beyond: Some((first, lines)), ..self }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Row `y`, from its padding on the left; zeros outside of the picture.
    pub(crate) fn row(&self, y: isize) -> &'a [Line] {
        let length = self.geometry.row_lines();
        match usize::try_from(y) {
            Ok(y) if y < self.geometry.height => {
                let (lines, slot) = match self.beyond {
                    Some((first, lines)) if y >= first => (lines, y - first),
                    _ => (self.lines, slot(y, self.first, self.capacity)),
                };
                &lines[slot * length..(slot + 1) * length]
            }
            _ => &self.zeros[..length],
        }
    }
}

/// Rows that are written. See [`Rows`].
///
/// Kernels hold pointers to several rows at once, so that all of them come from one.
pub(crate) struct RowsMut<'a> {
    start: *mut Line,
    geometry: Geometry,
    first: usize,
    capacity: usize,
    lines: PhantomData<&'a mut [Line]>,
}

// SAFETY: it stands for a `&mut [Line]`, which may be sent.
unsafe impl Send for RowsMut<'_> {}

impl<'a> RowsMut<'a> {
    /// # Panics
    /// When `lines` is too short.
    pub(crate) fn new(lines: &'a mut [Line], geometry: Geometry, first: usize, capacity: usize) -> Self {
        assert!(capacity > 0 && lines.len() >= capacity * geometry.row_lines(), "rows in memory");
        Self { start: lines.as_mut_ptr(), geometry, first, capacity, lines: PhantomData }
    }

    pub(crate) fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The first line of a row's, padding and all.
    ///
    /// # Panics
    /// Outside of the picture.
    pub(crate) fn pointer(&mut self, y: usize) -> *mut Line {
        assert!(y < self.geometry.height, "row {y} of {}", self.geometry.height);
        let offset = slot(y, self.first, self.capacity) * self.geometry.row_lines();
        // SAFETY: there are as many rows as places in memory, as was checked when this was made.
        unsafe { self.start.add(offset) }
    }

    /// The same rows, for a while.
    pub(crate) fn reborrow(&mut self) -> RowsMut<'_> {
        RowsMut { lines: PhantomData, ..*self }
    }

    pub(crate) fn row(&mut self, y: usize) -> &mut [Line] {
        // SAFETY: the row is in memory that is borrowed for as long as `self`, and nobody else has it while this does.
        unsafe { std::slice::from_raw_parts_mut(self.pointer(y), self.geometry.row_lines()) }
    }

    /// Makes the padding of a row what it has to be, in memory that held something else.
    pub(crate) fn clear_padding(&mut self, y: usize) {
        let Geometry { left, right, .. } = self.geometry;
        let pixels = self.geometry.pixels();
        for block in self.row(y).chunks_exact_mut(pixels) {
            block[..left].fill(Line::ZERO);
            block[pixels - right..].fill(Line::ZERO);
        }
    }
}

/// The numbers of lines, one after another.
pub(crate) fn numbers(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is sixteen numbers and nothing else.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

/// See [`numbers`].
pub(crate) fn numbers_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: a line is sixteen numbers and nothing else.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}

/// The place of row `y` in a ring in which row `first` has the first.
fn slot(y: usize, first: usize, capacity: usize) -> usize {
    assert!(y >= first, "row {y} of those from {first} on");
    (y - first) % capacity
}
