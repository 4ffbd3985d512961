//! Plain loops with wider registers, where a processor has them.

/// Loops over numbers, to be compiled for each kind of processor: [`Wide::run`] and what it calls are `#[inline(always)]`, or are not among them.
pub trait Wide {
    /// What comes of it.
    type Output;

    /// Does it.
    fn run(self) -> Self::Output;
}

/// Does work with registers that are as wide as this processor's, up to 256 bits. Results have the same bits on all of them: each operation stands
/// alone, and rounds for itself.
pub fn wide<W: Wide>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was found to have these instructions.
        return unsafe { avx2(work) };
    }
    work.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<W: Wide>(work: W) -> W::Output {
    work.run()
}
