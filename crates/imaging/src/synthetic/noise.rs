//! Repeatable randomness: numbers drawn from a seed, and smooth noise over the plane.
//!
//! Only sums, products, quotients and square roots are used, which IEEE 754 rounds alike on every machine.

/// Scrambles 64 bits (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn scramble(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A sequence of numbers drawn from a seed.
pub(super) struct Draws(u64);

impl Draws {
    /// The draws of one seed for one purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(scramble(scramble(seed).wrapping_add(purpose)))
    }

    /// Even over `[from, to)`.
    pub(super) fn between(&mut self, from: f32, to: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        from + (to - from) * unit(scramble(self.0))
    }

    /// A seed for something of its own.
    pub(super) fn seed(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }
}

/// The top 24 bits as a number in `[0, 1)`.
fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / 16_777_216.0
}

/// Even noise in `[-1, 1)`, of one pixel.
pub(super) fn grain(seed: u64, x: usize, y: usize) -> f32 {
    2.0 * unit(scramble(seed ^ ((x as u64) << 32 | y as u64))) - 1.0
}

/// Gradient noise (Perlin, SIGGRAPH 1985 and 2002): smooth, about `[-1, 1]`, features about one unit apart.
pub(super) fn noise(seed: u64, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (dx, dy) = (x - column, y - row);
    let (column, row) = (column as i64, row as i64);
    let corner = |right: i64, down: i64| {
        let bits = scramble(seed ^ ((column + right) as u64).wrapping_shl(32) ^ ((row + down) as u64 & 0xffff_ffff));
        let (gx, gy) = (2.0 * unit(bits) - 1.0, 2.0 * unit(bits << 24) - 1.0);
        gx * (dx - right as f32) + gy * (dy - down as f32)
    };
    let fade = |t: f32| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let mix = |from: f32, to: f32, share: f32| from + (to - from) * share;
    let upper = mix(corner(0, 0), corner(1, 0), fade(dx));
    let lower = mix(corner(0, 1), corner(1, 1), fade(dx));
    1.6 * mix(upper, lower, fade(dy))
}

/// A sum of `octaves` noises, each twice as fine and 0.55 times as strong as the one before: about `[-1, 1]`.
pub(super) fn cloud(seed: u64, x: f32, y: f32, octaves: u64) -> f32 {
    let (mut sum, mut strength, mut total, mut scale) = (0.0, 1.0, 0.0, 1.0);
    for octave in 0..octaves {
        sum += strength * noise(seed.wrapping_add(octave), x * scale, y * scale);
        total += strength;
        strength *= 0.55;
        scale *= 2.0;
    }
    sum / total
}

/// Thin bright curves where a noise changes its sign, 0 to 1.
pub(super) fn strands(seed: u64, x: f32, y: f32) -> f32 {
    let crest = (1.0 - 3.0 * noise(seed, x, y).abs()).max(0.0);
    crest * crest
}

/// 0 below `from`, 1 above `to`, smooth between.
pub(super) fn ramp(value: f32, from: f32, to: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published SplitMix64 for seed 0 (its reference code, and Java's `SplittableRandom(0)`).
    #[test]
    fn the_scrambler_is_splitmix64s() {
        assert_eq!(scramble(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn noise_is_smooth_and_bounded() {
        for step in 0..20_000 {
            let (x, y) = (step as f32 * 0.01, step as f32 * 0.003 - 20.0);
            let here = noise(7, x, y);
            assert!(here.abs() <= 2.3, "{here}");
            assert!((noise(7, x + 1e-3, y) - here).abs() < 0.02);
        }
    }
}
