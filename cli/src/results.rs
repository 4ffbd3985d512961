//! `--dicom-results`: an exam's answer as DICOM files beside the mammograms (docs/dicom-results.md).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA384, digest};
use clap::Args;
use cloister_client::{Classification, Exam, findings_in_words};
use cloister_imaging::{DecodeLimits, View};
use cloister_results::{Map, Model, OperatingPoint, Picture, Read, Scored, files as results};
use time::{OffsetDateTime, UtcOffset};

use crate::failure::Failure;
use crate::files::{self, Readers};
use crate::maps::USUAL_LABEL;

/// What is to be written, and what a reader of it has to know.
#[derive(Args)]
pub struct Asked {
    /// Write CAD SR, text SR and, with --maps, Secondary Captures for a PACS into this folder. The images have to be DICOM files of one patient and study.
    #[arg(long, value_name = "FOLDER", requires = "operating_point")]
    dicom_results: Option<PathBuf>,
    /// Which score somebody wants to know of, and what that is called in results, such as sensitive=0.3, which is of malignant, or
    /// dense=density:0.5 for a model with other labels.
    #[arg(long, value_name = "NAME=[LABEL:]SCORE", requires = "dicom_results")]
    operating_point: Option<Point>,
    /// The offset from UTC of the time in results, such as +08:00: that of the study's times.
    #[arg(
        long,
        value_name = "HH:MM",
        requires = "dicom_results",
        default_value = "+00:00",
        allow_hyphen_values = true
    )]
    utc_offset: Offset,
}

/// `NAME=SCORE` or `NAME=LABEL:SCORE`.
#[derive(Clone)]
pub struct Point(OperatingPoint);

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(name, rest)| {
            let (label, score) = rest.split_once(':').unwrap_or((USUAL_LABEL, rest));
            Some((name, label, score.parse().ok()?))
        });
        match parts {
            Some((name, label, least)) if !name.is_empty() && !label.is_empty() && is_score(least) => {
                Ok(Self(OperatingPoint { label: name.to_owned(), score: label.to_owned(), least }))
            }
            _ => Err("give a name and a score from 0 to 1, such as sensitive=0.3".to_owned()),
        }
    }
}

/// Zero has no sign, as in receipts.
fn is_score(score: f64) -> bool {
    (0.0..=1.0).contains(&score) && score.is_sign_positive()
}

/// `+HH:MM` or `-HH:MM`.
#[derive(Clone)]
pub struct Offset(UtcOffset);

impl FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (sign, rest) = text.strip_prefix('-').map_or((1, text.trim_start_matches('+')), |rest| (-1, rest));
            let (hours, minutes) = rest.split_once(':')?;
            let (hours, minutes): (i8, i8) = (hours.parse().ok()?, minutes.parse().ok()?);
            let there = (0..=14).contains(&hours) && (0..=59).contains(&minutes);
            there.then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok()).flatten()
        };
        parsed().map(Self).ok_or_else(|| "give hours and minutes, such as +08:00".to_owned())
    }
}

/// Source files that results can be written of.
pub struct Sources<'a> {
    folder: &'a Path,
    operating_point: &'a OperatingPoint,
    offset: UtcOffset,
    images: BTreeMap<View, Read>,
}

impl Asked {
    /// Reads the sources, before anything is sent: what cannot be a source costs no request. Nothing where no results are asked for.
    pub fn sources(&self, images: &[(View, Vec<u8>)]) -> Result<Option<Sources<'_>>, Failure> {
        let (Some(folder), Some(point)) = (&self.dicom_results, &self.operating_point) else { return Ok(None) };
        let refused = |view: &View, error: &dyn std::fmt::Display| {
            Failure::input(format!("no results can be written of {view}: {error}"))
        };
        let mut read = BTreeMap::new();
        for (view, bytes) in images {
            let source =
                cloister_results::read(bytes, &DecodeLimits::default()).map_err(|error| refused(view, &error))?;
            if source.source.view != *view {
                return Err(refused(view, &format_args!("the file says that it is {}", source.source.view)));
            }
            read.insert(*view, source);
        }
        one_patient(&read).map_err(|error| Failure::input(format!("no results can be written: {error}")))?;
        Ok(Some(Sources { folder, operating_point: &point.0, offset: self.utc_offset.0, images: read }))
    }
}

