//! Where exams come from, and what is looked at before they are taken: what each file is, which view it shows, whether there is room.

pub(crate) mod api;
mod bucket;
mod folder;
mod gather;
mod look;
mod parts;
pub(crate) mod stow;

pub(crate) use bucket::serve as serve_bucket;
pub(crate) use folder::serve as serve_folder;
pub(crate) use gather::{Image, Taken, gather, serve as serve_quiet};
pub(crate) use look::{Looked, NotTaken, look};

use cloister_imaging::View;
use http::HeaderMap;
use tokio::sync::OwnedSemaphorePermit;

use crate::Error;
use crate::gateway::Gateway;
use crate::spool::{NotWritten, Spooled};
use crate::worklist::work;

/// Why an exam is not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// A file or a whole body is longer than it may be.
    TooLarge,
    /// More than four files.
    TooManyFiles,
    /// No file at all.
    NoFiles,
    /// A file that is neither DICOM nor PNG, or that an enclave would refuse; why.
    NotAnImage(String),
    /// A PNG that is not named by a view, or a DICOM file by another than its own.
    View(String),
    /// A view twice.
    Twice(View),
    /// Views that are missing.
    Missing(Vec<View>),
    /// Files of several patients or studies.
    Mixed,
    /// A body that is not what its type says.
    Malformed(String),
    /// It did not come in time.
    Stalled,
    /// Too many exams are waiting, or there is no room on the disk, or too many are coming in.
    Full,
    /// No enclave is verified.
    NotVerified,
    /// The gateway's own disk.
    Disk(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Disk(error)
    }
}

impl From<NotWritten> for Refused {
    fn from(not: NotWritten) -> Self {
        match not {
            NotWritten::TooLarge => Self::TooLarge,
            NotWritten::Disk(error) => Self::Disk(error),
        }
    }
}

/// Whether there is room for another exam.
pub(crate) async fn room(gateway: &Gateway) -> Result<(), Refused> {
    let (waiting, kept) = gateway.worklist.with(|list| Ok((work::waiting(list)?, work::kept_bytes(list)?))).await?;
    let bytes = kept + gateway.spool.incoming_bytes();
    crate::metric::load(waiting, bytes);
    let bounds = &gateway.config.limits;
    if waiting >= bounds.queued || bytes >= bounds.spool_bytes { Err(Refused::Full) } else { Ok(()) }
}

/// Lets a body in: a place among those that come in, and what is between its parts.
async fn admit(
    gateway: &Gateway,
    headers: &HeaderMap,
    subtype: &str,
) -> Result<(OwnedSemaphorePermit, String), Refused> {
    let place = gateway.uploads.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
    room(gateway).await?;
    let wrong = || Refused::Malformed(format!("the body is not multipart/{subtype} with a boundary"));
    Ok((place, parts::boundary(headers, subtype).ok_or_else(wrong)?))
}

/// Looks at a file, one of few at a time, on a thread that may take its time.
pub(crate) async fn looked(gateway: &Gateway, file: Spooled) -> Result<(Spooled, Result<Looked, NotTaken>), Error> {
    let place = gateway.reading.clone().acquire_owned().await.map_err(|_| Error::Worker)?;
    tokio::task::spawn_blocking(move || {
        let looked = look(&file.read()?);
        drop(place);
        Ok((file, looked))
    })
    .await
    .map_err(|_| Error::Worker)?
}
