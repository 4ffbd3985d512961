//! What a share of an archive came to: one file of JSON lines, replaced whole, and a receipt for each score.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloister_attest::extended;
use cloister_client::Classification;
use cloister_imaging::View;
use serde::{Deserialize, Serialize};

use super::manifest::Image;
use crate::failure::Failure;
use crate::files::{self, Readers};

/// What an earlier run may have left: a line has some 600 bytes, and the longest list has a million and a half.
const MAX_RESULTS_BYTES: u64 = 1 << 30;

/// A process that is killed loses what it learned since the file was last written: not more than this, and one image.
const WRITE_INTERVAL: Duration = Duration::from_secs(10);

/// The folder of the receipts, in the results' folder.
const RECEIPTS: &str = "receipts";

/// One image's line: an answer and where its receipt is, or an error.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    id: String,
    path: PathBuf,
    view: View,
    /// Of the file, in hexadecimal; absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Classification>,
    /// The receipt's file, from the results' folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What a kept score must be of, to stand for a new one.
pub struct Wanted<'a> {
    /// The image's file.
    pub sha256: &'a str,
    /// PCR16 of the enclave that is there now: which model it runs.
    pub model_pcr: Option<&'a [u8]>,
    /// The crops that were asked for.
    pub crops: Option<u32>,
}

/// The results of one share.
pub struct Results {
    folder: PathBuf,
    file: PathBuf,
    before: HashMap<String, Line>,
    lines: Vec<Line>,
    written: Instant,
}

impl Results {
    /// Makes the folder where it is not there, and reads what an earlier run left.
    pub fn open(folder: &Path, index: u32, of: u32) -> Result<Self, Failure> {
        let receipts = folder.join(RECEIPTS);
        std::fs::create_dir_all(&receipts)
            .map_err(|error| Failure::input(format!("cannot make {}: {error}", receipts.display())))?;
        let file = folder.join(format!("results-{index}-of-{of}.jsonl"));
        let mut before = HashMap::new();
        if file.exists() {
            for line in files::read_text_at_most(&file, MAX_RESULTS_BYTES)?.lines() {
                let line: Line = serde_json::from_str(line).map_err(|error| {
                    Failure::input(format!("{} is no file of results ({error}): move it away", file.display()))
                })?;
                before.insert(line.id.clone(), line);
            }
        }
        Ok(Self { folder: folder.to_owned(), file, before, lines: Vec::new(), written: Instant::now() })
    }

    /// Whether an earlier run's score still stands; if so it is kept.
    pub fn keep(&mut self, image: &Image, wanted: &Wanted<'_>) -> Result<bool, Failure> {
        let Some(line) = self.before.get(&image.id).filter(|line| self.stands(line, image, wanted)) else {
            return Ok(false);
        };
        let line = Line { path: image.path.clone(), ..line.clone() };
        self.add(line)?;
        Ok(true)
    }

    fn stands(&self, line: &Line, image: &Image, wanted: &Wanted<'_>) -> bool {
        let (Some(answer), Some(receipt)) = (&line.answer, &line.receipt) else { return false };
        let digest = answer.model.as_ref().and_then(|model| hex::decode(&model.digest).ok());
        let same_model = digest.is_some_and(|digest| Some(extended(&digest).as_slice()) == wanted.model_pcr);
        line.view == image.view
            && line.sha256.as_deref() == Some(wanted.sha256)
            && same_model
            && wanted.crops.is_none_or(|crops| crops == answer.crops)
            && *receipt == receipt_path(&image.id)
            && self.folder.join(receipt).is_file()
    }

    /// Takes a score, and writes its receipt.
    pub fn scored(&mut self, image: &Image, sha256: &str, mut answer: Classification) -> Result<(), Failure> {
        let path = receipt_path(&image.id);
        // The client gives out no answer without one.
        let receipt = answer.receipt.take().map(|receipt| receipt.0).unwrap_or_default();
        files::replace(&self.folder.join(&path), Readers::Owner, |file| file.write_all(&receipt))?;
        let line = Line { answer: Some(answer), receipt: Some(path), ..empty(image, Some(sha256)) };
        self.add(line)
    }

    /// Takes that an image got no score, and why.
    pub fn refused(&mut self, image: &Image, sha256: Option<&str>, error: String) -> Result<(), Failure> {
        self.add(Line { error: Some(error), ..empty(image, sha256) })
    }

    fn add(&mut self, line: Line) -> Result<(), Failure> {
        self.before.remove(&line.id);
        self.lines.push(line);
        if self.written.elapsed() < WRITE_INTERVAL { Ok(()) } else { self.write() }
    }

    /// Writes the file: what is known by now, and what an earlier run knew of images that were not come to yet.
    pub fn write(&mut self) -> Result<(), Failure> {
        let mut rest: Vec<_> = self.before.values().collect();
        rest.sort_by(|one, other| one.id.cmp(&other.id));
        files::replace(&self.file, Readers::Owner, |file| {
            for line in self.lines.iter().chain(rest) {
                serde_json::to_writer(&mut *file, line)?;
                file.write_all(b"\n")?;
            }
            Ok(())
        })?;
        self.written = Instant::now();
        Ok(())
    }

    /// Writes the file for the last time, without what is no longer in the list, and says where it is.
    pub fn finish(mut self) -> Result<PathBuf, Failure> {
        self.before.clear();
        self.write()?;
        Ok(self.file)
    }
}

fn empty(image: &Image, sha256: Option<&str>) -> Line {
    Line {
        id: image.id.clone(),
        path: image.path.clone(),
        view: image.view,
        sha256: sha256.map(str::to_owned),
        answer: None,
        receipt: None,
        error: None,
    }
}

fn receipt_path(id: &str) -> PathBuf {
    Path::new(RECEIPTS).join(format!("{id}.cbor"))
}