/// Whether one result can name the patient and the study of all images.
fn one_patient(read: &BTreeMap<View, Read>) -> cloister_results::Result<()> {
    let Some(first) = read.values().next().map(|read| &read.source) else { return Ok(()) };
    let mut sources = read.values().map(|read| &read.source);
    if sources.clone().any(|source| source.patient != first.patient) {
        return Err(cloister_results::Error::Patients);
    }
    if sources.any(|source| source.study != first.study) { Err(cloister_results::Error::Studies) } else { Ok(()) }
}

impl Sources<'_> {
    /// Writes the results of a verified answer, and gives their paths.
    pub fn write(&self, answer: &Exam) -> Result<Vec<PathBuf>, Failure> {
        let exam = self.exam(answer)?;
        if exam.views.iter().any(|scored| scored.scores.is_empty()) {
            return Err(Failure::input(
                "results in DICOM are written of each view's scores, and this model scores breasts alone: leave out --dicom-results",
            ));
        }
        let pictures: Vec<_> = answer.views.iter().filter_map(|view| self.picture(view)).collect();
        let failed = |error: cloister_results::Error| Failure::input(format!("no results can be written: {error}"));
        let mut no_random = false;
        let random = || {
            let mut bytes = [0; 16];
            no_random |= aws_lc_rs::rand::fill(&mut bytes).is_err();
            bytes
        };
        let written = results(&exam, &pictures, random).map_err(failed)?;
        if no_random {
            return Err(Failure::unavailable("this machine gives no random bytes for new identifiers"));
        }
        std::fs::create_dir_all(self.folder)
            .map_err(|error| Failure::input(format!("{}: {error}", self.folder.display())))?;
        let mut paths = Vec::new();
        for result in written {
            let path = self.folder.join(result.kind.file_name());
            files::replace(&path, Readers::Owner, |file| file.write_all(&result.bytes))?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// An image with its map, where one was asked for.
    fn picture<'a>(&'a self, view: &'a Classification) -> Option<Picture<'a>> {
        let (read, map) = (self.images.get(&view.view)?, view.map.as_ref()?);
        let map =
            Map { label: &map.label, rows: map.rows as usize, columns: map.columns as usize, values: &map.values };
        Some(Picture { view: view.view, pixels: &read.pixels, map })
    }

    fn exam(&self, answer: &Exam) -> Result<cloister_results::Exam, Failure> {
        let claims = cloister_receipt::Unverified::parse(&answer.receipt.0)
            .map_err(|error| Failure::not_verified(format!("the receipt cannot be read: {error}")))?
            .claims()
            .clone();
        let mut receipt_digest = [0; 48];
        receipt_digest.copy_from_slice(digest(&SHA384, &answer.receipt.0).as_ref());
        let scored = |view: &Classification| {
            let read = self.images.get(&view.view)?;
            let findings = findings_in_words(&view.findings);
            Some(Scored { source: read.source.clone(), scores: view.scores.clone(), findings })
        };
        Ok(cloister_results::Exam {
            views: answer.views.iter().filter_map(scored).collect(),
            findings: findings_in_words(&answer.findings),
            model: Model { name: claims.model.name, version: claims.model.version, digest: claims.model.digest },
            software: claims.software,
            receipt_digest,
            operating_point: self.operating_point.clone(),
            time: OffsetDateTime::from(claims.time).to_offset(self.offset),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operating_point_is_a_name_and_a_score() {
        let point: Point = "sensitive=0.3".parse().unwrap();
        assert_eq!((point.0.label.as_str(), point.0.score.as_str(), point.0.least), ("sensitive", "malignant", 0.3));
        let point: Point = "dense=density:0.5".parse().unwrap();
        assert_eq!((point.0.score.as_str(), point.0.least), ("density", 0.5));
        for text in ["", "=0.3", "0.3", "a=:0.3", "a=b:", "a=", "a=1.1", "a=-0", "a=NaN", "a=x"] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_offset_is_hours_and_minutes() {
        let seconds = |text: &str| text.parse::<Offset>().ok().map(|offset| offset.0.whole_seconds());
        assert_eq!(seconds("+08:00"), Some(28_800));
        assert_eq!(seconds("05:30"), Some(19_800));
        assert_eq!(seconds("-03:30"), Some(-12_600));
        for text in ["", "8", "+15:00", "+1:60", "--1:00", "+-1:00", "UTC"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
