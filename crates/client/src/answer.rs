//! What an enclave answers, as the enclave's OpenAPI page describes it.

use std::collections::BTreeMap;

use cloister_imaging::View;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// The view that the caller named, or that the DICOM file says.
    pub view: View,
    /// The breast's window in the image: top, bottom, left, right, in pixels, ends exclusive.
    pub window: [usize; 4],
    /// Where the network looked: y, x in the window's mirrored coordinates, in pixels.
    pub best_center: [i64; 2],
    /// Mean probability by label.
    #[serde(flatten, deserialize_with = "scores")]
    pub scores: Scores,
    /// How many crops were averaged.
    pub crops: u32,
    /// Where the network looked, where that was asked for; the receipt has its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<Map>,
    /// What is a reason to look twice, as docs/quality.md lists it: codes, which [`crate::finding_words`] has words for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// The model that answered; absent inside an exam, which names it once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The signed receipt; absent inside an exam, which has one for all its views.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// Where a network looked for one label, over the whole of an image as it was sent: each cell stands for the same part of its height and of
/// its width (docs/maps.md).
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Map {
    /// The label.
    pub label: String,
    /// Rows of cells.
    pub rows: u32,
    /// Cells in a row.
    pub columns: u32,
    /// `rows x columns` values, row after row from the top left; in base64 where the answer is JSON. 255 is the peak.
    #[serde(with = "base64_text")]
    pub values: Vec<u8>,
}

impl Map {
    /// Whether it is the map of a receipt, and has as many values as it says.
    pub(crate) fn is(&self, signed: &cloister_receipt::Map) -> bool {
        u64::from(self.rows) * u64::from(self.columns) == self.values.len() as u64
            && self.label == signed.label
            && cloister_receipt::map_sha256(&self.label, self.rows, self.columns, &self.values) == signed.sha256
    }
}

impl Classification {
    /// Leaves the scores that were signed, to the bit, and no other number that the answer held.
    pub(crate) fn keep(&mut self, signed: &cloister_receipt::Receipt) {
        if let Some(view) = signed.views.iter().find(|view| view.view == self.view.as_str()) {
            self.scores = view.scores.clone();
        }
    }
}

/// One breast of an exam: the mean of its two views. A breast without both has none.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Breast {
    /// Mean probability by label.
    #[serde(flatten, deserialize_with = "scores")]
    pub scores: Scores,
}

/// A whole exam's answer.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Exam {
    /// `left` and `right`, those that have both their views.
    pub breasts: BTreeMap<String, Breast>,
    /// Each view's answer, in the order L-CC, R-CC, L-MLO, R-MLO; fewer only where the request allowed it.
    pub views: Vec<Classification>,
    /// What is to be said of the exam as a whole, as docs/quality.md lists it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// The model that answered.
    pub model: Model,
    /// The signed receipt for all of it.
    pub receipt: Receipt,
}

/// A receipt's bytes, to keep; in base64 where the answer is JSON. [`crate::receipt`] reads it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(transparent)]
pub struct Receipt(#[serde(with = "base64_text")] pub Vec<u8>);

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(|_| serde::de::Error::custom("it is not base64"))
    }
}

/// The numbers among the members that are not known. A later enclave may answer more than this client knows of.
fn scores<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scores, D::Error> {
    let members = BTreeMap::<String, serde_json::Value>::deserialize(deserializer)?;
    Ok(members.into_iter().filter_map(|(label, value)| Some((label, value.as_f64()?))).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [(&str, f64); 2] = [("benign", 0.25), ("malignant", 1.0)];

    fn expected() -> Scores {
        SCORES.map(|(label, score)| (label.to_owned(), score)).into()
    }

    #[test]
    fn members_that_a_later_enclave_adds_are_no_scores_and_no_errors() {
        let json = r#"{"view": "L-CC", "window": [1, 2, 3, 4], "best_center": [5, -6], "benign": 0.25, "malignant": 1,
            "crops": 10, "receipt": "AAAA", "note": "new", "parts": [1, 2], "nothing": null}"#;
        let answer: Classification = serde_json::from_str(json).unwrap();
        assert_eq!((answer.scores, answer.crops, answer.model), (expected(), 10, None));
        assert_eq!(answer.receipt, Some(Receipt(vec![0, 0, 0])));
        let json = r#"{"benign": 0.25, "malignant": 1, "receipt": "AAAA", "sure": true}"#;
        assert_eq!(serde_json::from_str::<Breast>(json).unwrap().scores, expected());
    }

    #[test]
    fn an_answer_without_a_known_member_is_refused() {
        let json = r#"{"view": "L-CC", "window": [1, 2, 3, 4], "benign": 0.25, "crops": 10}"#;
        assert!(serde_json::from_str::<Classification>(json).is_err());
        let json =
            r#"{"view": "L-CC", "window": [1, 2, 3, 4], "best_center": [5, 6], "crops": 1, "receipt": "no base64"}"#;
        assert!(serde_json::from_str::<Classification>(json).is_err());
    }
}
