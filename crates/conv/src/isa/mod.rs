//! The processors that there are kernels for, and which of them this one is.

use std::fmt;
use std::ops::Range;

use crate::kernels::{Direct, Join, Phases, Planar, Pool, Products, RowSum, Scatter, Winograd};
use crate::lanes::Lanes;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use portable::Portable;

/// Kernels that run on this processor. Results of two of them may differ in their last bits, because one rounds where the other does
/// not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSet(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl KernelSet {
    /// All that run here, the fastest first. The last one runs everywhere.
    pub fn available() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
                sets.push(Set::Avx512);
            }
            if avx2 {
                sets.push(Set::Avx2);
            }
        }
        sets.push(Set::Portable);
        sets.into_iter().map(Self).collect()
    }

    /// The fastest that runs here.
    pub fn best() -> Self {
        Self::available().first().copied().unwrap_or(Self(Set::Portable))
    }

    /// Its name, as receipts have it.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            Set::Portable => "portable",
        }
    }

    /// Whether there are registers for windows that slide.
    pub(crate) fn slides(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => true,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => false,
            Set::Portable => false,
        }
    }

    /// Computes rows.
    ///
    /// # Panics
    /// When the work's parts do not fit together, or the rows are not its.
    pub(crate) fn run(self, mut work: Work<'_, '_>, range: Range<usize>) {
        work.check(&range);
        // SAFETY: the work was checked, and a set is only had where the processor was found to have its instructions.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => avx512(&mut work, range),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => avx2(&mut work, range),
                Set::Portable => work.run::<Portable>(range),
            }
        }
    }
}

impl fmt::Display for KernelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512(work: &mut Work<'_, '_>, range: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<avx512::Avx512>(range) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(work: &mut Work<'_, '_>, range: Range<usize>) {
    // SAFETY: the caller's promise.
    unsafe { work.run::<avx2::Avx2>(range) }
}

/// One kernel, and what it works on.
pub(crate) enum Work<'a, 's> {
    Direct(Direct<'a, 's>),
    Planar(Planar<'a, 's>),
    Phases(Phases<'a, 's>),
    Winograd(Winograd<'a, 's>),
    Products(Products<'a, 's>),
    Scatter(Scatter<'a, 's>),
    Pool(Pool<'a, 's>),
    Join(Join<'a, 's>),
    RowSum(RowSum<'a, 's>),
}

impl Work<'_, '_> {
    fn check(&self, range: &Range<usize>) {
        let height = match self {
            Self::Direct(work) => {
                work.check();
                work.out.height
            }
            Self::Planar(work) => {
                work.check();
                work.out.height
            }
            Self::Phases(work) => {
                work.check();
                work.out.height
            }
            Self::Winograd(work) => {
                work.check();
                assert!(work.begins_with_tiles(range), "rows {range:?} do not begin with a row of tiles");
                work.out.height
            }
            Self::Products(work) => {
                work.check(range);
                work.out.height
            }
            Self::Scatter(work) => {
                work.check(range);
                work.out.height
            }
            Self::Pool(work) => {
                work.check();
                work.out.height
            }
            Self::Join(work) => {
                work.check();
                work.input.geometry().height
            }
            Self::RowSum(work) => {
                work.check();
                work.out.height
            }
        };
        assert!(range.start <= range.end && range.end <= height, "rows {range:?} of {height}");
    }

    /// # Safety
    /// As for [`Lanes`]; it was checked.
    #[inline(always)]
    unsafe fn run<V: Lanes>(&mut self, range: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Self::Direct(work) => work.run::<V>(range),
                Self::Planar(work) => work.run::<V>(range),
                Self::Phases(work) => work.run::<V>(range),
                Self::Winograd(work) => work.run::<V>(range),
                Self::Products(work) => work.run::<V>(range),
                Self::Scatter(work) => work.run::<V>(range),
                Self::Pool(work) => work.run::<V>(range),
                Self::Join(work) => work.run::<V>(range),
                Self::RowSum(work) => work.run::<V>(range),
            }
        }
    }
}
