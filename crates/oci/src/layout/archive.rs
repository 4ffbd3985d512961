//! A layout in a tar.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::digest::Digest;
use crate::entries::{Bounds, Item, Kind, copy, walk};
use crate::error::{Error, Result, excerpt};
use crate::layout::{BLOBS, INDEX, Layout, MARKER};
use crate::limits;

/// Unpacks what belongs to a layout into an empty folder, and nothing else.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let what = archive.display().to_string();
    let bad = |problem: String| Error::BadArchive { what: what.clone(), problem };
    let blobs = folder.join(BLOBS);
    fs::create_dir_all(&blobs).map_err(Error::file(&blobs))?;
    let file = File::open(archive).map_err(Error::file(archive))?;
    let bounds = Bounds { entries: limits::ARCHIVE_ENTRIES, bytes: limits::ARCHIVE };
    walk(&what, io::BufReader::with_capacity(limits::CHUNK, file), bounds, |item, content| {
        let name = || excerpt(&String::from_utf8_lossy(&item.path));
        match item.kind {
            Kind::Folder => Ok(()),
            Kind::File => match place(item) {
                Some(place) => {
                    let path = folder.join(place);
                    let mut to = File::create_new(&path).map_err(|error| match error.kind() {
                        io::ErrorKind::AlreadyExists => bad(format!("it has {} twice", name())),
                        _ => Error::File { path: path.clone(), source: error },
                    })?;
                    copy(&what, item, content, &mut to)
                }
                // `docker save` puts its own manifest beside the layout.
                None => Ok(()),
            },
            _ => Err(bad(format!("{} is neither a file nor a folder", name()))),
        }
    })
}

/// Where an entry goes: the names are ours, not the archive's.
fn place(item: &Item) -> Option<String> {
    match item.path.as_slice() {
        b"oci-layout" => Some(MARKER.to_owned()),
        b"index.json" => Some(INDEX.to_owned()),
        path => {
            let hex = std::str::from_utf8(path).ok()?.strip_prefix("blobs/sha256/")?;
            let digest: Digest = format!("sha256:{hex}").parse().ok()?;
            Some(format!("{BLOBS}/{}", digest.hex()))
        }
    }
}

/// Writes the archive: the marker, the index, the blobs in the order of their digests, of no time and no owner.
pub(super) fn pack(layout: &Layout, path: &Path) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(Error::file(path))?;
    let mut tar = Builder::new(io::BufWriter::with_capacity(limits::CHUNK, file.as_file_mut()));
    for name in [MARKER, INDEX] {
        let bytes = super::read_bounded(&layout.root.join(name), limits::MANIFEST)?;
        append(&mut tar, name, bytes.len() as u64, bytes.as_slice()).map_err(Error::file(path))?;
    }
    for digest in stored(layout)? {
        let size = layout.size_of(&digest)?;
        let mut blob = layout.open_blob(&crate::manifest::Descriptor::new("", digest, size))?;
        append(&mut tar, &format!("{BLOBS}/{}", digest.hex()), size, &mut blob).map_err(Error::file(path))?;
        blob.finish()?;
    }
    let mut writer = tar.into_inner().map_err(Error::file(path))?;
    writer.flush().map_err(Error::file(path))?;
    drop(writer);
    super::readable(file.as_file(), path)?;
    file.persist(path).map_err(|error| Error::File { path: path.to_owned(), source: error.error })?;
    Ok(())
}

/// The blobs in the folder, sorted.
fn stored(layout: &Layout) -> Result<Vec<Digest>> {
    let folder = layout.root.join(BLOBS);
    let mut blobs = Vec::new();
    for entry in fs::read_dir(&folder).map_err(Error::file(&folder))? {
        let name = entry.map_err(Error::file(&folder))?.file_name();
        // Other names are drafts of pulls that were interrupted.
        if let Some(digest) = name.to_str().and_then(|name| format!("sha256:{name}").parse().ok()) {
            blobs.push(digest);
        }
    }
    blobs.sort_unstable();
    Ok(blobs)
}

fn append(tar: &mut Builder<impl Write>, name: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    tar.append_data(&mut header, name, content)
}
