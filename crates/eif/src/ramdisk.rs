//! The two ramdisks of Cloister's image, and a listing of any.
//!
//! The first holds what is the same for everyone: the enclave's program as `/init`, and where it mounts. The second holds the measured
//! configuration. Linux unpacks the second over the first.

use std::collections::BTreeMap;
use std::io::{self, Write};

use flate2::read::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use crate::archive::{self, Content};
use crate::error::{Error, Result};
use crate::{configuration, elf, limits};

/// Where the enclave reads its configuration, from the root.
const CONFIGURATION: &str = "etc/cloister/enclave.toml";
/// What is mounted upon.
const MOUNT_POINTS: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];
/// Linux opens it for the first program, before anything is mounted; its numbers are Linux's (Documentation/admin-guide/devices.txt).
const CONSOLE: (&str, Content<'_>) = ("dev/console", Content::Character { mode: 0o600, major: 5, minor: 1 });
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// In gzip's header: made on no system in particular (RFC 1952, section 2.3.1).
const NO_SYSTEM: u8 = 255;

/// The first ramdisk: `init` as `/init`.
///
/// # Errors
/// [`Error::Init`] when it is not a static program for x86-64.
pub fn boot(init: &[u8]) -> Result<Vec<u8>> {
    elf::check_static(init)?;
    let mut entries = BTreeMap::from([CONSOLE, ("init", Content::File { mode: 0o755, bytes: init })]);
    entries.extend(MOUNT_POINTS.into_iter().chain(folders()).map(|path| (path, Content::Directory)));
    compress(&archive::write(&entries))
}

/// The second ramdisk: the measured configuration.
///
/// # Errors
/// [`Error::Configuration`] when it is no TOML, or longer than the enclave reads.
pub fn configuration(toml: &[u8]) -> Result<Vec<u8>> {
    configuration::check(toml)?;
    let mut entries = BTreeMap::from([(CONFIGURATION, Content::File { mode: 0o644, bytes: toml })]);
    entries.extend(folders().map(|path| (path, Content::Directory)));
    compress(&archive::write(&entries))
}

/// The folders above the configuration.
fn folders() -> impl Iterator<Item = &'static str> {
    CONFIGURATION.match_indices('/').filter_map(|(end, _)| CONFIGURATION.get(..end))
}

/// Compresses without name and time.
fn compress(archive: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(NO_SYSTEM).write(Vec::new(), Compression::best());
    gzip.write_all(archive).and_then(|()| gzip.finish()).map_err(|error| Error::Compression(error.to_string()))
}

/// One file of a ramdisk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct File {
    /// Its path, from the root.
    pub path: Vec<u8>,
    /// Its kind and its permissions, as in `stat`.
    pub mode: u32,
    /// The user that owns it.
    pub owner: u32,
    /// The group that owns it.
    pub group: u32,
    /// How many names it has.
    pub links: u32,
    /// When it was changed, in seconds since 1970.
    pub time: u32,
    /// Its bytes.
    pub size: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// SHA-384 of its content.
    pub sha384: [u8; limits::PCR],
}

impl File {
    /// Whether it is a device of either kind.
    pub fn is_device(&self) -> bool {
        matches!(self.mode >> 12, 0o2 | 0o6)
    }
}

/// Why a ramdisk cannot be listed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unreadable {
    /// Neither gzip nor cpio.
    #[error("it is not a cpio archive of the form newc, plain or in gzip")]
    NotAnArchive,
    /// It ends too early, or gzip's own checks fail.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than [`limits::UNPACKED`].
    #[error("it unpacks to more than {} GiB", limits::UNPACKED >> 30)]
    TooLarge,
    /// More files than [`limits::FILES`], or longer paths than [`limits::PATHS`].
    #[error("it holds more than {} files, or their paths more than {} bytes", limits::FILES, limits::PATHS)]
    TooManyFiles,
}

impl Unreadable {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Damaged("gzip's checks fail".into()),
            io::ErrorKind::UnexpectedEof => Self::Damaged("it ends too early".into()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// Lists a ramdisk.
///
/// # Errors
/// [`Unreadable`].
pub fn list(ramdisk: &[u8]) -> Result<Vec<File>, Unreadable> {
    if ramdisk.starts_with(&GZIP) {
        archive::list(MultiGzDecoder::new(ramdisk), limits::UNPACKED)
    } else {
        archive::list(ramdisk, limits::UNPACKED)
    }
}
