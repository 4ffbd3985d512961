//! When requests begin: fixed before the first one is sent, so that no answer can move them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;

/// The slowest and the fastest that requests can be asked to begin, in a second: below the first there is one in a quarter of an hour, which
/// is no load, and one machine cannot encrypt mammograms as fast as the second.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// Rates of one run. Each takes its duration.
pub const MAX_RATES: usize = 64;

/// Requests of one rate. Each is remembered, in some hundred bytes, until its rate is summed up.
pub const MAX_REQUESTS: usize = 500_000;

/// A mean of requests begun in a second.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// In a second.
    pub fn per_second(self) -> f64 {
        self.0
    }

    fn new(per_second: f64) -> Result<Self, String> {
        // A range holds no NaN.
        if RATES.contains(&per_second) {
            Ok(Self(per_second))
        } else {
            Err(format!("a rate is {} to {} requests a second", RATES.start(), RATES.end()))
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(number(text)?)
    }
}

/// Rates at even distances.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep(pub Vec<Rate>);

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(':').map(number).collect::<Result<Vec<_>, _>>()?;
        let &[from, to, step] = parts.as_slice() else {
            return Err("a sweep is FROM:TO:STEP, such as 0.5:3:0.5".to_owned());
        };
        let (Rate(from), Rate(to), Rate(step)) = (Rate::new(from)?, Rate::new(to)?, Rate::new(step)?);
        if to < from {
            return Err("a sweep goes up".to_owned());
        }
        // 0.1 is no binary fraction: without an allowance a sweep to 0.3 would end at 0.2.
        let steps = ((to - from) / step + 1e-6).floor() as usize;
        if steps >= MAX_RATES {
            return Err(format!("a sweep has at most {MAX_RATES} rates"));
        }
        (0..=steps).map(|n| Rate::new((from + n as f64 * step).min(to))).collect::<Result<_, _>>().map(Self)
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.trim().parse().map_err(|_| format!("{text:?} is no number"))
}

/// How requests follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arrivals {
    /// At even distances.
    Constant,
    /// Independently of each other, as from many front ends.
    Poisson,
}

impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        })
    }
}

/// When each request begins, from the start, in order. One seed gives one pattern, at each rate in another tempo.
///
/// # Errors
/// A sentence, when there are more than [`MAX_REQUESTS`].
pub fn schedule(rate: Rate, arrivals: Arrivals, seed: u64, length: Duration) -> Result<Vec<Duration>, String> {
    let mut draws = Draws(seed);
    let mut last = 0.0;
    let mut begins = Vec::new();
    for n in 0.. {
        let begin = match arrivals {
            // From the number, and not from the one before: sums of rounded gaps would drift.
            Arrivals::Constant => f64::from(n) / rate.0,
            Arrivals::Poisson => {
                last += -(1.0 - draws.unit()).ln() / rate.0;
                last
            }
        };
        if begin >= length.as_secs_f64() {
            break;
        }
        if begins.len() == MAX_REQUESTS {
            return Err(format!(
                "{} requests a second for {} s are more than {MAX_REQUESTS}; measure for a shorter --duration",
                rate.0,
                length.as_secs()
            ));
        }
        begins.push(Duration::from_secs_f64(begin));
    }
    Ok(begins)
}

/// Numbers drawn from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Draws(u64);

impl Draws {
    /// Even over `[0, 1)`.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn rate(per_second: f64) -> Rate {
        Rate::new(per_second).unwrap()
    }

    #[test]
    fn constant_arrivals_are_as_many_as_the_rate_says_and_do_not_drift() {
        let begins = schedule(rate(3.0), Arrivals::Constant, 0, MINUTE).unwrap();
        assert_eq!(begins.len(), 180);
        assert_eq!((begins[0], begins[3], begins[177]), (Duration::ZERO, MINUTE / 60, MINUTE / 60 * 59));
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_vary_as_they_should() {
        let begins = schedule(rate(100.0), Arrivals::Poisson, 7, 100 * MINUTE / 60).unwrap();
        // Ten thousand expected, with a standard deviation of a hundred.
        assert!((9_500..=10_500).contains(&begins.len()), "{}", begins.len());
        let gaps: Vec<f64> = begins.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of exponential gaps the standard deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.1, "{} and {mean}", variance.sqrt());
    }

    #[test]
    fn a_sweep_has_both_its_ends() {
        let rates = |text: &str| text.parse::<Sweep>().map(|Sweep(rates)| rates.into_iter().map(|Rate(r)| r).collect());
        assert_eq!(rates("0.5:2:0.5"), Ok(vec![0.5, 1.0, 1.5, 2.0]));
        assert_eq!(rates("0.1:0.3:0.1").map(|rates: Vec<_>| rates.len()), Ok(3));
        assert_eq!(rates("2:2:1"), Ok(vec![2.0]));
        for wrong in ["", "1", "1:2", "2:1:1", "1:2:0", "1:2:-1", "1:2:3:4", "1:1000:1", "a:b:c", "1:2:nan"] {
            assert!(rates(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_is_a_number_within_its_bounds() {
        for wrong in ["0", "-1", "nan", "inf", "1001", "0.0001", "1e9", "one", ""] {
            assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
        }
        assert_eq!(" 2.5".parse(), Ok(rate(2.5)));
    }

    #[test]
    fn more_requests_than_can_be_remembered_are_refused() {
        let refused = schedule(rate(1000.0), Arrivals::Constant, 0, 10 * MINUTE).unwrap_err();
        assert!(refused.contains("--duration"), "{refused}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_schedule_is_in_order_within_its_length_and_the_same_again(
            per_second in 0.01..200.0f64, seed: u64, seconds in 1..30u64, poisson: bool,
        ) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Constant };
            let length = Duration::from_secs(seconds);
            let begins = schedule(rate(per_second), arrivals, seed, length).unwrap();
            prop_assert!(begins.is_sorted());
            prop_assert!(begins.iter().all(|begin| *begin < length));
            prop_assert_eq!(&begins, &schedule(rate(per_second), arrivals, seed, length).unwrap());
            if !poisson {
                prop_assert!((begins.len() as f64 - per_second * seconds as f64).abs() < 1.0 + 1e-9);
            }
        }
    }
}
