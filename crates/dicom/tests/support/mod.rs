//! What the tests share: files that pydicom wrote, real exams, and a writer of files that break rules.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A file, and what must come of it.
#[derive(Deserialize)]
pub struct Case {
    pub file: String,
    pub view: Option<String>,
    #[serde(default)]
    pub tolerance: u16,
    #[serde(default)]
    pub findings: Vec<String>,
    pub refusal: Option<String>,
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// Runs a line of bash with the repository's shared functions, from its root, one process at a time. Gives what it printed.
fn script(line: &str) -> PathBuf {
    let lock = File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("dicom.lock")).unwrap();
    lock.lock().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    PathBuf::from(run(Command::new("bash").arg("-c").arg(line).current_dir(root)).trim())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs one of the Python scripts beside the tests, in an environment with the pins of `requirements.txt` alone.
pub fn python(name: &str, arguments: &[&Path]) -> String {
    let pins = fs::read_to_string(tests().join("python/requirements.txt")).unwrap();
    let pins: Vec<_> = pins.lines().filter(|line| !line.starts_with('#')).collect();
    let environment = script(&format!(". scripts/common.sh && python_tools dicom-files {}", pins.join(" ")));
    let mut python = Command::new(environment.join("bin/python"));
    run(python.env("PYTHONDONTWRITEBYTECODE", "1").arg(tests().join("python").join(name)).args(arguments))
}

/// Files that pydicom wrote into the folder, and what must come of them.
pub fn files(folder: &Path) -> Vec<Case> {
    python("files.py", &[folder]);
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

/// The folder of two real exams.
pub fn exams() -> PathBuf {
    script("scripts/exams.sh")
}

/// The most memory that this process has held at once, in bytes.
pub fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub const RLE: &str = "1.2.840.10008.1.2.5";
pub const JPEG: &str = "1.2.840.10008.1.2.4.70";
pub const UNDEFINED: u32 = u32::MAX;

/// An element with a length of its own choice.
pub fn claim(tag: u32, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = [((tag >> 16) as u16).to_le_bytes(), (tag as u16).to_le_bytes()].concat();
    bytes.extend(vr.as_bytes());
    match vr {
        "" => bytes.extend(length.to_le_bytes()),
        "OB" | "OW" | "SQ" | "UN" | "UT" => {
            bytes.extend([0, 0]);
            bytes.extend(length.to_le_bytes());
        }
        _ => bytes.extend((length as u16).to_le_bytes()),
    }
    bytes.extend(value);
    bytes
}

/// An element as it should be.
pub fn element(tag: u32, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if value.len() % 2 == 1 {
        value.push(if vr == "UI" { 0 } else { b' ' });
    }
    claim(tag, vr, value.len() as u32, &value)
}

fn number(tag: u32, value: u16) -> Vec<u8> {
    element(tag, "US", &value.to_le_bytes())
}

/// What stands before a data set.
pub fn meta(syntax: &str) -> Vec<u8> {
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    file.extend(element(0x0002_0010, "UI", syntax.as_bytes()));
    file
}

/// A mammogram's data set of 16-bit cells, up to its pixels.
pub fn attributes(rows: u16, columns: u16) -> Vec<u8> {
    [
        element(0x0008_0016, "UI", b"1.2.840.10008.5.1.4.1.1.1.2"),
        element(0x0008_0018, "UI", b"1.2.3"),
        element(0x0008_0060, "CS", b"MG"),
        element(0x0010_0020, "LO", b"SEKRET-4711"),
        element(0x0018_5101, "CS", b"CC"),
        element(0x0020_000D, "UI", b"1.2.4"),
        element(0x0020_000E, "UI", b"1.2.5"),
        element(0x0020_0062, "CS", b"L"),
        number(0x0028_0002, 1),
        element(0x0028_0004, "CS", b"MONOCHROME2"),
        number(0x0028_0010, rows),
        number(0x0028_0011, columns),
        number(0x0028_0100, 16),
        number(0x0028_0101, 16),
        number(0x0028_0102, 15),
        number(0x0028_0103, 0),
    ]
    .concat()
}

/// Pixels in fragments, the first of which is the table of offsets.
pub fn encapsulated(fragments: &[&[u8]]) -> Vec<u8> {
    let mut bytes = claim(0x7FE0_0010, "OB", UNDEFINED, &[]);
    for fragment in [&[&[][..]], fragments].concat() {
        bytes.extend(claim(0xFFFE_E000, "", fragment.len() as u32, fragment));
    }
    bytes.extend(claim(0xFFFE_E0DD, "", 0, &[]));
    bytes
}
