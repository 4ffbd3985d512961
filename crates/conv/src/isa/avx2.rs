//! Two registers of 256 bits.

use std::arch::x86_64::*;

use crate::lanes::Lanes;
use crate::layout::Line;

#[derive(Clone, Copy)]
pub(crate) struct Avx2(__m256, __m256);

impl Lanes for Avx2 {
    const PIXELS: [usize; 2] = [6, 0];
    const STRIPS: usize = 1;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's processor has AVX2.
        unsafe { Self(_mm256_setzero_ps(), _mm256_setzero_ps()) }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: the caller's processor has AVX2, and `from` is to a number.
        let wide = unsafe { _mm256_broadcast_ss(&*from) };
        Self(wide, wide)
    }

    #[inline(always)]
    unsafe fn constant(value: f32) -> Self {
        // SAFETY: the caller's processor has AVX2.
        let wide = unsafe { _mm256_set1_ps(value) };
        Self(wide, wide)
    }

    #[inline(always)]
    unsafe fn load(from: *const Line) -> Self {
        let from: *const f32 = from.cast();
        // SAFETY: the caller's processor has AVX2; a line is sixteen numbers, aligned to 64 bytes.
        unsafe { Self(_mm256_load_ps(from), _mm256_load_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: the caller's processor has AVX2, and there are sixteen numbers.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn fetch(from: *const f32) {
        // SAFETY: nothing is read that is not there: it is advice.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut Line) {
        let to: *mut f32 = to.cast();
        // SAFETY: the caller's processor has AVX2; a line is sixteen numbers, aligned to 64 bytes.
        unsafe {
            _mm256_store_ps(to, self.0);
            _mm256_store_ps(to.add(8), self.1);
        }
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: the caller's processor has AVX2.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: the caller's processor has AVX2.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn unzip(self, other: Self) -> [Self; 2] {
        // SAFETY: the caller's processor has AVX2.
        unsafe {
            // In quarters of each pair, which stand in turn then.
            let sorted = |a| _mm256_castpd_ps(_mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_castps_pd(a)));
            let even = |a, b| sorted(_mm256_shuffle_ps::<0b10_00_10_00>(a, b));
            let odd = |a, b| sorted(_mm256_shuffle_ps::<0b11_01_11_01>(a, b));
            [Self(even(self.0, self.1), even(other.0, other.1)), Self(odd(self.0, self.1), odd(other.0, other.1))]
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        // SAFETY: the caller's processor has AVX2 and FMA.
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        // SAFETY: the caller's processor has AVX2.
        unsafe { Self(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }

    #[inline(always)]
    unsafe fn max_or_none(self, other: Self) -> Self {
        // SAFETY: the caller's processor has AVX2.
        unsafe {
            let none = |a| _mm256_cmp_ps::<_CMP_UNORD_Q>(a, a);
            Self(
                _mm256_blendv_ps(_mm256_max_ps(self.0, other.0), self.0, none(self.0)),
                _mm256_blendv_ps(_mm256_max_ps(self.1, other.1), self.1, none(self.1)),
            )
        }
    }
}
