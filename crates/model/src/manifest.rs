//! `manifest.toml`: what a package is, what its networks are given, and how their outputs are read.

use std::collections::{BTreeMap, BTreeSet};

use cloister_imaging::{Angle, Laterality, View};
use serde::{Deserialize, Serialize};

use crate::{Error, Output, limits, names};

/// The only format there is.
pub const FORMAT: u32 = 1;

/// The fields of an answer and of what the command line adds to it, now and planned, which no label may take the name of.
const RESERVED_LABELS: [&str; 11] = [
    "view",
    "window",
    "best_center",
    "crops",
    "crop_seed",
    "map",
    "model",
    "receipt",
    "verified",
    "findings",
    "finding_words",
];

/// Channels of a network that was made for photographs.
const COLOURS: usize = 3;

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
    /// The network of each view that the model knows. None where networks look at both breasts at once.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub views: BTreeMap<View, ViewNetwork>,
    /// For each angle the network that looks at both breasts at once; a breast's score is the mean of the two. None where each view has a
    /// network.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pairs: BTreeMap<Angle, ViewNetwork>,
    /// Whether 3 x 3 convolutions may be computed by Winograd's transformation: twice as fast, and rounded otherwise. Not written where they
    /// may.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub winograd: bool,
    /// Inputs whose scores are known, to tell a broken machine or program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_answers: Vec<KnownAnswer>,
    /// The same of whole exams, for networks that look at both breasts at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_exams: Vec<KnownExam>,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(number: &usize) -> bool {
    *number == 1
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
    pub mean: Numbers,
    /// What every pixel is divided by.
    pub deviation: Numbers,
}

/// One number for every channel of a network's input, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Numbers {
    /// The same for all.
    All(f32),
    /// In the channels' order; only for networks of so many channels.
    Each(Vec<f32>),
}

impl Numbers {
    /// A channel's number.
    pub(crate) fn of(&self, channel: usize) -> f32 {
        match self {
            Self::All(number) => *number,
            Self::Each(numbers) => numbers.get(channel).copied().unwrap_or(f32::NAN),
        }
    }

    fn all(&self, fit: impl Fn(f32) -> bool) -> bool {
        match self {
            Self::All(number) => fit(*number),
            Self::Each(numbers) => numbers.iter().all(|number| fit(*number)),
        }
    }

    fn fit(&self, channels: usize) -> bool {
        match self {
            Self::All(_) => true,
            Self::Each(numbers) => numbers.len() == channels,
        }
    }
}

/// The network of one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewNetwork {
    /// The ONNX file. Views may share one.
    pub network: String,
    /// Height and width of the network's input, in pixels.
    pub window: (usize, usize),
    /// Channels of the network's input: 1, or 3 that show the same grey. Not written where it is 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub channels: usize,
    /// How the scores are read from the network's output.
    pub output: Output,
    /// Which of the network's outputs each label is, counted from 0. Not written where the labels are the outputs, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<usize>,
}

impl ViewNetwork {
    /// A network of one grey channel, whose outputs are the labels.
    pub fn new(network: String, window: (usize, usize), output: Output) -> Self {
        Self { network, window, channels: 1, output, classes: vec![] }
    }

    fn check(&self, table: &str, labels: usize) -> Result<(), Error> {
        let field = |name: &str| format!("{table}.{name}");
        names::check_file(&self.network)?;
        if self.network == crate::package::MANIFEST {
            return Err(unusable(field("network"), "the manifest is not a network"));
        }
        if ![self.window.0, self.window.1].iter().all(|side| (1..=MAX_WINDOW_SIDE).contains(side)) {
            return Err(unusable(field("window"), format!("sides are 1 to {MAX_WINDOW_SIDE}")));
        }
        if ![1, COLOURS].contains(&self.channels) {
            return Err(unusable(field("channels"), "1, or 3 that show the same grey"));
        }
        if self.classes.is_empty() {
            return Ok(());
        }
        let each_once = self.classes.iter().collect::<BTreeSet<_>>().len() == self.classes.len();
        if self.classes.len() != labels || !each_once {
            return Err(unusable(field("classes"), "give each label an output of its own"));
        }
        if self.classes.iter().any(|class| *class >= limits::MAX_OUTPUTS) {
            return Err(unusable(field("classes"), format!("outputs are 0 to {}", limits::MAX_OUTPUTS - 1)));
        }
        Ok(())
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

/// An exam that anyone can make, and the scores that the model's owner got for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownExam {
    /// The image of each of the four views.
    pub image: SyntheticImage,
    /// How many crops are averaged; 1 is the noiseless one.
    pub crops: u32,
    /// How far from its known value a score may be.
    pub tolerance: f64,
    /// The score of each label, of each breast.
    pub breasts: BTreeMap<Laterality, BTreeMap<String, f64>>,
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
        self.views.values().chain(self.pairs.values()).map(|view| view.network.as_str()).collect()
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
        self.known_answers.iter().try_for_each(|known| self.check_known_answer(known))?;
        if self.known_exams.len() > limits::MAX_KNOWN_ANSWERS {
            return Err(unusable("known_exams", "at most 16 are checked"));
        }
        self.known_exams.iter().try_for_each(|known| self.check_known_exam(known))
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
        let letters: usize = self.labels.iter().map(String::len).sum();
        if limits::answer_bytes(self.labels.len(), letters) > limits::MAX_LABELS_ANSWER_BYTES {
            return Err(unusable("labels", "they make an exam's answer too long: use fewer or shorter ones"));
        }
        Ok(())
    }

