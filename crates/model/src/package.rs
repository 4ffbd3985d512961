//! A model package in memory: a manifest, network files, and the digest that names exactly these.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
};

use aws_lc_rs::digest::{Context, SHA384, digest as hash};

use crate::{Error, Manifest, limits, names};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.toml";

/// Told apart from whatever else is hashed: the first bytes under a package's digest.
const DIGEST_DOMAIN: &[u8] = b"cloister model package 1\n";

/// A checked package. Holds its files as they are on disk, since the digest is over these bytes.
pub struct Package {
    manifest: Manifest,
    files: BTreeMap<String, Vec<u8>>,
    digest: [u8; 48],
}

impl Package {
    /// Makes a package from a manifest and the network files that it names.
    ///
    /// # Errors
    /// An unusable manifest; files that are missing, unknown, or too large.
    pub fn new(manifest: &Manifest, networks: BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        let mut files = Files::default();
        files.add(MANIFEST, manifest.to_toml()?.into_bytes())?;
        networks.into_iter().try_for_each(|(name, bytes)| files.add(&name, bytes))?;
        Self::from_files(files)
    }

    /// Reads a package's folder.
    ///
    /// # Errors
    /// Whatever cannot be read; links and folders in it; names that a package may not use; files that are missing, unknown, or
    /// too large; an unusable manifest.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let list = |source| Error::File { action: "list", path: folder.to_owned(), source };
        let mut files = Files::default();
        for entry in fs::read_dir(folder).map_err(list)? {
            let entry = entry.map_err(list)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !entry.file_type().map_err(list)?.is_file() {
                return Err(Error::NotAPlainFile(name));
            }
            let read = |source| Error::File { action: "read", path: entry.path(), source };
            let mut bytes = Vec::new();
            let limit = files.check_next(&name)?;
            File::open(entry.path()).map_err(read)?.take(limit + 1).read_to_end(&mut bytes).map_err(read)?;
            files.add(&name, bytes)?;
        }
        Self::from_files(files)
    }

    /// Writes the package into a folder, which is made if it is not there and must be empty if it is.
    ///
    /// # Errors
    /// A folder or a file that cannot be made; a folder that holds something already.
    pub fn write_folder(&self, folder: &Path) -> Result<(), Error> {
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { action, path, source }
        };
        fs::create_dir_all(folder).map_err(failed("create", folder))?;
        if fs::read_dir(folder).map_err(failed("list", folder))?.next().is_some() {
            let source = std::io::Error::new(std::io::ErrorKind::DirectoryNotEmpty, "it is not empty");
            return Err(Error::File { action: "write into", path: folder.to_owned(), source });
        }
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(failed("write", &path))?;
        }
        Ok(())
    }

    /// The same networks under another manifest.
    pub(crate) fn with_manifest(mut self, manifest: &Manifest) -> Result<Self, Error> {
        self.files.remove(MANIFEST);
        Self::new(manifest, self.files)
    }

    pub(crate) fn from_files(files: Files) -> Result<Self, Error> {
        let files = files.files;
        let text = files.get(MANIFEST).ok_or_else(|| Error::MissingFile(MANIFEST.to_owned()))?;
        let text = std::str::from_utf8(text).map_err(|_| Error::Manifest("it is not UTF-8 text".to_owned()))?;
        let manifest = Manifest::from_toml(text)?;
        let named = manifest.networks();
        if let Some(name) = named.iter().find(|name| !files.contains_key(**name)) {
            return Err(Error::MissingFile((*name).to_owned()));
        }
        if let Some(name) = files.keys().find(|name| *name != MANIFEST && !named.contains(name.as_str())) {
            return Err(Error::UnknownFile(name.clone()));
        }
        let digest = digest(&files);
        Ok(Self { manifest, files, digest })
    }

    /// What the package says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-384 over the sorted list of (name, length, SHA-384) of every file, the manifest among them. `docs/model-package.md`
    /// gives the encoding.
    pub fn digest(&self) -> [u8; 48] {
        self.digest
    }

    /// Refuses a package that is not the one expected.
    ///
    /// # Errors
    /// Another digest.
    pub fn check_digest(&self, expected: &[u8; 48]) -> Result<(), Error> {
        if self.digest == *expected {
            return Ok(());
        }
        Err(Error::Digest { expected: hex::encode(expected), actual: hex::encode(self.digest) })
    }

    /// The files by name, in order: the manifest and the networks.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// The bytes of one file.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }
}

/// Files on their way into a package, bounded as they come.
#[derive(Default)]
pub(crate) struct Files {
    files: BTreeMap<String, Vec<u8>>,
    total: u64,
}

impl Files {
    /// How many bytes the next file may have, given its name.
    pub(crate) fn check_next(&self, name: &str) -> Result<u64, Error> {
        names::check_file(name)?;
        if self.files.contains_key(name) {
            return Err(Error::DuplicateFile(name.to_owned()));
        }
        if self.files.len() == limits::MAX_FILES {
            return Err(Error::TooManyFiles(limits::MAX_FILES));
        }
        Ok(if name == MANIFEST { limits::MAX_MANIFEST_BYTES } else { limits::MAX_NETWORK_BYTES })
    }

    pub(crate) fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Error> {
        let limit = self.check_next(name)?;
        if bytes.len() as u64 > limit {
            return Err(Error::FileTooLarge { name: name.to_owned(), limit });
        }
        self.total += bytes.len() as u64;
        if self.total > limits::MAX_PACKAGE_BYTES {
            return Err(Error::PackageTooLarge(limits::MAX_PACKAGE_BYTES));
        }
        self.files.insert(name.to_owned(), bytes);
        Ok(())
    }
}

fn digest(files: &BTreeMap<String, Vec<u8>>) -> [u8; 48] {
    let mut context = Context::new(&SHA384);
    context.update(DIGEST_DOMAIN);
    for (name, bytes) in files {
        context.update(&(name.len() as u64).to_be_bytes());
        context.update(name.as_bytes());
        context.update(&(bytes.len() as u64).to_be_bytes());
        context.update(hash(&SHA384, bytes).as_ref());
    }
    let mut out = [0; 48];
    out.copy_from_slice(context.finish().as_ref());
    out
}
