//! `manifest.toml`: what a package is, what its networks are given, and how their outputs are read.

use std::collections::{BTreeMap, BTreeSet};

use cloister_imaging::View;
use serde::{Deserialize, Serialize};

use crate::{Error, limits, names};

/// The only format there is.
pub const FORMAT: u32 = 1;

/// The fields of an answer and of what the command line adds to it, now and planned, which no label may take the name of.
const RESERVED_LABELS: [&str; 9] =
    ["view", "window", "best_center", "crops", "crop_seed", "map", "model", "receipt", "verified"];

/// The largest side of a network's window, in pixels.
const MAX_WINDOW_SIDE: usize = cloister_imaging::limits::MAX_NETWORK_SIDE;

/// A package's description of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The manifest's format: 1.
    pub format: u32,
    /// The model's name: lower-case letters, digits and '-'.
    pub name: String,
    /// The model's version: a number that only grows, so that an enclave can refuse all below a lowest one.
    pub version: u32,
    /// For whom and for what the scores are meant, in words.
    pub intended_use: String,
    /// What is scored, in the order of the networks' outputs.
    pub labels: Vec<String>,
    /// What is done to an image before a network sees it.
    pub preprocessing: Preprocessing,
    /// The network of each view that the model knows.
    pub views: BTreeMap<View, ViewNetwork>,
    /// Whether 3 x 3 convolutions may be computed by Winograd's transformation: twice as fast, and rounded otherwise. Not written where they
    /// may.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub winograd: bool,
    /// Inputs whose scores are known, to tell a broken machine or program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_answers: Vec<KnownAnswer>,
}

fn yes() -> bool {
    true
}

fn is_yes(yes: &bool) -> bool {
    *yes
}

/// What is done to an image before a network sees it: a revision, and the numbers that belong to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "revision")]
pub enum Preprocessing {
    /// The steps of the published four-view screening model (Wu et al., IEEE TMI 2019).
    #[serde(rename = "screening-mammogram/1")]
    ScreeningMammogram1(ScreeningMammogram),
    /// The whole image scaled to the network's window.
    #[serde(rename = "resize/1")]
    Resize1(Resize),
}

/// The numbers of `screening-mammogram/1`. They are the revision's own, written down so that a reader of the manifest sees
/// what is done; a manifest with others is refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreeningMammogram {
    /// Steps of erosion and dilation that part the breast from specks.
    pub erosion: u32,
    /// Pixels kept around the breast.
    pub margin: u32,
    /// Pixels by which a crop may move.
    pub position_noise: u32,
    /// Pixels by which a crop's longer side may grow or shrink at each end.
    pub size_noise: u32,
    /// The seed of the generator of the crops, for every image.
    pub seed: u32,
    /// The least deviation that a crop is divided by.
    pub least_deviation: f64,
}

impl Default for ScreeningMammogram {
    fn default() -> Self {
        Self { erosion: 100, margin: 50, position_noise: 100, size_noise: 100, seed: 0, least_deviation: 1e-5 }
    }
}

/// The numbers of `resize/1`: grey levels divided by 65535, bilinear with half-pixel centres, then `(x - mean) / deviation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Taken from every pixel.
    pub mean: f32,
    /// What every pixel is divided by.
    pub deviation: f32,
}

/// The network of one view.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewNetwork {
    /// The ONNX file. Views may share one.
    pub network: String,
    /// Height and width of the network's input, in pixels.
    pub window: (usize, usize),
    /// How the scores are read from the network's output.
    pub output: Output,
}

/// How scores are read from a network's only output. `n` is the number of labels.
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
}

impl Output {
    /// The shape that a network's output must have.
    pub fn shape(self, labels: usize) -> Vec<usize> {
        match self {
            Self::LogSoftmaxPairs => vec![1, labels, 2],
            Self::Sigmoid | Self::Softmax | Self::Probabilities => vec![1, labels],
        }
    }
}

/// An input that anyone can make, and the scores that the model's owner got for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownAnswer {
    /// Which network is run.
    pub view: View,
    /// The image.
    pub image: SyntheticImage,
    /// How many crops are averaged; 1 is the noiseless one.
    pub crops: u32,
    /// How far from its known value a score may be.
    pub tolerance: f64,
    /// The score of each label.
    pub scores: BTreeMap<String, f64>,
}

/// An image of `cloister_imaging::synthetic`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyntheticImage {
    /// The generator.
    pub generator: Generator,
    /// Its seed.
    pub seed: u64,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A generator of synthetic images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Generator {
    /// The first revision of `cloister_imaging::synthetic`, with its default masses and calcifications.
    #[serde(rename = "synthetic/1")]
    Synthetic1,
}

