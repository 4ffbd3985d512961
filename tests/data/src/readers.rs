//! Readers of DICOM that are not ours: pydicom and highdicom, and dicom3tools' validator.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// What pydicom and highdicom found in a file.
#[derive(Deserialize)]
pub struct Found {
    /// SOP Class, in words.
    pub class: String,
    /// Values by keyword.
    pub attributes: BTreeMap<String, String>,
    /// A document's content items, a line each.
    #[serde(default)]
    pub tree: Vec<String>,
    /// SOP Instance UIDs that it refers to.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// How many content items highdicom parsed.
    #[serde(default)]
    pub highdicom: usize,
    /// Of its pixels.
    #[serde(default)]
    pub shape: Vec<u16>,
    /// Of its pixels, by channel.
    #[serde(default)]
    pub sum: Vec<u64>,
    /// SOP Instance UID that it was made from.
    #[serde(default)]
    pub source: String,
    /// Spatial Locations Preserved.
    #[serde(default)]
    pub preserved: String,
    /// Image Laterality.
    #[serde(default)]
    pub laterality: String,
    /// View Code Sequence.
    #[serde(default)]
    pub view: String,
    /// Purpose of reference.
    #[serde(default)]
    pub purpose: String,
    /// Burned In Annotation.
    #[serde(default)]
    pub burned_in: String,
    /// Image Comments.
    #[serde(default)]
    pub comments: String,
}

/// Reads a folder's files in an environment with the pins of `requirements.txt` alone. `locks` is where those who make it wait for each other.
pub fn read(folder: &Path, locks: &Path) -> BTreeMap<String, Found> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let scripts = root.join("crates/results/tests/python");
    let pins = fs::read_to_string(scripts.join("requirements.txt")).unwrap();
    let pins: Vec<_> = pins.lines().filter(|line| !line.starts_with('#')).collect();
    let lock = File::create(locks.join("results.lock")).unwrap();
    lock.lock().unwrap();
    let line = format!(". scripts/common.sh && python_tools dicom-results {}", pins.join(" "));
    let environment = run(Command::new("bash").arg("-c").arg(line).current_dir(root));
    let mut python = Command::new(Path::new(environment.trim()).join("bin/python"));
    let json = run(python.env("PYTHONDONTWRITEBYTECODE", "1").arg(scripts.join("read.py")).arg(folder));
    serde_json::from_str(&json).unwrap()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// What dicom3tools' validator says of a file.
pub fn dciodvfy(path: &Path) -> String {
    let output = Command::new("dciodvfy").arg(path).output().unwrap_or_else(|error| {
        panic!("dciodvfy does not start ({error}); as root: apt-get install --no-install-recommends dicom3tools")
    });
    [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat()
}
