//! One file out of an image, without unpacking the rest.
//!
//! Layers are read from the uppermost down, so that a later layer wins, and each until its end, so that its digest is compared before
//! the file gets its name. Nothing is followed: a link on the way to the file, or in its place, is refused and named.

use std::io::{BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::digest::Digest;
use crate::entries::{Bounds, Item, Kind, copy, plain, walk};
use crate::error::{Error, Result, excerpt};
use crate::layout::{Blob, Layout};
use crate::limits;
use crate::manifest::{Descriptor, Manifest};

/// How much is unpacked for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// Most bytes that a layer unpacks to.
    pub layer: u64,
    /// Most entries of a layer.
    pub entries: usize,
    /// Most bytes of the file.
    pub file: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { layer: limits::LAYER, entries: limits::LAYER_ENTRIES, file: limits::FILE }
    }
}

/// Writes the image's file at `path` (`opt/cloister/cloister.eif`) to `to`, and says how many bytes it has. What was at `to` stays there
/// until the layer was compared with its digest.
///
/// # Errors
/// [`Error::NoFile`], [`Error::NotAFile`] for links and folders, [`Error::BadArchive`] for layers that cannot be read (compressed with zstd,
/// for example), [`Error::TooLarge`], those of reading a layout, [`Error::File`].
pub fn extract(layout: &Layout, image: &Digest, path: &str, to: &Path, limits: FileLimits) -> Result<u64> {
    let wanted = plain(path.as_bytes()).filter(|wanted| !wanted.is_empty());
    let wanted =
        wanted.ok_or_else(|| Error::NotAFile { path: excerpt(path), reason: "it is no path inside of an image" })?;
    let manifest: Manifest = layout.manifest(image)?;
    let folder = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder).map_err(Error::file(to))?;
    let mut taken: Option<u64> = None;
    for layer in manifest.layers.iter().rev() {
        if taken.is_some() {
            // What unpacks it follows a link that a lower layer has in the place of a folder above it.
            let mut each = |item: &Item, _: &mut dyn Read| match item.kind {
                Kind::SymbolicLink if is_above(&item.path, &wanted) => {
                    let reason = "a lower layer has a symbolic link in the place of a folder on the way to it";
                    Err(Error::NotAFile { path: excerpt(path), reason })
                }
                _ => Ok(()),
            };
            read_layer(layout, layer, limits, &mut each)?;
            continue;
        }
        let mut search = Search { path, wanted: &wanted, found: Found::Nothing, limit: limits.file };
        let mut each = |item: &Item, content: &mut dyn Read| search.see(item, content, &mut draft);
        read_layer(layout, layer, limits, &mut each)?;
        match search.found {
            Found::Nothing => {}
            Found::Gone => break,
            Found::Refused(reason) => return Err(Error::NotAFile { path: excerpt(path), reason }),
            Found::File(size) => taken = Some(size),
        }
    }
    let size = taken.ok_or_else(|| Error::NoFile { path: excerpt(path) })?;
    crate::layout::readable(draft.as_file(), to)?;
    draft.persist(to).map_err(|error| Error::File { path: to.to_owned(), source: error.error })?;
    Ok(size)
}

enum Compression {
    None,
    Gzip,
}

fn compression(layer: &Descriptor) -> Result<Compression> {
    let bad = |problem: String| Error::BadArchive { what: format!("layer {}", layer.digest), problem };
    match layer.media_type.as_str() {
        "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => Ok(Compression::None),
        "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
            Ok(Compression::Gzip)
        }
        kind if kind.ends_with("zstd") => {
            Err(bad("it is compressed with zstd; build the image with gzip layers, as buildah and docker do if not told otherwise".to_owned()))
        }
        kind => Err(bad(format!("its kind is {}", excerpt(kind)))),
    }
}

fn read_layer(
    layout: &Layout,
    layer: &Descriptor,
    limits: FileLimits,
    each: &mut dyn FnMut(&Item, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let compression = compression(layer)?;
    let what = format!("layer {}", layer.digest);
    let bounds = Bounds { entries: limits.entries, bytes: limits.layer };
    let mut blob: Blob = layout.open_blob(layer)?;
    let reader = BufReader::with_capacity(limits::CHUNK, &mut blob);
    match compression {
        Compression::None => walk(&what, reader, bounds, each)?,
        Compression::Gzip => walk(&what, MultiGzDecoder::new(reader), bounds, each)?,
    }
    blob.finish()
}

enum Found {
    Nothing,
    /// Lower layers do not matter any more.
    Gone,
    Refused(&'static str),
    File(u64),
}

/// What one layer says of the file.
struct Search<'a> {
    path: &'a str,
    wanted: &'a [u8],
    found: Found,
    limit: u64,
}

impl Search<'_> {
    fn see(&mut self, item: &Item, content: &mut dyn Read, draft: &mut tempfile::NamedTempFile) -> Result<()> {
        if item.path == self.wanted {
            return self.take(item, content, draft);
        }
        if is_above(&item.path, self.wanted) {
            match item.kind {
                Kind::Folder => {}
                Kind::SymbolicLink => self.found = Found::Refused("a folder on the way to it is a symbolic link"),
                _ => self.hide(),
            }
        } else if self.is_whiteout(&item.path) {
            self.hide();
        }
        Ok(())
    }

    fn take(&mut self, item: &Item, content: &mut dyn Read, draft: &mut tempfile::NamedTempFile) -> Result<()> {
        if matches!(self.found, Found::File(_) | Found::Refused(_)) {
            // Unpackers differ in which of the two they keep.
            self.found = Found::Refused("a layer has it twice");
            return Ok(());
        }
        self.found = match item.kind {
            Kind::File if item.size > self.limit => {
                return Err(Error::TooLarge { what: excerpt(self.path), limit: self.limit });
            }
            Kind::File => {
                copy("a layer", item, content, draft)?;
                Found::File(item.size)
            }
            Kind::SymbolicLink => Found::Refused("it is a symbolic link"),
            Kind::HardLink => Found::Refused("it is a hard link"),
            Kind::Folder => Found::Refused("it is a folder"),
            Kind::Other => Found::Refused("it is a device or a pipe"),
        };
        Ok(())
    }

    /// A whiteout hides what lower layers have, not what this one has.
    fn hide(&mut self) {
        if matches!(self.found, Found::Nothing) {
            self.found = Found::Gone;
        }
    }

    /// Whether this is `.wh.NAME` of the file or of a folder above it, or the mark that empties a folder above it.
    fn is_whiteout(&self, path: &[u8]) -> bool {
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (folder, name) = match cut {
            Some(cut) => (path.get(..cut).unwrap_or_default(), path.get(cut + 1..).unwrap_or_default()),
            None => (&[][..], path),
        };
        let Some(hidden) = name.strip_prefix(b".wh.") else { return false };
        if hidden == b".wh..opq" {
            return is_above(folder, self.wanted);
        }
        let hidden = if folder.is_empty() { hidden.to_vec() } else { [folder, hidden].join(&b'/') };
        hidden == self.wanted || is_above(&hidden, self.wanted)
    }
}

/// Whether `path` is a folder on the way to `wanted`; the root, which is empty, always is.
fn is_above(path: &[u8], wanted: &[u8]) -> bool {
    path.is_empty() || wanted.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"))
}
