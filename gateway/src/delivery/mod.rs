//! Results to where they are wanted: a folder, a PACS. Each until it has arrived, and as the same object however often it is tried.
//!
//! A crash between a delivery and its note in the work list has it delivered again: a folder's file is then replaced by itself, and a PACS
//! says that it has the object, which counts as delivered.

mod folder;
mod pacs;
pub(crate) mod results;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::time::sleep;

pub(crate) use pacs::Pacs;

use crate::gateway::Gateway;
use crate::worklist::{Due, deliveries};
use crate::{Error, audit, limits, metric};

/// The folder, in the work list.
const FOLDER: &str = "folder";

/// The PACS, in the work list.
pub(crate) const PACS: &str = "pacs";

/// Why something was not delivered, in words that repeat nothing of a patient.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDelivered {
    /// The result's own file, or the folder's.
    #[error(transparent)]
    File(#[from] Error),
    /// The PACS could not be asked.
    #[error(transparent)]
    Outbound(#[from] crate::outbound::Error),
    /// The PACS did not take it.
    #[error("the PACS answered {status}{}", reason.map(|reason| format!(", failure reason {reason:#06x}")).unwrap_or_default())]
    Pacs {
        /// The HTTP status.
        status: u16,
        /// FailureReason (0008,1197), where it gave one.
        reason: Option<u16>,
    },
}

/// Where results go.
pub(crate) enum Target {
    Folder(PathBuf),
    Pacs(Arc<Pacs>),
}

impl Target {
    /// Those that are configured.
    pub(crate) fn all(gateway: &Gateway) -> Vec<Self> {
        let folder = gateway.config.delivery.folder.clone().map(Self::Folder);
        folder.into_iter().chain(gateway.pacs.clone().map(Self::Pacs)).collect()
    }

    /// In the work list.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => FOLDER,
            Self::Pacs(_) => PACS,
        }
    }
}

/// Delivers to one target, for ever.
pub(crate) async fn serve(gateway: Gateway, to: Target) {
    let target = to.name();
    loop {
        match one(&gateway, &to).await {
            Ok(true) => {}
            Ok(false) => gateway.worklist.to_deliver().await,
            Err(error) => {
                tracing::error!(%error, target, "a delivery could not be noted");
                sleep(limits::RECHECK_INTERVAL).await;
            }
        }
    }
}

/// Delivers what is due next. Tells whether anything was.
async fn one(gateway: &Gateway, to: &Target) -> Result<bool, Error> {
    let target = to.name();
    let Some(due) = gateway.worklist.with(move |list| deliveries::due(list, target)).await? else { return Ok(false) };
    match deliver(gateway, to, &due).await {
        Ok(()) => done(gateway, target, due).await?,
        Err(error) => {
            tracing::warn!(%error, exam = %due.exam, result = %due.result, target, "a delivery is put off");
            metric::delivery(target, false);
            let problem = error.to_string();
            gateway.worklist.with(move |list| deliveries::later(list, &due, &problem)).await?;
        }
    }
    Ok(true)
}

async fn deliver(gateway: &Gateway, to: &Target, due: &Due) -> Result<(), NotDelivered> {
    let (spool, named) = (gateway.spool.clone(), due.clone());
    let read = tokio::task::spawn_blocking(move || spool.result(&named.exam, &named.result));
    let bytes = read.await.map_err(|_| Error::Worker)??;
    match to {
        Target::Folder(folder) => folder::deliver(folder, due, bytes).await,
        Target::Pacs(pacs) => pacs.deliver(due, bytes).await,
    }
}

async fn done(gateway: &Gateway, target: &'static str, due: Due) -> Result<(), Error> {
    gateway.audit(audit::Event::delivered(&due.exam, &due.result, target)).await?;
    let exam = due.exam.clone();
    let last = gateway.worklist.with(move |list| deliveries::delivered(list, &due)).await?;
    metric::delivery(target, true);
    if last {
        metric::exam(crate::worklist::State::Delivered);
    }
    gateway.worklist.announce(&exam);
    Ok(())
}
