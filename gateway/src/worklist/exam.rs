//! An exam as the JSON interface shows it, and the words that it is described by.

use std::collections::BTreeMap;
use std::str::FromStr;

use cloister_imaging::View;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Error;
use crate::enclaves::Check;

/// A closed list of words, as they stand in the work list and in JSON.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(Error::Stored(stringify!($name))),
                }
            }
        }
    };
}

words! {
    /// How far an exam has come.
    State {
        /// Some of its images are there, and others may come.
        Receiving = "receiving",
        /// All of it is on disk.
        Received = "received",
        /// The enclave at the other end of the connection that it is about to leave by has been verified.
        Verified = "verified",
        /// It is leaving, or has left, by that connection.
        Sent = "sent",
        /// The answer is on disk, and its receipt was held against images and enclave.
        Answered = "answered",
        /// All that was to be delivered has been.
        Delivered = "delivered",
        /// It did not come to an answer; the reason says why.
        Failed = "failed",
        /// The enclave gave no score, because one would have misled; the reason says why.
        Abstained = "abstained",
    }
}

words! {
    /// How an exam came in.
    Source {
        /// By a page.
        Page = "page",
        /// By the JSON interface.
        Api = "api",
        /// By STOW-RS.
        Stow = "stow",
        /// Out of the watched folder.
        Folder = "folder",
        /// Out of the bucket.
        Bucket = "s3",
    }
}

words! {
    /// What a file is.
    Media {
        /// DICOM (PS3.10).
        Dicom = "dicom",
        /// PNG.
        Png = "png",
    }
}

words! {
    /// What is delivered.
    ResultKind {
        /// Mammography CAD SR.
        CadSr = "cad-sr",
        /// Basic Text SR.
        TextSr = "text-sr",
        /// A Secondary Capture of a view with its map.
        SecondaryCapture = "secondary-capture",
        /// The report in JSON.
        Report = "report",
        /// The receipt.
        Receipt = "receipt",
    }
}

impl ResultKind {
    /// Whether it is a DICOM file.
    pub fn is_dicom(self) -> bool {
        !matches!(self, Self::Report | Self::Receipt)
    }
}

/// Probability (0 to 1) by label.
pub type Scores = BTreeMap<String, f64>;

/// An exam.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Exam {
    /// Its identifier.
    pub id: String,
    /// When all of it, or its first image, was on disk (RFC 3339, UTC).
    pub received_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// How it came in.
    pub source: Source,
    /// An accession number or a file's name, for people in the hospital.
    pub label: String,
    /// The patient's name, as the files have it.
    pub patient: Option<String>,
    /// Study Instance UID.
    pub study_uid: Option<String>,
    /// Who sent it.
    pub by: Option<String>,
    /// How far it has come.
    pub state: State,
    /// Why it failed, or was abstained from.
    pub reason: Option<Reason>,
    /// The states that it was in.
    pub steps: Vec<Step>,
    /// Whether its images are still there.
    pub images_kept: bool,
    /// How many exams are before it in the queue, and itself.
    pub position: Option<u64>,
    /// Its images, and what was answered of each.
    pub views: Vec<ExamView>,
    /// Each breast's scores.
    pub breasts: Option<BTreeMap<String, BreastScores>>,
    /// What the enclave found of the exam as a whole.
    pub findings: Vec<String>,
    /// What scores are held against.
    pub operating_point: OperatingPoint,
    /// The model that answered.
    pub model: Option<ModelName>,
    /// The enclave that answered, and what it proved before anything was sent.
    pub enclave: Option<AnsweredBy>,
    /// The receipt, by its digest.
    pub receipt: Option<ReceiptName>,
    /// Results in DICOM.
    pub results: Vec<ResultName>,
}

/// Why an exam failed, or was abstained from.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq, ToSchema)]
pub struct Reason {
    /// A word that does not change.
    #[serde(rename = "type")]
    pub kind: String,
    /// For people.
    pub sentence: String,
}

impl Reason {
    pub(crate) fn new(kind: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self { kind: kind.into(), sentence: sentence.into() }
    }
}

/// A state that an exam was in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Step {
    /// Which.
    pub state: State,
    /// From when on.
    pub at: String,
}

/// One image.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ExamView {
    /// Which view it shows.
    #[schema(value_type = Option<String>)]
    pub view: Option<View>,
    /// The file's number in the exam.
    pub file: u32,
    /// What the file is.
    pub media: Media,
    /// Its length.
    pub bytes: u64,
    /// Rows of the image.
    pub rows: Option<u32>,
    /// Columns of the image.
    pub columns: Option<u32>,
    /// What was answered.
    pub scores: Option<Scores>,
    /// What the enclave found of the image.
    pub findings: Vec<String>,
    /// Whether there is a map of where the network looked.
    pub has_map: bool,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// One breast's scores.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreastScores {
    /// By label.
    pub scores: Scores,
}

/// What scores are held against.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OperatingPoint {
    /// The label whose score is looked at.
    pub label: String,
    /// The lowest score that reaches it.
    pub malignant: f64,
    /// What it is called.
    pub name: String,
}

/// A model.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModelName {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: u32,
    /// The package's digest, SHA-384.
    pub digest: String,
}

/// The enclave that answered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AnsweredBy {
    /// What people call it.
    pub name: String,
    /// The policy's entry that it matched.
    pub label: String,
    /// Its own identifier.
    pub module_id: String,
    /// When its security module signed the document.
    pub document_time: String,
    /// What was checked on the very connection that the images left by.
    pub checks: Vec<Check>,
}

/// A receipt, by its digest.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReceiptName {
    /// SHA-384 of its bytes.
    pub digest: String,
    /// SHA-384 of the key that signed it.
    pub key_id: String,
}

/// A result.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResultName {
    /// Its identifier in the exam.
    pub id: String,
    /// What it is.
    pub kind: ResultKind,
    /// The view that it shows.
    #[schema(value_type = Option<String>)]
    pub view: Option<View>,
    /// Where it has been delivered to.
    pub delivered_to: Option<String>,
}
