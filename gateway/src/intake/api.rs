//! An exam in one request, as pages and programs send it: four files, each on disk before the next is read.

use axum::body::Body;
use cloister_imaging::View;
use http::HeaderMap;

use super::parts::{Parts, discard};
use super::{Looked, NotTaken, Refused, looked};
use crate::access::Caller;
use crate::audit::Event;
use crate::config::Missing;
use crate::gateway::Gateway;
use crate::spool::Spooled;
use crate::worklist::{Media, NewExam, NewFile, Source, State, work};
use crate::{Error, limits, metric, random};

/// What a file's part is named that says its view itself.
const ANY_VIEW: &str = "image";

/// A file, and the view that its part is named by.
struct Part {
    file: Spooled,
    named: Option<View>,
    name: Option<String>,
}

/// Takes an exam, and gives its identifier.
pub(crate) async fn take(
    gateway: &Gateway,
    caller: &Caller,
    missing: Option<Missing>,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Refused> {
    let admitted = match gateway.enclaves.can_send() {
        true => super::admit(gateway, headers, "form-data").await,
        false => Err(Refused::NotVerified),
    };
    let (_place, boundary) = match admitted {
        Ok(admitted) => admitted,
        Err(refused) => return Err(discard(body, refused).await),
    };
    let mut parts = Parts::new(body, boundary, limits::MAX_EXAM_BYTES);
    let (label, parts) = match receive(gateway, &mut parts).await {
        Ok(received) => received,
        Err(refused) => return Err(parts.discard(refused).await),
    };
    let missing = missing.unwrap_or(Missing::Refuse);
    let mut files = Vec::new();
    let mut seen: Vec<Looked> = Vec::new();
    let fallback = parts.iter().find_map(|part| part.name.clone());
    for part in parts {
        let (file, looked) = looked(gateway, part.file).await?;
        let looked = placed(looked, part.named)?;
        if let Some(view) = looked.view
            && seen.iter().any(|other| other.view == Some(view))
        {
            return Err(Refused::Twice(view));
        }
        seen.push(looked);
        files.push(file);
    }
    check(gateway, &seen, missing)?;
    store(gateway, caller, (label, fallback), missing, seen, files).await
}

/// Reads the body to its end.
async fn receive(gateway: &Gateway, parts: &mut Parts) -> Result<(Option<String>, Vec<Part>), Refused> {
    let (mut label, mut files) = (None, Vec::new());
    while let Some(field) = parts.next().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "label" {
            let text = parts.text(field, limits::MAX_LABEL_CHARACTERS).await?;
            label = Some(text).filter(|text| !text.is_empty());
            continue;
        }
        let named = match name.as_str() {
            ANY_VIEW => None,
            name => Some(name.parse().map_err(|_| {
                Refused::View("a part is named neither label, image, nor by one of the four views".to_owned())
            })?),
        };
        if files.len() >= limits::MAX_FILES {
            return Err(Refused::TooManyFiles);
        }
        let name = field.file_name().map(|name| name.chars().take(limits::MAX_LABEL_CHARACTERS).collect());
        files.push(Part { file: parts.spool(&gateway.spool, field).await?, named, name });
    }
    if files.is_empty() { Err(Refused::NoFiles) } else { Ok((label, files)) }
}

/// A file with its view: the file's own, or that of its part.
fn placed(looked: Result<Looked, NotTaken>, named: Option<View>) -> Result<Looked, Refused> {
    let looked = looked.map_err(|not| Refused::NotAnImage(not.sentence))?;
    match (looked.view, named) {
        (Some(own), Some(named)) if own != named => {
            Err(Refused::View(format!("a file was sent as {named}, and says that it is {own}")))
        }
        (None, None) => Err(Refused::View("a PNG file has to be sent as a part that is named by its view".to_owned())),
        (own, named) => Ok(Looked { view: own.or(named), ..looked }),
    }
}

fn check(gateway: &Gateway, seen: &[Looked], missing: Missing) -> Result<(), Refused> {
    let absent: Vec<View> =
        View::ALL.into_iter().filter(|view| !seen.iter().any(|looked| looked.view == Some(*view))).collect();
    if !absent.is_empty() && missing == Missing::Refuse {
        return Err(Refused::Missing(absent));
    }
    let mut dicom = seen.iter().filter_map(|looked| looked.dicom.as_ref());
    let first = dicom.next();
    let differs = dicom.any(|other| {
        first.is_some_and(|first| {
            first.study != other.study || (first.patient.zip(other.patient)).is_some_and(|(one, two)| one != two)
        })
    });
    if differs && !gateway.config.exams.mixed { Err(Refused::Mixed) } else { Ok(()) }
}

async fn store(
    gateway: &Gateway,
    caller: &Caller,
    (label, fallback): (Option<String>, Option<String>),
    missing: Missing,
    seen: Vec<Looked>,
    files: Vec<Spooled>,
) -> Result<String, Refused> {
    let id = random::id()?;
    let source = if caller.is_page() { Source::Page } else { Source::Api };
    let dicom = seen.iter().find_map(|looked| looked.dicom.clone()).unwrap_or_default();
    let numbered = (1..).zip(&seen).zip(&files);
    let rows = numbered.map(|((number, looked), file)| NewFile::of(number, file, looked));
    let all_dicom = seen.iter().all(|looked| looked.media == Media::Dicom);
    let exam = NewExam {
        id: id.clone(),
        source,
        label: label.or(dicom.accession_number).or(fallback).unwrap_or_else(|| "exam".to_owned()),
        patient: dicom.patient_name,
        study_uid: Some(dicom.study_uid).filter(|uid| all_dicom && !uid.is_empty()),
        by: caller.name(),
        missing_allowed: missing == Missing::Allow,
        nonce: random::bytes()?,
        files: rows.collect(),
    };
    let images = files.len();
    let (spool, place) = (gateway.spool.clone(), id.clone());
    let numbered: Vec<_> = (1..).zip(files).collect();
    tokio::task::spawn_blocking(move || spool.commit(&place, numbered)).await.map_err(|_| Error::Worker)??;
    let listed = async {
        gateway.audit(Event::received(caller.agent(), &id, source.as_str(), images)).await?;
        gateway.worklist.with(move |list| work::add(list, &exam)).await
    };
    if let Err(error) = listed.await {
        // Nobody would find it before the next start.
        let (spool, place) = (gateway.spool.clone(), id.clone());
        tokio::task::spawn_blocking(move || spool.delete(&place)).await.map_err(|_| Error::Worker)??;
        return Err(error.into());
    }
    metric::exam(State::Received);
    gateway.worklist.announce(&id);
    Ok(id)
}
