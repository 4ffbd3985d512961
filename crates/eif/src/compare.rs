//! How two images differ: section by section, and inside of those that people read.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::image::{Image, Kind, Section};
use crate::limits;
use crate::ramdisk::{self, File};
use crate::sign::Signature;

/// One thing that the first image, the second, or both have: a word, a file's attribute, a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// What it is.
    pub what: String,
    /// What it is in the first image, if it is there.
    pub first: Option<String>,
    /// What it is in the second one, if it is there.
    pub second: Option<String>,
}

/// How a section of the first image compares to its counterpart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The same bytes.
    Same,
    /// The second image has none.
    OnlyInFirst,
    /// The first image has none.
    OnlyInSecond,
    /// Other bytes.
    Differs {
        /// The first byte that differs, counted from the start of the content.
        offset: usize,
        /// What differs in it, as far as it is understood; none where the same is written in other bytes.
        changes: Vec<Change>,
    },
}

/// One section of either image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Compared {
    /// What it holds.
    pub kind: Kind,
    /// Which one of its kind, from 1.
    pub number: usize,
    /// How the two compare.
    pub outcome: Outcome,
}

/// A comparison of two images. They are the same bytes exactly when nothing in it differs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Comparison {
    /// What differs in the header.
    pub header: Vec<Change>,
    /// Whether the sections stand in another order.
    pub reordered: bool,
    /// Each section of either, kind by kind.
    pub sections: Vec<Compared>,
}

impl Comparison {
    /// Compares two images.
    pub fn of(first: &Image, second: &Image) -> Self {
        let kinds = [Kind::Kernel, Kind::CommandLine, Kind::Ramdisk, Kind::Metadata, Kind::Signature];
        let sections = kinds.into_iter().flat_map(|kind| of_kind(kind, first, second)).collect();
        let order = |image: &Image| image.sections().iter().map(Section::kind).collect::<Vec<_>>();
        let (mut one, mut other) = (order(first), order(second));
        let ordered = one == other;
        one.sort();
        other.sort();
        Self { header: changes(&header(first), &header(second)), reordered: !ordered && one == other, sections }
    }

    /// Whether the two images are the same bytes.
    pub fn is_same(&self) -> bool {
        let same = |section: &Compared| section.outcome == Outcome::Same;
        self.header.is_empty() && !self.reordered && self.sections.iter().all(same)
    }
}

fn of_kind(kind: Kind, first: &Image, second: &Image) -> Vec<Compared> {
    fn all(image: &Image, kind: Kind) -> Vec<&Section> {
        image.sections().iter().filter(|section| section.kind() == kind).collect()
    }
    let (one, other) = (all(first, kind), all(second, kind));
    let pair = |index: usize| match (one.get(index), other.get(index)) {
        (Some(a), Some(b)) if a == b => Outcome::Same,
        (Some(a), Some(b)) => {
            let offset = a.data().iter().zip(b.data()).take_while(|(a, b)| a == b).count();
            Outcome::Differs { offset, changes: inside(kind, (first, a), (second, b)) }
        }
        (Some(_), None) => Outcome::OnlyInFirst,
        (None, _) => Outcome::OnlyInSecond,
    };
    (0..one.len().max(other.len())).map(|index| Compared { kind, number: index + 1, outcome: pair(index) }).collect()
}

fn inside(kind: Kind, (first, a): (&Image, &Section), (second, b): (&Image, &Section)) -> Vec<Change> {
    match kind {
        Kind::Kernel => changes(&kernel(a), &kernel(b)),
        Kind::CommandLine => changes(&words(first.command_line()), &words(second.command_line())),
        Kind::Ramdisk => ramdisks(a.data(), b.data()),
        Kind::Metadata => changes(&keys(first.metadata()), &keys(second.metadata())),
        Kind::Signature => changes(&signature(first.signature()), &signature(second.signature())),
    }
}

type Facts = BTreeMap<String, String>;

fn changes(first: &Facts, second: &Facts) -> Vec<Change> {
    let mut names: Vec<&String> = first.keys().chain(second.keys()).collect();
    names.sort();
    names.dedup();
    let change = |name: &String| Change {
        what: name.clone(),
        first: first.get(name).cloned(),
        second: second.get(name).cloned(),
    };
    names.into_iter().map(change).filter(|change| change.first != change.second).collect()
}

