//! MT19937, the generator behind numpy's legacy `RandomState`, so that crops fall where the published pipeline puts them.
//!
//! Matsumoto and Nishimura, "Mersenne Twister: a 623-dimensionally equidistributed uniform pseudo-random number generator",
//! ACM TOMACS 8(1), 1998, with the 2002 initialisation.

const LENGTH: usize = 624;
const MIDDLE: usize = 397;
const TWIST: u32 = 0x9908_b0df;

/// The generator's state.
pub(crate) struct MersenneTwister {
    state: [u32; LENGTH],
    next: usize,
}

impl MersenneTwister {
    /// The generator that numpy's `RandomState(seed)` makes for an integer seed.
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [0u32; LENGTH];
        let mut previous = seed;
        for (index, word) in (0u32..).zip(state.iter_mut()) {
            if index > 0 {
                previous = (previous ^ (previous >> 30)).wrapping_mul(1_812_433_253).wrapping_add(index);
            }
            *word = previous;
        }
        Self { state, next: LENGTH }
    }

    /// The next 32 bits.
    pub(crate) fn next_u32(&mut self) -> u32 {
        if self.next == LENGTH {
            self.twist();
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// The next double in `[0, 1)`, of 53 bits from two outputs: numpy's `random_sample`.
    pub(crate) fn next_f64(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// The next double in `[-1, 1)`: numpy's `uniform(-1, 1)`.
    pub(crate) fn next_signed(&mut self) -> f64 {
        -1.0 + 2.0 * self.next_f64()
    }

    fn twist(&mut self) {
        for index in 0..LENGTH {
            let joined = (self.state[index] & 0x8000_0000) | (self.state[(index + 1) % LENGTH] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { TWIST } else { 0 };
            self.state[index] = self.state[(index + MIDDLE) % LENGTH] ^ (joined >> 1) ^ odd;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard, [rand.predef]: the 10000th output of a default-constructed `mt19937` (seed 5489).
    #[test]
    fn the_ten_thousandth_output_is_the_one_that_the_cpp_standard_requires() {
        let mut generator = MersenneTwister::new(5489);
        let last = (0..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    /// Printed by numpy 2.4.6: `RandomState(0).random_sample(1000)`, its first four and its last (past the second twist), and
    /// `RandomState(12345).random_sample(2)`.
    #[test]
    fn doubles_are_those_of_numpys_legacy_generator() {
        let mut generator = MersenneTwister::new(0);
        let samples: Vec<f64> = (0..1000).map(|_| generator.next_f64()).collect();
        let first =
            [0.548_813_503_927_324_8, 0.715_189_366_372_419_5, 0.602_763_376_071_643_9, 0.544_883_182_996_896_9];
        assert_eq!(samples[..4], first);
        assert_eq!(samples[999], 0.677_141_144_111_424_1);
        let mut generator = MersenneTwister::new(12345);
        assert_eq!([generator.next_f64(), generator.next_f64()], [0.929_616_092_817_147_9, 0.316_375_554_581_785_9]);
    }

    /// Printed by numpy 2.4.6: `RandomState(0).uniform(-1, 1, 3)`.
    #[test]
    fn draws_between_minus_1_and_1_are_numpys() {
        let mut generator = MersenneTwister::new(0);
        let draws = [generator.next_signed(), generator.next_signed(), generator.next_signed()];
        assert_eq!(draws, [0.097_627_007_854_649_5, 0.430_378_732_744_838_95, 0.205_526_752_143_287_75]);
    }
}
