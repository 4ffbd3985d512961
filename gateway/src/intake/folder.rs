//! A folder that is watched: files that have stopped growing are taken, and moved to `taken`; what cannot be is moved to `refused`, with the
//! reason beside it.
//!
//! DICOM files lie where they will and are gathered by study. PNG files lie in a subfolder, which is the exam, and are named by their views.
//! Names that begin with a dot, or end in `.part` or `.tmp`, are somebody's who is still writing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;
use tokio::time::sleep;

use super::{Image, Looked, NotTaken, Refused, gather, looked};
use crate::audit::Agent;
use crate::config::WatchedFolder;
use crate::gateway::Gateway;
use crate::worklist::Source;
use crate::{Error, files, limits};

/// Where files go that were taken.
const TAKEN: &str = "taken";

/// Where files go that were not.
const REFUSED: &str = "refused";

/// Watches a folder, for ever.
pub(crate) async fn serve(gateway: Gateway, watched: WatchedFolder) {
    loop {
        if let Err(error) = one_look(&gateway, &watched).await {
            tracing::error!(error = error.nameless(), "the watched folder cannot be looked at");
        }
        sleep(limits::INTAKE_INTERVAL).await;
    }
}

async fn one_look(gateway: &Gateway, watched: &WatchedFolder) -> Result<(), Error> {
    let settled = watched.settled_milliseconds.map_or(limits::DEFAULT_SETTLED, Duration::from_millis);
    let folder = watched.path.clone();
    let found = tokio::task::spawn_blocking(move || find(&folder, settled)).await.map_err(|_| Error::Worker)??;
    for file in found {
        if super::room(gateway).await.is_err() {
            // It stays where it is until there is room.
            return Ok(());
        }
        let done = match take(gateway, &watched.path, &file).await {
            Ok(()) if watched.delete => remove(&file.path),
            Ok(()) => put_away(watched, &file.path, TAKEN, None),
            Err(Refused::Full) => return Ok(()),
            Err(Refused::Stalled) => Ok(()),
            Err(Refused::Disk(error)) => Err(error),
            Err(refused) => put_away(watched, &file.path, REFUSED, Some(&crate::http::sentence(&refused))),
        };
        if let Err(error) = done {
            // The others are not to wait for it.
            tracing::warn!(error = error.nameless(), "a file of the watched folder cannot be dealt with");
        }
    }
    Ok(())
}

/// A file that has stopped growing.
struct Found {
    path: PathBuf,
    age: Duration,
}

fn find(folder: &Path, settled: Duration) -> Result<Vec<Found>, Error> {
    let (mut found, now) = (Vec::new(), SystemTime::now());
    let mut folders = vec![folder.to_owned()];
    for entry in listed(folder)? {
        let ours = [TAKEN, REFUSED].iter().any(|ours| entry.file_name().is_some_and(|name| name == *ours));
        // A link leads anywhere.
        let folder = fs::symlink_metadata(&entry).is_ok_and(|metadata| metadata.is_dir());
        if folder && !ours && !is_unfinished(&entry) {
            folders.push(entry);
        }
    }
    for folder in folders {
        let paths = listed(&folder).unwrap_or_else(|error| {
            tracing::warn!(error = error.nameless(), "a folder in the watched one cannot be read");
            Vec::new()
        });
        for path in paths {
            // It may have been moved away meanwhile.
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if !metadata.is_file() || is_unfinished(&path) {
                continue;
            }
            let changed = metadata.modified().ok().into_iter().chain(created(&metadata)).max();
            let age = changed.and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
            if age >= settled {
                found.push(Found { path, age });
            }
            if found.len() >= limits::MAX_LOOK {
                return Ok(found);
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// When the file came to its place or was last written, whichever the times in it say: a copy may keep the times of what it copies.
fn created(metadata: &fs::Metadata) -> Option<SystemTime> {
    let seconds = u64::try_from(metadata.ctime()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, u32::try_from(metadata.ctime_nsec()).ok()?))
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::file(folder))?,
    };
    Ok(entries.take(2 * limits::MAX_LOOK).filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.starts_with('.') || name.ends_with(".part") || name.ends_with(".tmp")
}

/// Takes one file, or leaves it for later ([`Refused::Stalled`]).
async fn take(gateway: &Gateway, folder: &Path, found: &Found) -> Result<(), Refused> {
    let bytes = match read(&found.path).await {
        Ok(bytes) => bytes,
        // Gone, or not to be read now.
        Err(_) => return Err(Refused::Stalled),
    };
    let file = gateway.spool.take(&bytes).await?;
    drop(bytes);
    let (file, looked) = looked(gateway, file).await?;
    let looked = match looked {
        Ok(looked) => looked,
        Err(NotTaken { broken_off: true, .. }) if found.age < limits::BROKEN_PATIENCE => return Err(Refused::Stalled),
        Err(not) => return Err(Refused::NotAnImage(not.sentence)),
    };
    let (looked, name, label) = placed(folder, &found.path, looked)?;
    let (source, agent) = (Source::Folder, Agent::Gateway);
    gather(gateway, Image { file, looked, name, label, source, agent, by: None }).await.map(drop)
}

const NOFOLLOW: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

/// One byte more than may be, so that more is noticed.
async fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    let mut options = tokio::fs::OpenOptions::new();
    // It may have become a link meanwhile.
    options.read(true).custom_flags(NOFOLLOW.bits().cast_signed());
    options.open(path).await?.take(limits::MAX_IMAGE_BYTES + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// With its view, what it is gathered by, and the exam's label.
fn placed(folder: &Path, path: &Path, looked: Looked) -> Result<(Looked, String, String), Refused> {
    if let Some(dicom) = &looked.dicom {
        let label = dicom.accession_number.clone().unwrap_or_else(|| "study".to_owned());
        let name = format!("study {}", dicom.study_uid);
        return Ok((looked, name, label));
    }
    let wrong = || Refused::View("a PNG file has to lie in a subfolder, and to be named by its view".to_owned());
    let parent = path.parent().filter(|parent| *parent != folder).ok_or_else(wrong)?;
    let label: String = parent.file_name().map(|name| name.to_string_lossy().into_owned()).ok_or_else(wrong)?;
    let view = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok()).ok_or_else(wrong)?;
    let label = label.chars().filter(|c| !c.is_control()).take(limits::MAX_LABEL_CHARACTERS).collect();
    Ok((Looked { view: Some(view), ..looked }, format!("folder {}", parent.display()), label))
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::file(path)(error)),
        _ => Ok(()),
    }
}

/// Moves a file out of the way, under its own name, or another where that is taken.
fn put_away(watched: &WatchedFolder, path: &Path, place: &str, reason: Option<&str>) -> Result<(), Error> {
    let within = path.strip_prefix(&watched.path).unwrap_or(path);
    let name = within.to_string_lossy().replace('/', "_");
    let folder = watched.path.join(place);
    files::folder(&folder)?;
    let free = (0..limits::MAX_LOOK)
        .map(|number| if number == 0 { name.clone() } else { format!("{number}-{name}") })
        .find(|name| !folder.join(name).exists());
    let there = folder.join(free.unwrap_or(name));
    match fs::rename(path, &there) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(Error::file(path))?,
    }
    if let Some(reason) = reason {
        let mut beside = there.into_os_string();
        beside.push(".txt");
        fs::write(&beside, format!("{reason}\n")).map_err(Error::file(PathBuf::from(beside)))?;
    }
    Ok(())
}
