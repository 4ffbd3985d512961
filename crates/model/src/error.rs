//! Why a package, a checkpoint or a network was refused. One variant per reason; a message says what to do about it.

use std::path::PathBuf;

use cloister_imaging::View;

/// Why something could not be read, converted, loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// "read", "write", "list" or "create".
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A package's archive could not be read to its end. A sealed file that fails to open shows as this error's source.
    #[error("the package's archive cannot be read: {0}")]
    ReadArchive(#[source] std::io::Error),
    /// A package's archive could not be written.
    #[error("the package's archive cannot be written: {0}")]
    WriteArchive(#[source] std::io::Error),
    /// Something other than a plain file in an archive or folder: a link, a device, a folder.
    #[error("{0:?} in the package is not a plain file: a package holds plain files only")]
    NotAPlainFile(String),
    /// A file name with a folder, with dots that climb, or with characters that do not travel.
    #[error("{0:?} is not a file name for a package: use letters, digits, '-', '_' and '.', and no folders")]
    FileName(String),
    /// The same name twice in an archive.
    #[error("{0:?} is in the package twice")]
    DuplicateFile(String),
    /// A file that the manifest does not speak of.
    #[error("{0:?} is in the package but not in its manifest: remove it")]
    UnknownFile(String),
    /// A file that the manifest speaks of and the package lacks.
    #[error("{0:?} is missing from the package")]
    MissingFile(String),
    /// A file that is too long.
    #[error("{name:?} is longer than the {limit} bytes allowed")]
    FileTooLarge {
        /// Which file.
        name: String,
        /// The most that is allowed.
        limit: u64,
    },
    /// More bytes than a package may have.
    #[error("the package is larger than the {0} bytes allowed")]
    PackageTooLarge(u64),
    /// More files than a package may have.
    #[error("the package has more than the {0} files allowed")]
    TooManyFiles(usize),
    /// Bytes after an archive's end.
    #[error("the package's archive goes on after its end")]
    TrailingData,
    /// A manifest that is not TOML, or that lacks or adds fields.
    #[error("the manifest cannot be read: {0}")]
    Manifest(String),
    /// A manifest of another format than this program knows.
    #[error("the manifest is of format {0}, and this program reads format 1")]
    ManifestFormat(u32),
    /// A field of a manifest with a value that cannot be.
    #[error("the manifest's {field} is not usable: {reason}")]
    ManifestValue {
        /// Which field.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A preprocessing number that is not the named revision's.
    #[error("the manifest gives {field} = {given}, and the preprocessing revision it names has {expected}")]
    PreprocessingNumber {
        /// Which number.
        field: &'static str,
        /// The manifest's.
        given: f64,
        /// The revision's.
        expected: f64,
    },
    /// A digest other than the expected one.
    #[error("the package's digest is {actual}, not {expected}: it is another package, or it was changed")]
    Digest {
        /// What was expected, in hex.
        expected: String,
        /// What the files give, in hex.
        actual: String,
    },
    /// A checkpoint that could not be read.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// A network's file that is not ONNX, or has no operators.
    #[error(
        "the network {network:?} is not a usable ONNX file: {reason}; export it anew, for one input and one output"
    )]
    NotOnnx {
        /// Which file.
        network: String,
        /// What was wrong.
        reason: String,
    },
    /// An operator that is not of ONNX's own set, that this program does not compute, or that cannot be bounded or repeated.
    #[error(
        "the network {network:?} uses the operator {operator} (node {node:?}), which is not computed here: export it without, for inference \
         and with operators of ONNX's own set"
    )]
    UnsupportedOperator {
        /// Which file.
        network: String,
        /// The operator, after its domain where that is not ONNX's.
        operator: String,
        /// The node's name.
        node: String,
    },
    /// An operator that can make many numbers of few, of constants alone: they would be computed before the network's cost is known.
    #[error(
        "the network {network:?} makes numbers of constants alone with the operator {operator} (node {node:?}), more than {limit} or as many          as its file does not say: export it with its constants folded"
    )]
    ManyConstants {
        /// Which file.
        network: String,
        /// The operator.
        operator: String,
        /// The node's name.
        node: String,
        /// The most numbers that are made so.
        limit: usize,
    },
    /// Weights in a file beside the network.
    #[error(
        "the network {network:?} has the numbers of {tensor:?} in another file: save it with all of its data inside"
    )]
    NumbersElsewhere {
        /// Which file.
        network: String,
        /// Which tensor.
        tensor: String,
    },
    /// A network that would take more than it may.
    #[error("the network {network:?} takes {needed} {what}, and at most {limit} are allowed")]
    NetworkTooLarge {
        /// Which file.
        network: String,
        /// "operators", "multiplications" or "bytes at a time".
        what: &'static str,
        /// How many it takes.
        needed: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// Labels that are not the network's outputs.
    #[error(
        "the network {network:?} gives {outputs} scores, and the manifest names {labels} labels: name as many, or say in `classes` which of \
         the scores, from 0, each label is"
    )]
    Outputs {
        /// Which file.
        network: String,
        /// How many scores it gives.
        outputs: usize,
        /// How many labels the manifest has.
        labels: usize,
    },
    /// A network that tract cannot read, optimise or run.
    #[error("the network {network:?} cannot be {action}: {reason}")]
    Network {
        /// Which file.
        network: String,
        /// "read", "prepared", "measured" or "run".
        action: &'static str,
        /// What was wrong.
        reason: String,
    },
    /// A network whose input or output has another shape than the manifest needs.
    #[error("the network {network:?} has {what} of shape {actual:?}, and the manifest needs {expected:?}")]
    NetworkShape {
        /// Which file.
        network: String,
        /// "an input" or "an output".
        what: &'static str,
        /// The network's shape; 0 stands for a dimension that is left open.
        actual: Vec<usize>,
        /// The shape that fits the manifest.
        expected: Vec<usize>,
    },
    /// A score that is not a probability: NaN, infinite, or outside 0 to 1.
    #[error("the network {network:?} gave {label:?} a score that is not a probability")]
    NotAProbability {
        /// Which file.
        network: String,
        /// Which label.
        label: String,
    },
    /// A view that the model has no network for.
    #[error("the model has no network for {0} images")]
    ViewNotServed(View),
    /// A model that scores exams was given one image.
    #[error("the model looks at both breasts at once and scores no single image: send the four views of an exam")]
    NeedsExam,
    /// A model that scores images was given an exam as a whole.
    #[error("the model scores each view alone, and not an exam as a whole")]
    NeedsViews,
    /// An exam that lacks a view.
    #[error("the exam has no {0}: the model looks at four views together")]
    MissingView(View),
    /// A map for a label that the model does not score.
    #[error("the model scores no such label as the one that a map is asked for: ask for one of {0}")]
    MapLabel(String),
    /// A map from a network whose scores are not made of a mean over a picture, by layers that are known.
    #[error("the network {network:?} has no maps: {reason}")]
    NoMap {
        /// Which file.
        network: String,
        /// Why.
        reason: &'static str,
    },
    /// A score that came out otherwise when its gradient was computed.
    #[error("the network {network:?} has no map of this image: its last layers gave another score than the network")]
    MapScore {
        /// Which file.
        network: String,
    },
    /// A number of crops that cannot be averaged over.
    #[error("{given} crops cannot be averaged: ask for 1 to {limit}")]
    Crops {
        /// What was asked for.
        given: u32,
        /// The most that is allowed.
        limit: u32,
    },
    /// An image that cannot be prepared.
    #[error(transparent)]
    Image(#[from] cloister_imaging::Error),
    /// Threads that could not be started.
    #[error("{threads} threads could not be started: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the operating system said.
        reason: String,
    },
    /// A known answer that this machine does not reproduce.
    #[error(
        "known answer {index} ({view}) is missed: {label:?} is {difference:.2e} away from it, and {tolerance:.2e} is \
         allowed; this machine or program does not compute what the model's owner computed"
    )]
    KnownAnswer {
        /// Which one, from 0, in the manifest's order.
        index: usize,
        /// Its view.
        view: View,
        /// The label that is furthest away.
        label: String,
        /// How far.
        difference: f64,
        /// How far it may be.
        tolerance: f64,
    },
    /// A known exam that this machine does not reproduce.
    #[error(
        "known exam {index} is missed: {label:?} of the {side} breast is {difference:.2e} away from it, and {tolerance:.2e} is allowed; \
         this machine or program does not compute what the model's owner computed"
    )]
    KnownExam {
        /// Which one, from 0, in the manifest's order.
        index: usize,
        /// The breast: left or right.
        side: &'static str,
        /// The label that is furthest away.
        label: String,
        /// How far.
        difference: f64,
        /// How far it may be.
        tolerance: f64,
    },
}
