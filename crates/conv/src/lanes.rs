//! Sixteen numbers at a time, in whatever registers a processor has.

use crate::layout::Line;

/// Sixteen `f32` in registers. Implementations are free of branches and meant to be inlined into a function whose target features
/// allow them.
///
/// # Safety
/// Every method may use instructions of the implementation's processor: callers run on one that has them. Pointers are to as many
/// numbers as the method reads or writes.
pub(crate) trait Lanes: Copy {
    /// The widest tile of pixels whose sums stay in registers, for one block of outputs and for two at once (0: never two).
    const PIXELS: [usize; 2];
    /// The most strips whose sums stay in registers, of the numbers that there are kernels for: 1 or 4.
    const STRIPS: usize;

    /// All zero.
    unsafe fn zero() -> Self;
    /// One number, sixteen times.
    unsafe fn splat(from: *const f32) -> Self;
    /// A constant, sixteen times.
    unsafe fn constant(value: f32) -> Self;
    /// A line.
    unsafe fn load(from: *const Line) -> Self;
    /// Sixteen numbers, wherever they lie.
    unsafe fn read(from: *const f32) -> Self;
    /// Has numbers brought into the cache that will be read soon.
    unsafe fn fetch(from: *const f32);
    /// Writes a line.
    unsafe fn store(self, to: *mut Line);
    /// `self + other`
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`
    unsafe fn sub(self, other: Self) -> Self;
    /// Every second number of both, from the first on and from the second on.
    unsafe fn unzip(self, other: Self) -> [Self; 2];
    /// `self * factor + addend`, rounded once where the processor can.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// The larger of both; `other` where either is not a number.
    unsafe fn max(self, other: Self) -> Self;
    /// The larger of both; not a number where either is not.
    unsafe fn max_or_none(self, other: Self) -> Self;
}
