//! Model packages, checkpoint conversion, and the network on tract.
//!
//! A [`Package`] is a manifest and the ONNX files that it names, known by one digest. [`convert`] makes one from the published
//! screening model's PyTorch checkpoint, without running the pickle in it. A [`Classifier`] runs a package's networks on
//! prepared crops and averages their probabilities.
//!
//! This crate opens no sockets and no sealed files, decodes no images, and prints no scores: errors name files, shapes and
//! reasons, never pixels.

mod add;
mod architecture;
mod archive;
mod blocked;
pub mod checkpoint;
mod classifier;
mod convert;
mod demo;
mod direct;
mod error;
mod exam;
mod examine;
mod head;
mod input;
mod kernels;
mod known;
mod layers;
pub mod limits;
mod manifest;
mod map;
mod names;
mod network;
mod onnx;
mod output;
mod package;
mod reader;

pub use add::add;
pub use classifier::{Classification, Classifier, ToScore};
pub use convert::{CC_WINDOW, ConvertOptions, MLO_WINDOW, convert, convert_checkpoint};
pub use demo::{demo_options, random_checkpoint, random_exam_checkpoint};
pub use error::Error;
pub use exam::{ExamScores, PreparedView, mean_of_angles};
pub use kernels::kernels;
pub use layers::Layer;
pub use manifest::{
    FORMAT, Generator, KnownAnswer, KnownExam, Manifest, Numbers, Preprocessing, Resize, ScreeningMammogram,
    SyntheticImage, ViewNetwork,
};
pub use map::Map;
pub use output::Output;
pub use package::{MANIFEST, Package};
