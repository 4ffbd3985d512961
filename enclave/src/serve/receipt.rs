//! From what was computed to the receipt that says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_model::{Classification, Classifier};
use cloister_nsm::Nsm;
use cloister_receipt::{Crops, Map, Model, Receipt, View, map_sha256};

use super::images::Viewed;
use super::problem::Problem;
use crate::disclose::{Disclose, Record, log};
use crate::identity::Identity;
use crate::limits;
use crate::state::Loaded;

/// By label, of one breast.
pub(super) type Scores = BTreeMap<String, f64>;

/// What a caller asks for besides the images, and whose key will sign the answer.
pub(super) struct Asked {
    /// The identity of the caller's connection.
    pub(super) identity: Arc<Identity>,
    /// How many crops.
    pub(super) crops: Option<u32>,
    /// The caller's nonce.
    pub(super) nonce: Option<Vec<u8>>,
    /// The label that maps are wanted for.
    pub(super) map: Option<String>,
}

impl Asked {
    /// Checks what came as text.
    pub(super) fn new(identity: Arc<Identity>, crops: Option<u32>, nonce: Option<&str>) -> Result<Self, Problem> {
        Ok(Self { identity, crops: self::crops(crops)?, nonce: nonce.map(self::nonce).transpose()?, map: None })
    }

    pub(super) fn with_map(self, map: Option<String>) -> Self {
        Self { map, ..self }
    }

    /// Refuses maps that no classification of these views would have.
    pub(super) fn check_map(&self, classifier: &Classifier, views: &[cloister_imaging::View]) -> Result<(), Problem> {
        self.map.as_ref().map_or(Ok(()), |label| classifier.check_map(label, views)).map_err(super::images::no_scores)
    }

    pub(super) fn crops(&self) -> u32 {
        self.crops.unwrap_or(limits::DEFAULT_CROPS)
    }
}

fn crops(asked: Option<u32>) -> Result<Option<u32>, Problem> {
    match asked {
        Some(crops) if !(1..=limits::MAX_CROPS).contains(&crops) => {
            Err(Problem::Query(format!("crops is {crops}; 1 to {} are taken", limits::MAX_CROPS)))
        }
        asked => Ok(asked),
    }
}

fn nonce(text: &str) -> Result<Vec<u8>, Problem> {
    let refused = || Problem::Query("nonce is not 16 to 64 random bytes in hexadecimal".to_owned());
    let nonce = hex::decode(text).map_err(|_| refused())?;
    if limits::REQUEST_NONCE_BYTES.contains(&nonce.len()) { Ok(nonce) } else { Err(refused()) }
}

/// One view's scores, and which image they are of.
pub(super) struct Computed {
    pub(super) viewed: Viewed,
    pub(super) bytes_sha256: [u8; 32],
    pub(super) pixels_sha256: [u8; 32],
    pub(super) rows: u32,
    pub(super) columns: u32,
    /// Of a DICOM file.
    pub(super) sop_instance_uid: Option<String>,
}

/// What is said of an exam beside its views; nothing of an image alone.
#[derive(Default)]
pub(super) struct OfExam {
    /// By side.
    pub(super) breasts: BTreeMap<&'static str, Scores>,
    pub(super) findings: Vec<&'static str>,
}

/// Signs what was computed, as base64 for the answer. It may ask the security module, and so blocks.
pub(super) fn issue(
    asked: &Asked,
    nsm: &dyn Nsm,
    loaded: &Loaded,
    views: &[&Computed],
    exam: OfExam,
) -> Result<String, Problem> {
    let preprocessing = loaded.classifier.preprocessing();
    let count = views.first().map_or(0, |scored| scored.viewed.classification.crops);
    let receipt = Receipt {
        nonce: asked.nonce.clone(),
        // The signer dates it.
        time: SystemTime::UNIX_EPOCH,
        software: concat!("cloister-enclave ", env!("CARGO_PKG_VERSION")).to_owned(),
        kernels: cloister_model::kernels(),
        model: Model { name: loaded.model.name.clone(), version: loaded.model.version, digest: loaded.digest },
        preprocessing: preprocessing.revision().to_owned(),
        crops: Crops { seed: preprocessing.seed(count), count },
        views: views.iter().map(|scored| claim(scored)).collect(),
        breasts: exam.breasts.into_iter().map(|(side, scores)| (side.to_owned(), scores)).collect(),
        findings: owned(&exam.findings),
    };
    let signed = asked.identity.sign(nsm, receipt).map_err(|error| {
        log(Record::NoReceipt { reason: error.words() });
        Problem::Receipt
    })?;
    Ok(STANDARD.encode(signed))
}

fn claim(scored: &Computed) -> View {
    let Classification { view, window, best_center, scores, map, .. } = &scored.viewed.classification;
    View {
        view: view.to_string(),
        bytes_sha256: scored.bytes_sha256,
        pixels_sha256: scored.pixels_sha256,
        rows: scored.rows,
        columns: scored.columns,
        sop_instance_uid: scored.sop_instance_uid.clone(),
        window: window.map(|edge| u32::try_from(edge).unwrap_or(u32::MAX)),
        best_center: *best_center,
        scores: scores.clone(),
        map: map.as_ref().map(|map| Map {
            label: map.label.clone(),
            sha256: map_sha256(&map.label, map.rows, map.columns, &map.values),
        }),
        findings: owned(&scored.viewed.findings),
    }
}

fn owned(findings: &[&str]) -> Vec<String> {
    findings.iter().map(|&finding| finding.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_crops_out_of_bounds_is_refused() {
        assert!(matches!(crops(Some(0)), Err(Problem::Query(_))));
        assert!(matches!(crops(Some(limits::MAX_CROPS + 1)), Err(Problem::Query(_))));
        assert_eq!(crops(Some(limits::MAX_CROPS)).unwrap(), Some(limits::MAX_CROPS));
        assert_eq!(crops(None).unwrap(), None);
    }

    #[test]
    fn a_nonce_that_is_short_long_or_not_hexadecimal_is_refused() {
        let long = "00".repeat(65);
        for text in ["", "0011", "zz", long.as_str()] {
            assert!(matches!(nonce(text), Err(Problem::Query(_))), "{text:?}");
        }
        assert_eq!(nonce(&"ab".repeat(16)).unwrap(), [0xab; 16]);
    }
}
