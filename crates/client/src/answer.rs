//! What an enclave answers, as the enclave's OpenAPI page describes it.

use std::collections::BTreeMap;

use cloister_imaging::View;
use serde::{Deserialize, Serialize};

/// Probability (0 to 1) by label; for the screening network the labels are `benign` and `malignant`.
pub type Scores = BTreeMap<String, f64>;

/// The model that answered.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Model {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// The package's digest, SHA-384, in hexadecimal.
    pub digest: String,
}

/// One image's answer.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Classification {
    /// The view that the caller named.
    pub view: View,
    /// The breast's window in the image: top, bottom, left, right, in pixels, ends exclusive.
    pub window: [usize; 4],
    /// Where the network looked: y, x in the window's mirrored coordinates, in pixels.
    pub best_center: [i64; 2],
    /// Mean probability by label.
    #[serde(flatten)]
    pub scores: Scores,
    /// How many crops were averaged.
    pub crops: u32,
    /// The model that answered; absent inside an exam, which names it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
}

/// One breast of an exam: the mean of its two views.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Breast {
    /// Mean probability by label.
    #[serde(flatten)]
    pub scores: Scores,
}

/// A whole exam's answer.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Exam {
    /// `left` and `right`.
    pub breasts: BTreeMap<String, Breast>,
    /// Each view's answer, in the order L-CC, R-CC, L-MLO, R-MLO.
    pub views: Vec<Classification>,
    /// The model that answered.
    pub model: Model,
}

/// RFC 9457, section 3.
#[derive(Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type", default = "about_blank")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) detail: Option<String>,
}

fn about_blank() -> String {
    "about:blank".to_owned()
}