impl Manifest {
    /// Reads and checks a manifest.
    ///
    /// # Errors
    /// Text that is not TOML, unknown, missing or unusable fields.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        // Its message alone: the whole error quotes the line, and a manifest comes out of a sealed file.
        let manifest: Self = toml::from_str(text).map_err(|error| Error::Manifest(error.message().to_owned()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes a manifest.
    ///
    /// # Errors
    /// Values that a manifest may not have.
    pub fn to_toml(&self) -> Result<String, Error> {
        self.check()?;
        toml::to_string(self).map_err(|error| Error::Manifest(error.to_string()))
    }

    /// The names of the network files, each once, in order.
    pub fn networks(&self) -> BTreeSet<&str> {
        self.views.values().map(|view| view.network.as_str()).collect()
    }

    fn check(&self) -> Result<(), Error> {
        if self.format != FORMAT {
            return Err(Error::ManifestFormat(self.format));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !names::fits(&self.name, limits::MAX_NAME_BYTES, plain) {
            return Err(unusable("name", "use up to 64 lower-case letters, digits and '-', a letter first"));
        }
        if self.version == 0 {
            return Err(unusable("version", "versions start at 1"));
        }
        if self.intended_use.trim().is_empty() || self.intended_use.len() > limits::MAX_TEXT_BYTES {
            return Err(unusable("intended_use", "say in up to 4096 bytes what the scores are for"));
        }
        self.check_labels()?;
        self.preprocessing.check()?;
        self.check_views()?;
        if self.known_answers.len() > limits::MAX_KNOWN_ANSWERS {
            return Err(unusable("known_answers", "at most 16 are checked"));
        }
        self.known_answers.iter().try_for_each(|known| self.check_known_answer(known))
    }

    fn check_labels(&self) -> Result<(), Error> {
        if self.labels.is_empty() || self.labels.len() > limits::MAX_LABELS {
            return Err(unusable("labels", "name 1 to 64"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let mut seen = BTreeSet::new();
        for label in &self.labels {
            if !names::fits(label, limits::MAX_NAME_BYTES, plain) {
                return Err(unusable("labels", format!("{label:?} is not lower-case letters, digits and '_'")));
            }
            if RESERVED_LABELS.contains(&label.as_str()) {
                return Err(unusable("labels", format!("{label:?} is a field of every answer")));
            }
            if !seen.insert(label) {
                return Err(unusable("labels", format!("{label:?} is there twice")));
            }
        }
        Ok(())
    }

    fn check_views(&self) -> Result<(), Error> {
        if self.views.is_empty() {
            return Err(unusable("views", "name at least one"));
        }
        for (view, network) in &self.views {
            names::check_file(&network.network)?;
            if network.network == crate::package::MANIFEST {
                return Err(unusable(format!("views.{view}.network"), "the manifest is not a network"));
            }
            let (height, width) = network.window;
            if ![height, width].iter().all(|side| (1..=MAX_WINDOW_SIDE).contains(side)) {
                return Err(unusable(format!("views.{view}.window"), format!("sides are 1 to {MAX_WINDOW_SIDE}")));
            }
        }
        Ok(())
    }

    fn check_known_answer(&self, known: &KnownAnswer) -> Result<(), Error> {
        let field = |name: &str| format!("known_answers.{name}");
        if !self.views.contains_key(&known.view) {
            return Err(unusable(field("view"), format!("there is no network for {}", known.view)));
        }
        if !(1..=limits::MAX_CROPS).contains(&known.crops) {
            return Err(unusable(field("crops"), format!("1 to {}", limits::MAX_CROPS)));
        }
        let SyntheticImage { height, width, .. } = known.image;
        let side = cloister_imaging::limits::MAX_SIDE;
        if height == 0 || width == 0 || height > side || width > side {
            return Err(unusable(field("image"), format!("sides are 1 to {side}")));
        }
        if height * width > cloister_imaging::limits::MAX_PIXELS {
            return Err(unusable(field("image"), "it has too many pixels"));
        }
        if !(known.tolerance > 0.0 && known.tolerance <= 0.01) {
            return Err(unusable(field("tolerance"), "more than 0, at most 0.01"));
        }
        let labels: BTreeSet<&String> = self.labels.iter().collect();
        if known.scores.keys().collect::<BTreeSet<_>>() != labels {
            return Err(unusable(field("scores"), "give one for each label"));
        }
        if !known.scores.values().all(|score| (0.0..=1.0).contains(score)) {
            return Err(unusable(field("scores"), "probabilities are 0 to 1"));
        }
        Ok(())
    }
}

impl Preprocessing {
    /// The revision's name, as the manifest writes it.
    pub fn revision(&self) -> &'static str {
        match self {
            Self::ScreeningMammogram1(_) => "screening-mammogram/1",
            Self::Resize1(_) => "resize/1",
        }
    }

    /// The seed of the generator that moves and scales the crops; nothing is drawn for a single one.
    pub fn seed(&self, crops: u32) -> Option<u32> {
        match self {
            Self::ScreeningMammogram1(numbers) if crops > 1 => Some(numbers.seed),
            Self::ScreeningMammogram1(_) | Self::Resize1(_) => None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Self::ScreeningMammogram1(given) => given.check(),
            Self::Resize1(Resize { mean, deviation }) => {
                if !mean.is_finite() || !deviation.is_finite() || *deviation <= 0.0 {
                    return Err(unusable("preprocessing", "mean and deviation are numbers, the deviation above 0"));
                }
                Ok(())
            }
        }
    }
}

impl ScreeningMammogram {
    fn check(&self) -> Result<(), Error> {
        let own = Self::default();
        let numbers = [
            ("erosion", self.erosion.into(), own.erosion.into()),
            ("margin", self.margin.into(), own.margin.into()),
            ("position_noise", self.position_noise.into(), own.position_noise.into()),
            ("size_noise", self.size_noise.into(), own.size_noise.into()),
            ("seed", self.seed.into(), own.seed.into()),
            ("least_deviation", self.least_deviation, own.least_deviation),
        ];
        match numbers.into_iter().find(|(_, given, expected)| given != expected) {
            Some((field, given, expected)) => Err(Error::PreprocessingNumber { field, given, expected }),
            None => Ok(()),
        }
    }
}

fn unusable(field: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::ManifestValue { field: field.into(), reason: reason.into() }
}
