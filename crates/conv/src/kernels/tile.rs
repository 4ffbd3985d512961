//! The innermost loops: a tile of neighbouring outputs whose sums stay in registers.

use crate::lanes::Lanes;
use crate::layout::{LANES, Line};

/// What the sums of a tile run over.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// Channels of the input.
    pub(super) channels: usize,
    /// Lines from one block of the input's row to the next.
    pub(super) block_pixels: usize,
    /// Columns of the kernel.
    pub(super) columns: usize,
    /// Pixels from one output's window to the next one's.
    pub(super) stride: usize,
}

/// The weights of neighbouring output blocks.
#[derive(Clone, Copy)]
pub(super) struct Weights {
    /// The first block's.
    pub(super) first: *const Line,
    /// Lines from one block's to the next one's.
    pub(super) block_lines: usize,
}

/// Sums of `BLOCKS` output blocks at `PIXELS` neighbouring pixels: over input blocks, then kernel rows, columns, and channels, in that
/// order whatever the tile, so that a pixel's bits do not depend on the tile that it falls into. `STRIDE` is the window's, or 0 for any.
///
/// # Safety
/// As for [`Lanes`]; `rows` are the kernel's rows, at the first pixel's window in the input's first block, and all that the window
/// covers for all pixels can be read; so can the weights.
#[inline(always)]
pub(super) unsafe fn sums<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
    rows: &[*const Line],
    window: Window,
    weights: Weights,
) -> [[V; PIXELS]; BLOCKS] {
    let step = LANES * if STRIDE == 0 { window.stride } else { STRIDE };
    let mut weight = weights.first;
    // SAFETY: the caller's promise; every pointer stays within the window or the weights.
    unsafe {
        let mut sums = [[V::zero(); PIXELS]; BLOCKS];
        let mut block = 0;
        while block * LANES < window.channels {
            let channels = (window.channels - block * LANES).min(LANES);
            for row in rows {
                for column in 0..window.columns {
                    let from = row.add(block * window.block_pixels + column).cast::<f32>();
                    for channel in 0..channels {
                        let from = from.add(channel);
                        let mut factors = [V::zero(); BLOCKS];
                        for (output, factor) in factors.iter_mut().enumerate() {
                            *factor = V::load(weight.add(output * weights.block_lines));
                        }
                        for pixel in 0..PIXELS {
                            let value = V::splat(from.add(pixel * step));
                            for output in 0..BLOCKS {
                                sums[output][pixel] = factors[output].mul_add(value, sums[output][pixel]);
                            }
                        }
                        weight = weight.add(1);
                    }
                }
            }
            block += 1;
        }
        sums
    }
}

/// As [`sums`], over an input whose channels are planes of their own.
///
/// # Safety
/// As for [`sums`]; `from` is the first pixel's window in the first plane.
#[inline(always)]
pub(super) unsafe fn planar_sums<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
    from: *const f32,
    planes: Planes,
    weights: Weights,
) -> [[V; PIXELS]; BLOCKS] {
    let step = if STRIDE == 0 { planes.stride } else { STRIDE };
    let mut weight = weights.first;
    // SAFETY: the caller's promise; every pointer stays within the window or the weights.
    unsafe {
        let mut sums = [[V::zero(); PIXELS]; BLOCKS];
        for channel in 0..planes.channels {
            for row in 0..planes.kernel.0 {
                let from = from.add(channel * planes.plane + row * planes.row);
                for column in 0..planes.kernel.1 {
                    let from = from.add(column);
                    let mut factors = [V::zero(); BLOCKS];
                    for (output, factor) in factors.iter_mut().enumerate() {
                        *factor = V::load(weight.add(output * weights.block_lines));
                    }
                    for pixel in 0..PIXELS {
                        let value = V::splat(from.add(pixel * step));
                        for output in 0..BLOCKS {
                            sums[output][pixel] = factors[output].mul_add(value, sums[output][pixel]);
                        }
                    }
                    weight = weight.add(1);
                }
            }
        }
        sums
    }
}

/// Pixels of a tile of [`sliding_sums`], whose sums and whose row of weights take all registers but three.
pub(crate) const SLIDING_PIXELS: usize = 22;

/// Columns and stride of the windows of [`sliding_sums`]: those of the first layer of most networks.
pub(crate) const SLIDING: (usize, usize) = (7, 2);

