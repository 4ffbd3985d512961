//! OCI image layouts (image-spec 1.1, "Image Layout"): a folder of blobs with an index, or the same in a tar, as
//! `skopeo`, `buildah` and `podman` write them (`oci:`, `oci-archive:`).
//!
//! Nothing in a layout is believed: a blob's bytes are compared with its digest and its length whenever they are read.

mod archive;
mod blob;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result, excerpt};
use crate::limits;
use crate::manifest::{Descriptor, IMAGE_MANIFEST, Index, Manifest, REF_NAME};

pub use blob::Blob;

const MARKER: &str = "oci-layout";
const INDEX: &str = "index.json";
const BLOBS: &str = "blobs/sha256";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout in a folder, which is temporary where it was unpacked.
#[derive(Debug)]
pub struct Layout {
    root: PathBuf,
    index: Index,
    /// Deleted with this value.
    _temporary: Option<TempDir>,
}

impl Layout {
    /// A new layout without images, in a folder that does not exist or is empty.
    ///
    /// # Errors
    /// [`Error::NotALayout`] when there is something in the folder already, [`Error::File`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self> {
        Self::create_in(path.into(), None)
    }

    /// A new layout in a temporary folder, which goes with this value.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn temporary() -> Result<Self> {
        let folder = tempfile::tempdir().map_err(Error::file(std::env::temp_dir()))?;
        Self::create_in(folder.path().to_owned(), Some(folder))
    }

    fn create_in(root: PathBuf, temporary: Option<TempDir>) -> Result<Self> {
        fs::create_dir_all(&root).map_err(Error::file(&root))?;
        if fs::read_dir(&root).map_err(Error::file(&root))?.next().is_some() {
            return Err(Error::NotALayout { path: root, problem: "the folder is not empty".to_owned() });
        }
        let blobs = root.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(Error::file(&blobs))?;
        let marker = Marker { image_layout_version: "1.0.0".to_owned() };
        let marker = crate::manifest::encode("layout", &marker)?;
        fs::write(root.join(MARKER), marker).map_err(Error::file(root.join(MARKER)))?;
        let layout = Self { root, index: Index::empty(), _temporary: temporary };
        layout.write_index()?;
        Ok(layout)
    }

    /// Opens a folder, or unpacks an `oci-archive` into a temporary one (under `TMPDIR`), which has to have room for it.
    ///
    /// # Errors
    /// [`Error::NotALayout`], [`Error::BadArchive`], [`Error::BadManifest`], [`Error::TooLarge`], [`Error::File`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if fs::metadata(path).map_err(Error::file(path))?.is_dir() {
            return Self::open_folder(path.to_owned(), path, None);
        }
        let folder = tempfile::tempdir().map_err(Error::file(std::env::temp_dir()))?;
        archive::unpack(path, folder.path())?;
        Self::open_folder(folder.path().to_owned(), path, Some(folder))
    }

    fn open_folder(root: PathBuf, said: &Path, temporary: Option<TempDir>) -> Result<Self> {
        let not = |problem: &str| Error::NotALayout { path: said.to_owned(), problem: problem.to_owned() };
        let small = |name: &str| match read_bounded(&root.join(name), limits::MANIFEST) {
            Err(Error::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Err(not(&format!("it has no {name}")))
            }
            other => other,
        };
        let marker: Marker =
            serde_json::from_slice(&small(MARKER)?).map_err(|_| not("its oci-layout is not of that form"))?;
        if marker.image_layout_version != "1.0.0" {
            return Err(not(&format!("its version is {}, not 1.0.0", excerpt(&marker.image_layout_version))));
        }
        let index = Index::from_bytes(&small(INDEX)?)?;
        Ok(Self { root, index, _temporary: temporary })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The tags of the layout's images.
    pub fn tags(&self) -> Vec<&str> {
        self.index.manifests.iter().filter_map(tag_of).collect()
    }

    /// The image under this tag, or the only one there is. An index of several machines' images is followed to the one for
    /// linux/amd64.
    ///
    /// # Errors
    /// [`Error::Ambiguous`], [`Error::NoImage`], [`Error::NoPlatform`], and those of reading a blob.
    pub fn choose(&self, tag: Option<&str>) -> Result<Digest> {
        let wanted = |entry: &&Descriptor| tag.is_none() || tag_of(entry) == tag;
        let mut found = self.index.manifests.iter().filter(wanted);
        let (first, second) = (found.next(), found.next());
        let Some(first) = first else {
            let wanted = tag.map_or_else(|| "at all".to_owned(), excerpt);
            return Err(Error::NoImage { wanted, there: self.names() });
        };
        // The same image may be listed under several tags.
        let same = |entry: &Descriptor| entry.digest == first.digest;
        if second.is_some_and(|entry| !same(entry)) || found.any(|entry| !same(entry)) {
            return Err(Error::Ambiguous { what: "images in the layout", there: self.names() });
        }
        self.image_of(first)
    }

    fn image_of(&self, entry: &Descriptor) -> Result<Digest> {
        if !entry.is_index() {
            return Ok(entry.digest);
        }
        let index = Index::from_bytes(&self.read(entry, limits::MANIFEST)?)?;
        let image = index.for_our_platform()?;
        if image.is_index() {
            let problem = "it lists an index again".to_owned();
            return Err(Error::BadManifest { what: "index", problem });
        }
        Ok(image.digest)
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: &Descriptor| tag_of(entry).map_or_else(|| entry.digest.to_string(), excerpt);
        self.index.manifests.iter().take(16).map(name).collect()
    }

    /// A manifest, as its bytes.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::TooLarge`], [`Error::DigestMismatch`], [`Error::File`].
    pub fn manifest_bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        let size = self.size_of(digest)?;
        self.read(&Descriptor::new(IMAGE_MANIFEST, *digest, size), limits::MANIFEST)
    }

    /// A manifest.
    ///
    /// # Errors
    /// As [`Layout::manifest_bytes`], and [`Error::BadManifest`].
    pub fn manifest(&self, digest: &Digest) -> Result<Manifest> {
        Manifest::from_bytes(&self.manifest_bytes(digest)?)
    }

    /// Whether the blob is there in its whole length. Its bytes are compared when they are read.
    pub fn has(&self, blob: &Descriptor) -> bool {
        self.size_of(&blob.digest).is_ok_and(|size| size == blob.size)
    }

    fn size_of(&self, digest: &Digest) -> Result<u64> {
        let path = self.blob_path(digest);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Ok(found.len()),
            Ok(_) => Err(Error::NotALayout { path: self.root.clone(), problem: format!("{digest} is no file") }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::BlobMissing { digest: *digest, place: self.root.display().to_string() })
            }
            Err(error) => Err(Error::File { path, source: error }),
        }
    }

    /// Where a blob is, or would be.
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(BLOBS).join(digest.hex())
    }

    /// A whole blob of at most `limit` bytes, compared with its digest and length.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::BlobMissing`], [`Error::SizeMismatch`], [`Error::DigestMismatch`], [`Error::File`].
    pub fn read(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if blob.size > limit {
            return Err(Error::TooLarge { what: format!("blob {}", blob.digest), limit });
        }
        let mut reader = self.open_blob(blob)?;
        let mut bytes = Vec::new();
        let path = self.blob_path(&blob.digest);
        reader.read_to_end(&mut bytes).map_err(|error| Error::file_error(path, error))?;
        reader.finish()?;
        Ok(bytes)
    }

    /// A blob to be read by and by; [`Blob::finish`] says whether it was the right one.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::SizeMismatch`], [`Error::File`].
    pub fn open_blob(&self, blob: &Descriptor) -> Result<Blob> {
        let size = self.size_of(&blob.digest)?;
        if size != blob.size {
            let what = format!("blob {} in {}", blob.digest, self.root.display());
            return Err(Error::SizeMismatch { what, expected: blob.size, found: size });
        }
        let path = self.blob_path(&blob.digest);
        let file = fs::File::open(&path).map_err(Error::file(&path))?;
        Ok(Blob::new(file, path, blob.digest, size))
    }

    /// Compares the image and all of its blobs with their digests, and gives its manifest.
    ///
    /// # Errors
    /// Those of reading a blob, [`Error::BadManifest`].
    pub fn verify(&self, image: &Digest) -> Result<Manifest> {
        let manifest = self.manifest(image)?;
        for blob in manifest.blobs() {
            self.open_blob(blob)?.finish()?;
        }
        Ok(manifest)
    }

    /// Keeps bytes as a blob.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add_bytes(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor> {
        self.add_reader(media_type, bytes, bytes.len() as u64)
    }

    /// Keeps what is read as a blob of at most `limit` bytes, without holding it in memory.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::File`].
    pub fn add_reader(&self, media_type: &str, mut from: impl Read, limit: u64) -> Result<Descriptor> {
        let folder = self.root.join(BLOBS);
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(Error::file(&folder))?;
        let (mut hasher, mut size, mut chunk) = (Hasher::default(), 0u64, vec![0; limits::CHUNK]);
        loop {
            let read = from.read(&mut chunk).map_err(|error| Error::file_error(folder.clone(), error))?;
            let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            size += bytes.len() as u64;
            if size > limit {
                return Err(Error::TooLarge { what: "what is to be kept as a blob".to_owned(), limit });
            }
            hasher.update(bytes);
            file.write_all(bytes).map_err(Error::file(&folder))?;
        }
        let digest = hasher.finish();
        self.keep(file, &digest)?;
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// A place in the layout's own file system for a blob that is still to be compared.
    pub(crate) fn draft(&self) -> Result<tempfile::NamedTempFile> {
        let folder = self.root.join(BLOBS);
        tempfile::NamedTempFile::new_in(&folder).map_err(Error::file(folder))
    }

    /// Gives a blob that was compared its name.
    pub(crate) fn keep(&self, file: tempfile::NamedTempFile, digest: &Digest) -> Result<()> {
        let path = self.blob_path(digest);
        readable(file.as_file(), &path)?;
        file.persist(&path).map_err(|error| Error::File { path, source: error.error })?;
        Ok(())
    }

    /// Keeps a manifest and lists it, under this tag if one is given; the tag moves if another image had it.
    ///
    /// # Errors
    /// [`Error::BadManifest`], [`Error::BadTag`], [`Error::File`].
    pub fn add_manifest(&mut self, bytes: &[u8], tag: Option<&str>) -> Result<Digest> {
        let manifest = Manifest::from_bytes(bytes)?;
        tag.map(crate::reference::check_tag).transpose()?;
        let mut entry = self.add_bytes(manifest.kind(), bytes)?;
        entry.artifact_type = manifest.artifact_type;
        let digest = entry.digest;
        if let Some(tag) = tag {
            self.index.manifests.retain(|other| tag_of(other) != Some(tag));
            entry.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
        }
        let known = |other: &Descriptor| other.digest == digest && tag_of(other) == tag;
        if !self.index.manifests.iter().any(known) {
            self.index.manifests.push(entry);
        }
        self.write_index()?;
        Ok(digest)
    }

    fn write_index(&self) -> Result<()> {
        let bytes = self.index.to_bytes()?;
        let path = self.root.join(INDEX);
        let mut file = tempfile::NamedTempFile::new_in(&self.root).map_err(Error::file(&path))?;
        file.write_all(&bytes).map_err(Error::file(&path))?;
        readable(file.as_file(), &path)?;
        file.persist(&path).map_err(|error| Error::File { path, source: error.error })?;
        Ok(())
    }

    /// Writes the layout as an `oci-archive`: the same bytes for the same blobs and index. Every blob is compared on the way.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::NotALayout`], [`Error::File`].
    pub fn write_archive(&self, path: impl AsRef<Path>) -> Result<()> {
        archive::pack(self, path.as_ref())
    }
}

fn tag_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

/// Drafts are their owner's alone; what comes of them is for everybody to read.
pub(crate) fn readable(file: &fs::File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(Error::file(path))
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = fs::File::open(path).map_err(Error::file(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::file(path))?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { what: path.display().to_string(), limit });
    }
    Ok(bytes)
}
