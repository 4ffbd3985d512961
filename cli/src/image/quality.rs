//! `cloister image quality`: what an enclave would find in an image, before it is sent.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cloister_imaging::{Measures, View, measure};
use serde::Serialize;

use crate::failure::Failure;
use crate::picture::Picture;
use crate::words::{explained, in_words};
use crate::{files, output};

/// What `cloister image quality` takes.
#[derive(Args)]
pub struct Quality {
    /// The mammogram: an 8- or 16-bit greyscale PNG, or a DICOM file.
    file: PathBuf,
    /// L-CC, R-CC, L-MLO or R-MLO. A DICOM file says it itself, and must not say another.
    #[arg(long)]
    view: Option<View>,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    view: View,
    findings: Vec<&'static str>,
    finding_words: BTreeMap<String, &'static str>,
    measures: Measures,
}

/// Runs the verb.
pub fn run(quality: &Quality) -> Result<(), Failure> {
    let bytes = files::read(&quality.file)?;
    let picture = Picture::read(&quality.file, &bytes)?;
    let view = picture.view(&quality.file, quality.view)?;
    let refused = |error| Failure::input(format!("{}: no score would be given: {error}", quality.file.display()));
    let measures = measure(&picture.pixels, view).map_err(refused)?;
    let found = measures.judge(view).map_err(refused)?;
    let findings = picture.findings(&found);
    let finding_words = explained(&findings);
    let report = Report { view, findings, finding_words, measures };
    if quality.json {
        return output::json(&report);
    }
    output::line(format_args!("view      {view}"))?;
    if report.findings.is_empty() {
        return output::line("findings  none");
    }
    report.findings.iter().try_for_each(|code| output::line(format_args!("finding   {}", in_words(code))))
}