/// As [`planar_sums`] of one block, with the same bits, for windows that overlap by more than half: each number is read once for all windows
/// that it is in, because reading is what bounds [`planar_sums`].
///
/// # Safety
/// As for [`planar_sums`]; the kernel and the stride are [`SLIDING`].
#[inline(always)]
pub(super) unsafe fn sliding_sums<V: Lanes>(
    from: *const f32,
    planes: Planes,
    weights: *const Line,
) -> [[V; SLIDING_PIXELS]; 1] {
    // SAFETY: the caller's promise; every pointer stays within the window or the weights.
    unsafe {
        let mut sums = [V::zero(); SLIDING_PIXELS];
        let mut weight = weights;
        for channel in 0..planes.channels {
            for row in 0..planes.kernel.0 {
                let from = from.add(channel * planes.plane + row * planes.row);
                let mut factors = [V::zero(); SLIDING.0];
                for (column, factor) in factors.iter_mut().enumerate() {
                    *factor = V::load(weight.add(column));
                }
                weight = weight.add(SLIDING.0);
                // Constants one by one: a loop is not unrolled, and the sums leave their registers then.
                macro_rules! slide {
                    ($($at:literal)*) => { $( slide::<V, $at>(&mut sums, &factors, V::splat(from.add($at))); )* };
                }
                slide!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37
                    38 39 40 41 42 43 44 45 46 47 48);
            }
        }
        [sums]
    }
}

/// Adds the number at `AT` to all windows that it is in.
#[inline(always)]
unsafe fn slide<V: Lanes, const AT: usize>(sums: &mut [V; SLIDING_PIXELS], factors: &[V; SLIDING.0], value: V) {
    for column in 0..SLIDING.0 {
        if AT >= column && (AT - column).is_multiple_of(SLIDING.1) && (AT - column) / SLIDING.1 < SLIDING_PIXELS {
            let pixel = (AT - column) / SLIDING.1;
            // SAFETY: the caller's promise.
            sums[pixel] = unsafe { factors[column].mul_add(value, sums[pixel]) };
        }
    }
}

/// What the sums over planes run over.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub(super) channels: usize,
    /// Numbers from one plane to the next.
    pub(super) plane: usize,
    /// Numbers from one row to the next.
    pub(super) row: usize,
    /// Rows and columns of the kernel.
    pub(super) kernel: (usize, usize),
    /// Numbers from one output's window to the next one's.
    pub(super) stride: usize,
}

/// Where one row of results goes, as `max(result * factor + summand, least)`.
#[derive(Clone, Copy)]
pub(super) struct Sink {
    /// The row's first pixel after the padding.
    pub(super) to: *mut Line,
    /// Lines from one block to the next.
    pub(super) block_pixels: usize,
    /// A line of factors for each block.
    pub(super) factors: *const Line,
    /// A line of summands for each block.
    pub(super) summands: *const Line,
    /// Zero, or less than all numbers.
    pub(super) least: f32,
}

/// One row of what is added to results.
#[derive(Clone, Copy)]
pub(super) struct Addend {
    /// The row's first pixel after the padding.
    pub(super) from: *const Line,
    /// Lines from one block to the next.
    pub(super) block_pixels: usize,
}

/// Adds, scales, cuts and writes a tile's results.
///
/// # Safety
/// As for [`Lanes`]; the tile is within all rows.
#[inline(always)]
pub(super) unsafe fn finish<V: Lanes, const BLOCKS: usize, const PIXELS: usize>(
    sums: [[V; PIXELS]; BLOCKS],
    (block, x): (usize, usize),
    addend: Option<Addend>,
    sinks: &[Sink],
) {
    // SAFETY: the caller's promise.
    unsafe {
        // Written out, because a loop over blocks is not unrolled, and the sums leave their registers then.
        finish_block(sums[0], (block, x), addend, sinks);
        if BLOCKS > 1 {
            finish_block(sums[1], (block + 1, x), addend, sinks);
        }
    }
}

/// # Safety
/// As for [`finish`].
#[inline(always)]
unsafe fn finish_block<V: Lanes, const PIXELS: usize>(
    mut sums: [V; PIXELS],
    (block, x): (usize, usize),
    addend: Option<Addend>,
    sinks: &[Sink],
) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(addend) = addend {
            let from = addend.from.add(block * addend.block_pixels + x);
            for (pixel, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(V::load(from.add(pixel)));
            }
        }
        for sink in sinks {
            let to = sink.to.add(block * sink.block_pixels + x);
            let settling = Settled::of(sink, block);
            for (pixel, sum) in sums.iter().enumerate() {
                settling.apply(*sum).store(to.add(pixel));
            }
        }
    }
}

/// What is done to one block's results, in registers.
#[derive(Clone, Copy)]
pub(super) struct Settled<V> {
    factor: V,
    summand: V,
    least: V,
}

impl<V: Lanes> Settled<V> {
    /// # Safety
    /// As for [`Lanes`]; the sink has that block.
    #[inline(always)]
    pub(super) unsafe fn of(sink: &Sink, block: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                factor: V::load(sink.factors.add(block)),
                summand: V::load(sink.summands.add(block)),
                least: V::constant(sink.least),
            }
        }
    }

    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn apply(self, value: V) -> V {
        // SAFETY: the caller's promise.
        unsafe { self.least.max(value.mul_add(self.factor, self.summand)) }
    }
}

/// What is computed tile by tile.
pub(super) trait Tiled {
    /// Neighbouring pixels in all.
    fn width(&self) -> usize;

