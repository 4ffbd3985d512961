//! `cloister eif compare`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use cloister_eif::{Change, Compared, Comparison, Image, Kind, Outcome};

use crate::failure::Failure;
use crate::output;

/// What `cloister eif compare` takes.
#[derive(Args)]
pub struct Compare {
    /// The one image.
    first: PathBuf,
    /// The other.
    second: PathBuf,
}

/// Compares two images.
pub fn run(arguments: &Compare) -> Result<(), Failure> {
    let (first, second) = (super::read(&arguments.first)?, super::read(&arguments.second)?);
    let comparison = Comparison::of(&first, &second);
    if !comparison.header.is_empty() {
        output::line("header        differs (not measured)")?;
        comparison.header.iter().try_for_each(change)?;
    }
    if comparison.reordered {
        output::line("sections      stand in another order")?;
    }
    comparison.sections.iter().try_for_each(section)?;
    let registers = |image: &Image| image.measurements().registers().collect::<BTreeMap<_, _>>();
    let (one, other) = (registers(&first), registers(&second));
    for index in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let words = if one.get(index) == other.get(index) { "the same" } else { "another" };
        output::line(format_args!("PCR{index:<11}{words}"))?;
    }
    if comparison.is_same() { Ok(()) } else { Err(Failure::different("the images differ")) }
}

fn section(section: &Compared) -> Result<(), Failure> {
    let name = match section.kind {
        Kind::Ramdisk => format!("ramdisk {}", section.number),
        kind => kind.to_string(),
    };
    let measured = if section.kind == Kind::Metadata { " (not measured)" } else { "" };
    match &section.outcome {
        Outcome::Same => output::line(format_args!("{name:14}the same")),
        Outcome::OnlyInFirst => output::line(format_args!("{name:14}only in the first image{measured}")),
        Outcome::OnlyInSecond => output::line(format_args!("{name:14}only in the second image{measured}")),
        Outcome::Differs { offset, changes } => {
            output::line(format_args!("{name:14}differs from byte {offset} on{measured}"))?;
            if changes.is_empty() {
                return output::line("  the same, in other bytes");
            }
            changes.iter().try_for_each(change)
        }
    }
}

/// One change. What it quotes comes from the images: escaped, it cannot steer a terminal.
fn change(change: &Change) -> Result<(), Failure> {
    let side =
        |text: &Option<String>| text.as_ref().map_or_else(|| "-".to_owned(), |text| text.escape_debug().to_string());
    let (what, first, second) = (change.what.escape_debug(), side(&change.first), side(&change.second));
    output::line(format_args!("  {what}: {first} | {second}"))
}
