//! Images that come one by one, gathered into exams: by their study, or by the folder that they lie in.

use cloister_imaging::View;
use tokio::time::sleep;

use super::{Looked, Refused};
use crate::audit::{Agent, Event};
use crate::config::Missing;
use crate::gateway::Gateway;
use crate::spool::Spooled;
use crate::times::{now, span};
use crate::worklist::{Gathered, NewExam, NewFile, Reason, Source, State, gathering, work};
use crate::{Error, limits, metric, random};

/// One image, looked at.
pub(crate) struct Image {
    pub(crate) file: Spooled,
    pub(crate) looked: Looked,
    /// What gathers it: a study, a folder.
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) source: Source,
    pub(crate) agent: Agent,
    pub(crate) by: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is part of an exam.
    Part,
    /// The very file had come before.
    Before,
}

/// Adds an image to the exam that it belongs to. It is on disk when this returns.
pub(crate) async fn gather(gateway: &Gateway, image: Image) -> Result<Taken, Refused> {
    // One after the other: the file gets its number before the work list has it.
    let _turn = gateway.gathering.lock().await;
    let (name, sha256) = (image.name.clone(), image.file.sha256.clone());
    let (before, open) = gateway
        .worklist
        .with(move |list| Ok((gathering::with_file(list, &sha256)?, gathering::open_exam(list, &name)?)))
        .await?;
    if before.is_some() {
        return Ok(Taken::Before);
    }
    if open.is_none() {
        super::room(gateway).await?;
    }
    let (id, number) = match open {
        Some((id, number)) => (id, number),
        None => (random::id()?, 1),
    };
    let Image { file, looked, name, label, source, agent, by } = image;
    let exam = new_exam(gateway, &id, number, &file, &looked, label, source, by)?;
    let (spool, place) = (gateway.spool.clone(), id.clone());
    tokio::task::spawn_blocking(move || spool.commit(&place, vec![(number, file)]))
        .await
        .map_err(|_| Error::Worker)??;
    let gathered = gateway.worklist.with(move |list| gathering::gather(list, &name, &exam)).await?;
    match gathered {
        Gathered::Part { id, complete } => {
            gateway.audit(Event::received(agent, &id, source.as_str(), 1)).await?;
            if complete {
                metric::exam(State::Received);
            }
            gateway.worklist.announce(&id);
            Ok(Taken::Part)
        }
        Gathered::Before { .. } => Ok(Taken::Before),
        Gathered::Twice => match looked.view {
            Some(view) => Err(Refused::Twice(view)),
            None => Err(Refused::View("the file does not say which view it shows".to_owned())),
        },
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of an exam")]
fn new_exam(
    gateway: &Gateway,
    id: &str,
    number: u32,
    file: &Spooled,
    looked: &Looked,
    label: String,
    source: Source,
    by: Option<String>,
) -> Result<NewExam, Error> {
    let dicom = looked.dicom.clone().unwrap_or_default();
    Ok(NewExam {
        id: id.to_owned(),
        source,
        label,
        patient: dicom.patient_name,
        study_uid: Some(dicom.study_uid).filter(|uid| !uid.is_empty()),
        by,
        missing_allowed: gateway.config.exams.missing == Missing::Allow,
        nonce: random::bytes()?,
        files: vec![NewFile::of(number, file, looked)],
    })
}

/// Takes exams to be complete that nothing is added to any more, for ever.
pub(crate) async fn serve(gateway: Gateway) {
    loop {
        if let Err(error) = close_quiet(&gateway).await {
            tracing::error!(%error, "exams that wait for images cannot be looked at");
        }
        sleep(limits::INTAKE_INTERVAL).await;
    }
}

async fn close_quiet(gateway: &Gateway) -> Result<(), Error> {
    let _turn = gateway.gathering.lock().await;
    let since = now().saturating_sub(span(gateway.config.quiet()));
    for (number, id, views) in gateway.worklist.with(move |list| gathering::quiet_since(list, since)).await? {
        let missing: Vec<&str> = View::ALL.into_iter().filter(|view| !views.contains(view)).map(View::as_str).collect();
        if missing.is_empty() || gateway.config.exams.missing == Missing::Allow {
            gateway.worklist.with(move |list| gathering::complete(list, number)).await?;
            metric::exam(State::Received);
        } else {
            let reason = Reason::new("missing-view", format!("Views did not come: {}.", missing.join(", ")));
            gateway.audit(Event::ended(&id, State::Failed, &reason.kind)).await?;
            gateway.worklist.with(move |list| work::ended(list, number, State::Failed, &reason)).await?;
            metric::exam(State::Failed);
        }
        gateway.worklist.announce(&id);
    }
    Ok(())
}