    fn check_views(&self) -> Result<(), Error> {
        if self.views.is_empty() && self.pairs.is_empty() {
            return Err(unusable("views", "name at least one"));
        }
        if !self.pairs.is_empty() {
            self.check_pairs()?;
        }
        for (view, network) in &self.views {
            network.check(&format!("views.{view}"), self.labels.len())?;
            self.preprocessing.check_channels(network.channels)?;
        }
        Ok(())
    }

    fn check_pairs(&self) -> Result<(), Error> {
        if !self.views.is_empty() || self.pairs.len() < 2 {
            return Err(unusable("pairs", "name CC and MLO, and no views beside them"));
        }
        for (angle, network) in &self.pairs {
            let table = match angle {
                Angle::Cc => "pairs.CC",
                Angle::Mlo => "pairs.MLO",
            };
            network.check(table, self.labels.len())?;
            self.preprocessing.check_channels(network.channels)?;
            if !network.classes.is_empty() {
                return Err(unusable(format!("{table}.classes"), "a pair's outputs are left and right of each label"));
            }
        }
        Ok(())
    }

    fn check_known_exam(&self, known: &KnownExam) -> Result<(), Error> {
        if self.pairs.is_empty() {
            return Err(unusable("known_exams", "only networks of both breasts look at exams"));
        }
        let sides = [Laterality::Left, Laterality::Right];
        if !known.breasts.keys().copied().eq(sides) {
            return Err(unusable("known_exams.breasts", "give left and right"));
        }
        let KnownExam { image, crops, tolerance, breasts } = known;
        let check = |scores| self.check_known("known_exams", image, *crops, *tolerance, scores);
        breasts.values().try_for_each(check)
    }

    fn check_known_answer(&self, known: &KnownAnswer) -> Result<(), Error> {
        if !self.views.contains_key(&known.view) {
            return Err(unusable("known_answers.view", format!("there is no network for {}", known.view)));
        }
        let KnownAnswer { image, crops, tolerance, scores, .. } = known;
        self.check_known("known_answers", image, *crops, *tolerance, scores)
    }

    fn check_known(
        &self,
        table: &str,
        image: &SyntheticImage,
        crops: u32,
        tolerance: f64,
        scores: &BTreeMap<String, f64>,
    ) -> Result<(), Error> {
        let field = |name: &str| format!("{table}.{name}");
        if !(1..=limits::MAX_CROPS).contains(&crops) {
            return Err(unusable(field("crops"), format!("1 to {}", limits::MAX_CROPS)));
        }
        let SyntheticImage { height, width, .. } = *image;
        let side = cloister_imaging::limits::MAX_SIDE;
        if height == 0 || width == 0 || height > side || width > side {
            return Err(unusable(field("image"), format!("sides are 1 to {side}")));
        }
        if height * width > cloister_imaging::limits::MAX_PIXELS {
            return Err(unusable(field("image"), "it has too many pixels"));
        }
        if !(tolerance > 0.0 && tolerance <= 0.01) {
            return Err(unusable(field("tolerance"), "more than 0, at most 0.01"));
        }
        let labels: BTreeSet<&String> = self.labels.iter().collect();
        if scores.keys().collect::<BTreeSet<_>>() != labels {
            return Err(unusable(field("scores"), "give one for each label"));
        }
        if !scores.values().all(|score| (0.0..=1.0).contains(score)) {
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
                if mean.all(f32::is_finite) && deviation.all(|number| number.is_finite() && number > 0.0) {
                    return Ok(());
                }
                Err(unusable("preprocessing", "mean and deviation are numbers, the deviation above 0"))
            }
        }
    }

    fn check_channels(&self, channels: usize) -> Result<(), Error> {
        match self {
            Self::Resize1(Resize { mean, deviation }) if !(mean.fit(channels) && deviation.fit(channels)) => {
                let reason = format!("give mean and deviation once, or for each of {channels} channels");
                Err(unusable("preprocessing", reason))
            }
            Self::Resize1(_) | Self::ScreeningMammogram1(_) => Ok(()),
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