fn header(image: &Image) -> Facts {
    let header = image.header();
    let architecture = if header.arm64 { "arm64" } else { "x86-64" };
    [
        ("architecture", architecture.to_owned()),
        ("default memory", header.memory.to_string()),
        ("default processors", header.cpus.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn kernel(section: &Section) -> Facts {
    let release = crate::Kernel::new(section.data()).ok().and_then(|kernel| kernel.release().map(str::to_owned));
    let release = release.map(|release| ("release".to_owned(), release));
    release.into_iter().chain([("bytes".to_owned(), section.data().len().to_string())]).collect()
}

/// How often each word stands in a command line.
fn words(line: &str) -> Facts {
    let mut counts = BTreeMap::<_, usize>::new();
    for word in line.split_ascii_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    counts.into_iter().map(|(word, count)| (word.to_owned(), count.to_string())).collect()
}

/// Every value in the metadata that is neither object nor array, by the path to it. Where the paths come to more than
/// [`limits::PATHS`], as a long name above many values makes them, the whole is one fact.
fn keys(metadata: Option<&Map<String, Value>>) -> Facts {
    let whole = Value::from(metadata.cloned().unwrap_or_default());
    let mut facts = Facts::new();
    let mut length = 0;
    // JSON is read with a bound on its nesting.
    let mut open = vec![(String::new(), &whole)];
    while let Some((path, value)) = open.pop() {
        let below: Vec<(String, &Value)> = match value {
            Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
            Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        if below.is_empty() {
            facts.insert(path, value.to_string());
            continue;
        }
        length += below.iter().map(|(name, _)| path.len() + 1 + name.len()).sum::<usize>();
        if length > limits::PATHS {
            return Facts::from([("all of it".to_owned(), whole.to_string())]);
        }
        let joined = |name: String| if path.is_empty() { name } else { format!("{path}.{name}") };
        open.extend(below.into_iter().map(|(name, value)| (joined(name), value)));
    }
    facts
}

fn signature(signature: Option<&Signature>) -> Facts {
    let Some(signature) = signature else { return Facts::new() };
    let certificate = signature.certificate();
    // A signature is another each time that it is made: it tells nothing.
    [
        ("certificate", hex::encode(crate::sha384(certificate.der()))),
        ("subject", certificate.subject().to_owned()),
        ("issuer", certificate.issuer().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn ramdisks(a: &[u8], b: &[u8]) -> Vec<Change> {
    let (a, b) = match (ramdisk::list(a), ramdisk::list(b)) {
        (Ok(a), Ok(b)) => (by_path(&a), by_path(&b)),
        (a, b) => {
            let problem = |list: Result<_, ramdisk::Unreadable>| list.err().map(|error| error.to_string());
            return vec![Change { what: "listing".into(), first: problem(a), second: problem(b) }];
        }
    };
    let mut found = Vec::new();
    let mut paths: Vec<&String> = a.keys().chain(b.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        match (a.get(path), b.get(path)) {
            (Some(a), Some(b)) => {
                let named = |change: Change| Change { what: format!("{path}: {}", change.what), ..change };
                found.extend(changes(a, b).into_iter().map(named));
            }
            (a, b) => {
                let there = |facts: Option<&Facts>| facts.map(|_| "there".to_owned());
                found.push(Change { what: path.clone(), first: there(a), second: there(b) });
            }
        }
    }
    found
}

/// The attributes of each file. A path that comes again, as Linux allows, is told apart by a number.
fn by_path(files: &[File]) -> BTreeMap<String, Facts> {
    let mut times = HashMap::<&[u8], usize>::new();
    files
        .iter()
        .map(|file| {
            let again = times.entry(&file.path).or_default();
            *again += 1;
            let path = file.path.escape_ascii().to_string();
            let path = if *again == 1 { path } else { format!("{path} ({again})") };
            (path, attributes(file))
        })
        .collect()
}

fn attributes(file: &File) -> Facts {
    let (major, minor) = file.device;
    [
        ("mode", format!("{:06o}", file.mode)),
        ("owner", format!("{}:{}", file.owner, file.group)),
        ("links", file.links.to_string()),
        ("time", file.time.to_string()),
        ("bytes", file.size.to_string()),
        ("device", format!("{major},{minor}")),
        ("content, SHA-384", hex::encode(file.sha384)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
