//! How scores are read from what a network gives out.

// The standard library's may round otherwise on another system, and an enclave's scores are computed again at hospitals, to the bit.
use libm::exp;
use serde::{Deserialize, Serialize};

/// How far beyond 1 rounding may take a probability, or a sum of them away from 1.
pub(crate) const ROUNDING: f64 = 1e-3;

/// How scores are read from a network's only output. `n` is the number of labels, or of the network's classes where the manifest says
/// which of them the labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// `1 x n x 2` logarithms of the probabilities of (no, yes) for each label.
    LogSoftmaxPairs,
    /// `1 x n` numbers, each turned into a probability by the logistic function.
    Sigmoid,
    /// `1 x n` numbers, turned into probabilities that sum to 1.
    Softmax,
    /// `1 x n` probabilities.
    Probabilities,
    /// `1 x n` logarithms of probabilities.
    LogProbabilities,
}

impl Output {
    /// The shape that a network's output must have.
    pub fn shape(self, labels: usize) -> Vec<usize> {
        match self {
            Self::LogSoftmaxPairs => vec![1, labels, 2],
            Self::Sigmoid | Self::Softmax | Self::Probabilities | Self::LogProbabilities => vec![1, labels],
        }
    }

    /// How many scores an output of this shape holds, if it can be read like this.
    pub(crate) fn count(self, shape: &[usize]) -> Option<usize> {
        let count = *shape.get(1)?;
        (self.shape(count) == shape).then_some(count)
    }

    /// Probabilities from a network's numbers, whose count was checked, in place of what `into` holds; NaN where these are none.
    pub(crate) fn scores(self, numbers: &[f64], into: &mut Vec<f64>) {
        into.clear();
        match self {
            Self::LogSoftmaxPairs => into.extend(numbers.as_chunks::<2>().0.iter().map(|pair| yes(*pair))),
            Self::Sigmoid => into.extend(numbers.iter().copied().map(sigmoid)),
            Self::Softmax => {
                let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                into.extend(numbers.iter().map(|number| exp(number - most)));
                let sum: f64 = into.iter().sum();
                into.iter_mut().for_each(|part| *part /= sum);
            }
            Self::Probabilities => into.extend_from_slice(numbers),
            Self::LogProbabilities => into.extend(numbers.iter().copied().map(exp)),
        }
    }
}

/// The logistic function.
pub(crate) fn sigmoid(number: f64) -> f64 {
    1.0 / (1.0 + exp(-number))
}

/// The second of two log-probabilities as a probability, if the two sum to 1.
fn yes([no, yes]: [f64; 2]) -> f64 {
    let (no, yes) = (exp(no), exp(yes));
    if (no + yes - 1.0).abs() <= ROUNDING { yes } else { f64::NAN }
}
