//! What a receipt says, and which of it can be so.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::limits;

/// The four views and the side that each one shows, in the order in which a receipt lists them.
const VIEWS: [(&str, &str); 4] = [("L-CC", "L"), ("R-CC", "R"), ("L-MLO", "L"), ("R-MLO", "R")];

/// How an exam names its breasts, and the side of each.
const BREASTS: [(&str, &str); 2] = [("left", "L"), ("right", "R")];

/// Probability (0 to 1) by label.
pub type Scores = BTreeMap<String, f64>;

/// What an enclave signs for one answer: of one image, which has one view, or of an exam, which has several and its breasts.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The nonce that the request came with, 16 to 64 bytes.
    pub nonce: Option<Vec<u8>>,
    /// When the answer was ready, by the enclave's clock. Signed to the millisecond: what is finer is dropped.
    pub time: SystemTime,
    /// The program that answered and its version, such as `cloister-enclave 0.1.0`.
    pub software: String,
    /// Which arithmetic computed. Where two receipts name the same, the same inputs give the same bits.
    pub kernels: String,
    /// The model that answered.
    pub model: Model,
    /// The revision of the preprocessing, such as `screening-mammogram/1`.
    pub preprocessing: String,
    /// What the network saw of each image.
    pub crops: Crops,
    /// Each image's input and answer, each view at most once, in the order L-CC, R-CC, L-MLO, R-MLO.
    pub views: Vec<View>,
    /// The mean scores of an exam's `left` and `right` breast; empty for one image. A breast without both views has none.
    pub breasts: BTreeMap<String, Scores>,
    /// What was found of an exam as a whole, such as `missing-L-CC`: codes in ascending order, each once.
    pub findings: Vec<String>,
}

/// The model that answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Model {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// The package's digest, SHA-384: PCR16 of the enclave was extended with it.
    pub digest: [u8; limits::MODEL_DIGEST],
}

/// How each image was cut for the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Crops {
    /// The seed of the generator that moved and scaled the crops; none where nothing was drawn.
    pub seed: Option<u32>,
    /// How many were averaged.
    pub count: u32,
}

/// One image: what came in, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// `L-CC`, `R-CC`, `L-MLO` or `R-MLO`, as the client named it.
    pub view: String,
    /// SHA-256 of the file's bytes as the client sent them.
    pub bytes_sha256: [u8; limits::INPUT_DIGEST],
    /// [`crate::pixels_sha256`] of the decoded image.
    pub pixels_sha256: [u8; limits::INPUT_DIGEST],
    /// Rows of the decoded image.
    pub rows: u32,
    /// Columns of the decoded image.
    pub columns: u32,
    /// The SOP Instance UID that the file names, where it is DICOM.
    pub sop_instance_uid: Option<String>,
    /// The breast's window in the image: top, bottom, left, right in pixels, ends excluded.
    pub window: [u32; 4],
    /// Where the network looked: y, x in pixels of the window, right breasts mirrored.
    pub best_center: [i64; 2],
    /// The scores as the answer shows them. None where the model looks at both breasts at once, and scores no view.
    pub scores: Scores,
    /// What was found in the image or in its file, such as `edge-line`: codes in ascending order, each once.
    pub findings: Vec<String>,
    /// The map of where the network looked, where one was asked for: of all views then, for the same label.
    pub map: Option<Map>,
}

/// A map of where the network looked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Map {
    /// The label that it is for.
    pub label: String,
    /// [`crate::map_sha256`] of the map.
    pub sha256: [u8; limits::INPUT_DIGEST],
}

impl View {
    /// `L` or `R` (DICOM's Image Laterality), or nothing for a view that there is not.
    pub fn laterality(&self) -> Option<&'static str> {
        VIEWS.into_iter().find(|(view, _)| *view == self.view).map(|(_, side)| side)
    }

    fn check(&self, labels: &Scores) -> Result<()> {
        require((1..=limits::SIDE).contains(&self.rows), "rows", "1 to 12000")?;
        require((1..=limits::SIDE).contains(&self.columns), "columns", "1 to 12000")?;
        if let Some(uid) = &self.sop_instance_uid {
            let plain = uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
            require(plain && (1..=limits::UID).contains(&uid.len()), "sop_instance_uid", "1 to 64 digits and dots")?;
        }
        let [top, bottom, left, right] = self.window;
        let inside = top < bottom && bottom <= self.rows && left < right && right <= self.columns;
        require(inside, "window", "a rectangle in the image")?;
        check_findings(&self.findings)?;
        if labels.is_empty() {
            return require(self.scores.is_empty(), "scores", "of every view or of none");
        }
        check_scores(&self.scores, labels)
    }
}