    /// Computes `BLOCKS` output blocks from `block` on, at `PIXELS` pixels from `x` on.
    ///
    /// # Safety
    /// As for [`sums`] and [`finish`].
    unsafe fn tile<V: Lanes, const BLOCKS: usize, const PIXELS: usize, const STRIDE: usize>(
        &self,
        block: usize,
        x: usize,
    );
}

/// Computes all tiles of so many output blocks, two at a time where registers allow it. `widths` are tiles', of one block and of two
/// ([`tile_widths`]).
///
/// # Safety
/// As for [`Tiled::tile`].
#[inline(always)]
pub(super) unsafe fn all_tiles<V: Lanes, T: Tiled, const STRIDE: usize>(work: &T, blocks: usize, widths: [usize; 2]) {
    let mut block = 0;
    while block < blocks {
        // SAFETY: the caller's promise.
        unsafe {
            if V::PIXELS[1] > 0 && block + 1 < blocks {
                for x in tiles(work.width(), widths[1]) {
                    tile_of::<V, T, 2, STRIDE>(work, widths[1], block, x);
                }
                block += 2;
            } else {
                for x in tiles(work.width(), widths[0]) {
                    tile_of::<V, T, 1, STRIDE>(work, widths[0], block, x);
                }
                block += 1;
            }
        }
    }
}

/// The widths that tiles are compiled for, and the choice between them.
macro_rules! tiles_of {
    ($($n:literal)*) => {
        const WIDTHS: [usize; [$($n),*].len()] = [$($n),*];

        /// # Safety
        /// As for [`Tiled::tile`].
        #[inline(always)]
        unsafe fn tile_of<V: Lanes, T: Tiled, const BLOCKS: usize, const STRIDE: usize>(
            work: &T,
            width: usize,
            block: usize,
            x: usize,
        ) {
            // SAFETY: the caller's promise.
            unsafe {
                match width {
                    $($n if $n <= V::PIXELS[BLOCKS - 1] => work.tile::<V, BLOCKS, $n, STRIDE>(block, x),)*
                    other => unreachable!("no tile is {other} wide"),
                }
            }
        }
    };
}
tiles_of!(1 2 3 4 5 6 8 10 11 12 13 14 18 21 28);

/// The widths of tiles for rows of `width` pixels, of one block and of two.
pub(super) fn tile_widths<V: Lanes>(width: usize) -> [usize; 2] {
    let [one, two] = const { &[table(V::PIXELS[0]), table(V::PIXELS[1])] };
    match (one.get(width), two.get(width)) {
        (Some(one), Some(two)) => [usize::from(*one), usize::from(*two)],
        _ => V::PIXELS.map(|most| tile_width(width, most)),
    }
}

/// Rows that are shorter have their tiles' widths from a table: choosing one takes longer than some rows do.
const TABULATED: usize = 1024;

const fn table(most: usize) -> [u8; TABULATED] {
    let mut widths = [1; TABULATED];
    let mut width = 0;
    while width < TABULATED {
        widths[width] = tile_width(width, most) as u8;
        width += 1;
    }
    widths
}

/// The width of tiles for rows of `width` pixels, at most `most`: the last one begins earlier, so that it ends with the row and some
/// pixels are computed twice. Of widths that cost the same, the largest.
const fn tile_width(width: usize, most: usize) -> usize {
    // What a tile costs beside its pixels, in pixels.
    const START: usize = 2;
    let (mut best, mut least) = (1, usize::MAX);
    let mut index = 0;
    while index < WIDTHS.len() {
        let tile = WIDTHS[index];
        let cost = width.div_ceil(tile) * (tile + START);
        if tile <= most && tile <= width && cost <= least {
            (best, least) = (tile, cost);
        }
        index += 1;
    }
    best
}

/// The tiles of a row: where each begins. The last one ends with the row.
pub(super) fn tiles(width: usize, tile: usize) -> impl Iterator<Item = usize> {
    (0..width.div_ceil(tile)).map(move |index| (index * tile).min(width - tile))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_each_row_and_end_with_it() {
        for most in [2, 6, 14, 28] {
            for width in 1..200 {
                let tile = tile_width(width, most);
                assert!(WIDTHS.contains(&tile) && tile <= most && tile <= width);
                let mut covered = 0;
                for begin in tiles(width, tile) {
                    assert!(begin <= covered, "a gap at {covered} of {width}");
                    covered = begin + tile;
                }
                assert_eq!(covered, width);
            }
        }
    }

    #[test]
    fn the_table_says_what_the_rule_says() {
        for most in [0, 2, 6, 14, 28] {
            for (width, tile) in table(most).into_iter().enumerate().skip(1) {
                assert_eq!(usize::from(tile), tile_width(width, most), "{width}, at most {most}");
            }
        }
    }

    #[test]
    fn tiles_waste_little() {
        for width in 14..1000usize {
            let computed = width.div_ceil(tile_width(width, 14)) * tile_width(width, 14);
            assert!(computed * 100 <= width * 130, "{computed} for {width}");
        }
    }
}
