//! An array, for processors without a kernel of their own, and as the reference for those that have one.

use crate::lanes::Lanes;
use crate::layout::{LANES, Line};

#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; LANES]);

/// Lane by lane. A loop, because a closure that is given to `array::from_fn` is called, and not inlined, where there are many.
macro_rules! each {
    ($lane:ident: $number:expr) => {{
        let mut lanes = [0.0; LANES];
        for ($lane, number) in lanes.iter_mut().enumerate() {
            *number = $number;
        }
        Portable(lanes)
    }};
}

impl Lanes for Portable {
    const PIXELS: [usize; 2] = [2, 0];
    const STRIPS: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; LANES])
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: `from` is to a number.
        Self([unsafe { *from }; LANES])
    }

    #[inline(always)]
    unsafe fn constant(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        // SAFETY: `from` is to a line.
        Self(unsafe { (*from).0 })
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: there are sixteen numbers.
        Self(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn fetch(_: *const f32) {}

    #[inline(always)]
    unsafe fn store(self, to: *mut Line) {
        // SAFETY: `to` is to a line.
        unsafe { *to = Line(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        each!(lane: self.0[lane] + other.0[lane])
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        each!(lane: self.0[lane] - other.0[lane])
    }

    #[inline(always)]
    unsafe fn unzip(self, other: Self) -> [Self; 2] {
        let both = [self.0, other.0];
        let both = both.as_flattened();
        [each!(lane: both[2 * lane]), each!(lane: both[2 * lane + 1])]
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Where it is not an instruction, a fused multiply-add is a call that takes fifty times as long.
        let fused = cfg!(any(target_feature = "fma", target_arch = "aarch64"));
        each!(lane: {
            let (a, b, c) = (self.0[lane], factor.0[lane], addend.0[lane]);
            if fused { a.mul_add(b, c) } else { a * b + c }
        })
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        each!(lane: if self.0[lane] > other.0[lane] { self.0[lane] } else { other.0[lane] })
    }

    #[inline(always)]
    unsafe fn max_or_none(self, other: Self) -> Self {
        each!(lane: {
            let (a, b) = (self.0[lane], other.0[lane]);
            if a > b || a.is_nan() { a } else { b }
        })
    }
}