impl Receipt {
    /// The time as it is signed: milliseconds since 1970.
    pub(crate) fn time_ms(&self) -> Result<u64> {
        let millis = self.time.duration_since(UNIX_EPOCH).ok().and_then(|since| u64::try_from(since.as_millis()).ok());
        let millis = millis.filter(|millis| (1..=limits::LATEST_TIME_MS).contains(millis));
        millis.ok_or(Error::Field { field: "time", wanted: "between 1970 and 9999" })
    }

    /// The time that so many milliseconds are.
    pub(crate) fn time_of(millis: u64) -> Result<SystemTime> {
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(millis));
        time.ok_or(Error::Field { field: "time", wanted: "between 1970 and 9999" })
    }

    /// Refuses what no receipt says. Signing and reading ask the same.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(nonce) = &self.nonce {
            require((limits::LEAST_NONCE..=limits::NONCE).contains(&nonce.len()), "nonce", "16 to 64 bytes")?;
        }
        self.time_ms()?;
        check_text("software", &self.software, limits::TEXT)?;
        check_text("kernels", &self.kernels, limits::TEXT)?;
        check_text("model's name", &self.model.name, limits::NAME)?;
        check_text("preprocessing", &self.preprocessing, limits::TEXT)?;
        require((1..=limits::CROPS).contains(&self.crops.count), "crops' count", "1 to 64")?;
        self.check_views()
    }

    fn check_views(&self) -> Result<()> {
        let place = |view: &View| VIEWS.into_iter().position(|(name, _)| name == view.view);
        let places: Option<Vec<usize>> = self.views.iter().map(place).collect();
        let ascend = places.is_some_and(|places| places.is_sorted_by(|before, after| before < after));
        let of_views = self.views.first().map(|view| &view.scores).filter(|_| ascend);
        let of_views = of_views
            .ok_or(Error::Field { field: "views", wanted: "some of L-CC, R-CC, L-MLO and R-MLO, in this order" })?;
        self.views.iter().try_for_each(|view| view.check(of_views))?;
        let labels = if of_views.is_empty() {
            // Nothing is scored but the breasts, both of them, from all views together.
            let whole = self.views.len() == VIEWS.len() && self.breasts.len() == BREASTS.len();
            require(whole, "scores", "of each view, or of both breasts of four views")?;
            self.breasts.values().next().unwrap_or(of_views)
        } else {
            of_views
        };
        let mapped = |view: &View| view.map.as_ref().map(|map| map.label.clone());
        let same = self.views.windows(2).all(|pair| mapped(&pair[0]) == mapped(&pair[1]));
        require(same, "map", "of all views, for the same label, or of none")?;
        let scored = |view: &View| view.map.as_ref().is_none_or(|map| view.scores.contains_key(&map.label));
        require(self.views.iter().all(scored), "map", "for a label that is scored")?;
        for (breast, scores) in &self.breasts {
            let side = BREASTS.into_iter().find(|(name, _)| name == breast).map(|(_, side)| side);
            let of_side = self.views.iter().filter(|view| view.laterality() == side).count();
            require(side.is_some() && of_side == 2, "breasts", "left or right, with both views of it")?;
            check_scores(scores, labels)?;
        }
        check_findings(&self.findings)
    }
}

fn require(condition: bool, field: &'static str, wanted: &'static str) -> Result<()> {
    if condition { Ok(()) } else { Err(Error::Field { field, wanted }) }
}

/// Printable ASCII: what a receipt says ends up on terminals.
fn check_text(field: &'static str, text: &str, longest: usize) -> Result<()> {
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    require(printable && (1..=longest).contains(&text.len()), field, "a short line of printable ASCII")
}

/// Codes in one order, so that the same findings have one encoding.
fn check_findings(findings: &[String]) -> Result<()> {
    let is_code = |code: &String| {
        let plain = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=limits::FINDING).contains(&code.len())
    };
    let ascend = findings.is_sorted_by(|before, after| before < after);
    let codes = findings.len() <= limits::FINDINGS && ascend && findings.iter().all(is_code);
    require(codes, "findings", "at most 16 codes in ascending order, of letters, digits and hyphens")
}

fn check_scores(scores: &Scores, labels: &Scores) -> Result<()> {
    require((1..=limits::LABELS).contains(&scores.len()), "scores", "1 to 64 labels")?;
    require(scores.keys().eq(labels.keys()), "scores", "of the same labels throughout")?;
    for (label, score) in scores {
        check_text("label", label, limits::NAME)?;
        // Zero has one sign here, so that it has one encoding.
        let probability = (0.0..=1.0).contains(score) && score.is_sign_positive();
        require(probability, "scores", "probabilities from 0 to 1")?;
    }
    Ok(())
}
