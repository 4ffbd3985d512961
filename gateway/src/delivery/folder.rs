//! A folder: a subfolder for each exam, each file there whole or not at all.

use std::path::Path;

use super::NotDelivered;
use crate::worklist::{Due, ResultKind};
use crate::{Error, files};

pub(super) async fn deliver(folder: &Path, due: &Due, bytes: Vec<u8>) -> Result<(), NotDelivered> {
    let (all, folder, name) = (folder.to_owned(), folder.join(&due.exam), name(due));
    let placed = tokio::task::spawn_blocking(move || {
        files::folder(&folder)?;
        // Or a power cut takes the exam's folder, with all that is in it.
        files::sync_folder(&all).map_err(Error::file(&all))?;
        files::place(&folder, &name, &bytes).map_err(Error::file(&folder))
    });
    Ok(placed.await.map_err(|_| Error::Worker)??)
}

fn name(due: &Due) -> String {
    match due.kind {
        ResultKind::Report => "report.json".to_owned(),
        ResultKind::Receipt => "receipt.cose".to_owned(),
        ResultKind::CadSr | ResultKind::TextSr | ResultKind::SecondaryCapture => format!("{}.dcm", due.result),
    }
}
