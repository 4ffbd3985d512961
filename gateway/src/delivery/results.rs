//! What an answer becomes: results in DICOM, the report in JSON, and the receipt; each on disk before the work list names it.
//!
//! Identifiers are made here, once, and are in the files: however often a file is delivered, it is the same object.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA384, digest};
use cloister_client::{Exam, findings_in_words};
use cloister_imaging::{DecodeLimits, View};
use cloister_results::{self as dicom, Picture, Read, Scored};
use time::UtcOffset;

use crate::config::{Config, Kind};
use crate::gateway::Gateway;
use crate::worklist::{NewResult, ResultKind, StoredMap, Work};
use crate::{Error, random};

/// An answer, and what goes with it.
pub(crate) struct Made {
    pub(crate) answer: Exam,
    pub(crate) maps: Vec<StoredMap>,
    pub(crate) claims: cloister_receipt::Receipt,
    pub(crate) report: String,
}

/// Why there are no results in DICOM; nothing of a patient is repeated.
#[derive(Debug, thiserror::Error)]
enum NotMade {
    /// There is no patient to write them for.
    #[error("the images are not all DICOM files")]
    NotDicom,
    /// A source cannot be one.
    #[error("{view}: {source}")]
    Source { view: View, source: dicom::SourceError },
    /// A result cannot be written.
    #[error(transparent)]
    Result(#[from] dicom::Error),
    /// There is nothing to say of a view.
    #[error("the model scores breasts alone, and results are written of each view's scores")]
    BreastsAlone,
    /// Neither.
    #[error(transparent)]
    Other(#[from] Error),
}

/// Makes all results of an answer, and has them on disk.
pub(crate) async fn make(gateway: &Gateway, work: &Work, made: Made) -> Result<(Made, Vec<NewResult>), Error> {
    let (gateway, work) = (gateway.clone(), work.clone());
    tokio::task::spawn_blocking(move || {
        let mut results = match in_dicom(&gateway, &work, &made) {
            Ok(files) => keep(&gateway, &work, files)?,
            Err(NotMade::Other(error)) => return Err(error),
            Err(reason) => {
                tracing::info!(exam = %work.id, %reason, "no results in DICOM");
                Vec::new()
            }
        };
        for (kind, bytes) in
            [(ResultKind::Report, made.report.as_bytes()), (ResultKind::Receipt, made.answer.receipt.0.as_slice())]
        {
            let id = kind.as_str().to_owned();
            gateway.spool.keep_result(&work.id, &id, bytes)?;
            results.push(NewResult { id, kind, view: None, instance_uid: None });
        }
        Ok((made, results))
    })
    .await
    .map_err(|_| Error::Worker)?
}

fn keep(gateway: &Gateway, work: &Work, files: Vec<dicom::File>) -> Result<Vec<NewResult>, Error> {
    let mut results = Vec::new();
    for file in files {
        let (kind, view) = match file.kind {
            dicom::Kind::CadSr => (ResultKind::CadSr, None),
            dicom::Kind::TextSr => (ResultKind::TextSr, None),
            dicom::Kind::SecondaryCapture(view) => (ResultKind::SecondaryCapture, Some(view)),
        };
        let id = file.kind.file_name().trim_end_matches(".dcm").to_owned();
        gateway.spool.keep_result(&work.id, &id, &file.bytes)?;
        results.push(NewResult { id, kind, view, instance_uid: Some(file.instance.as_str().to_owned()) });
    }
    Ok(results)
}

fn in_dicom(gateway: &Gateway, work: &Work, made: &Made) -> Result<Vec<dicom::File>, NotMade> {
    let mut sources = BTreeMap::new();
    for (number, view) in &work.files {
        let (Some(view), bytes) = (view, gateway.spool.image(&work.id, *number)?) else { continue };
        if !cloister_dicom::is_dicom(&bytes) {
            return Err(NotMade::NotDicom);
        }
        let read = dicom::read(&bytes, &DecodeLimits::default());
        sources.insert(*view, read.map_err(|source| NotMade::Source { view: *view, source })?);
    }
    let exam = exam(&gateway.config, &sources, made)?;
    let label = &gateway.config.exams.operating_point.label;
    let pictures: Vec<Picture<'_>> =
        made.maps.iter().filter_map(|map| picture(map, label, sources.get(&map.view)?)).collect();
    let bytes: Vec<[u8; 16]> = (0..16).map(|_| random::bytes()).collect::<Result<_, _>>()?;
    let mut bytes = bytes.into_iter();
    let files = dicom::files(&exam, &pictures, || bytes.next().unwrap_or_default())?;
    let kinds = gateway.config.kinds();
    let wanted = |file: &dicom::File| {
        kinds.contains(match file.kind {
            dicom::Kind::CadSr => &Kind::CadSr,
            dicom::Kind::TextSr => &Kind::TextSr,
            dicom::Kind::SecondaryCapture(_) => &Kind::SecondaryCapture,
        })
    };
    Ok(files.into_iter().filter(wanted).collect())
}

fn picture<'a>(map: &'a StoredMap, label: &'a str, read: &'a Read) -> Option<Picture<'a>> {
    let (rows, columns) = (usize::try_from(map.rows).ok()?, usize::try_from(map.columns).ok()?);
    Some(Picture { view: map.view, pixels: &read.pixels, map: dicom::Map { label, rows, columns, values: &map.cells } })
}

fn exam(config: &Config, sources: &BTreeMap<View, Read>, made: &Made) -> Result<dicom::Exam, NotMade> {
    let views = made.answer.views.iter().map(|view| {
        let read = sources.get(&view.view).ok_or(NotMade::NotDicom)?;
        if view.scores.is_empty() {
            return Err(NotMade::BreastsAlone);
        }
        let findings = findings_in_words(&view.findings);
        Ok(Scored { source: read.source.clone(), scores: view.scores.clone(), findings })
    });
    let mut receipt_digest = [0; 48];
    receipt_digest.copy_from_slice(digest(&SHA384, &made.answer.receipt.0).as_ref());
    let offset = i32::from(config.exams.utc_offset_minutes) * 60;
    let offset = UtcOffset::from_whole_seconds(offset).unwrap_or(UtcOffset::UTC);
    let point = &config.exams.operating_point;
    Ok(dicom::Exam {
        views: views.collect::<Result<_, NotMade>>()?,
        findings: findings_in_words(&made.answer.findings),
        model: dicom::Model {
            name: made.claims.model.name.clone(),
            version: made.claims.model.version,
            digest: made.claims.model.digest,
        },
        software: made.claims.software.clone(),
        receipt_digest,
        operating_point: dicom::OperatingPoint {
            label: point.name.clone(),
            score: point.label.clone(),
            least: point.malignant,
        },
        time: time::OffsetDateTime::from(made.claims.time).to_offset(offset),
    })
}
