//! A package as one stream: a plain tar archive, the same bytes for the same files.

use std::io::{Read, Write};

use tar::{Archive, Builder, EntryType, Header};

use crate::{Error, Package, limits, package::Files};

/// What tar adds to each file (a header and padding to 512 bytes) and at the end (two empty blocks, padded to a record).
const MAX_ARCHIVE_OVERHEAD: u64 = (limits::MAX_FILES as u64) * 1024 + 10_240;

impl Package {
    /// Reads a package from an archive, to the very end of `reader`, so that a sealed file's last chunk is checked too.
    ///
    /// # Errors
    /// As [`Package::open`]; also tar's extensions, whatever follows the archive, and what `reader` reports, which
    /// [`Error::ReadArchive`] holds.
    pub fn from_tar(reader: impl Read) -> Result<Self, Error> {
        let limit = limits::MAX_PACKAGE_BYTES + MAX_ARCHIVE_OVERHEAD;
        let mut archive = Archive::new(reader.take(limit));
        let mut files = Files::default();
        // Raw entries: no names or sizes from extension headers, which then show as entries that are not plain files.
        for entry in archive.entries().map_err(Error::ReadArchive)?.raw(true) {
            let mut entry = entry.map_err(Error::ReadArchive)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type() != EntryType::Regular {
                return Err(Error::NotAPlainFile(name));
            }
            let most = files.check_next(&name)?;
            let size = entry.header().entry_size().map_err(Error::ReadArchive)?;
            if size > most {
                return Err(Error::FileTooLarge { name, limit: most });
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(Error::ReadArchive)?;
            if bytes.len() as u64 != size {
                return Err(Error::ReadArchive(std::io::ErrorKind::UnexpectedEof.into()));
            }
            files.add(&name, bytes)?;
        }
        check_end(archive.into_inner())?;
        Self::from_files(files)
    }

    /// Writes the package as an archive: files in order of their names, no times, no owners.
    ///
    /// # Errors
    /// What `writer` reports.
    pub fn write_tar(&self, writer: impl Write) -> Result<(), Error> {
        let mut builder = Builder::new(writer);
        for (name, bytes) in self.files() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            builder.append_data(&mut header, name, bytes).map_err(Error::WriteArchive)?;
        }
        builder.into_inner().and_then(|mut writer| writer.flush()).map_err(Error::WriteArchive)
    }
}

/// Reads what is left: padding with zeros, up to the bound, and nothing else.
fn check_end(mut rest: std::io::Take<impl Read>) -> Result<(), Error> {
    let mut buffer = [0; 4096];
    loop {
        match rest.read(&mut buffer).map_err(Error::ReadArchive)? {
            0 if rest.limit() == 0 => return Err(Error::PackageTooLarge(limits::MAX_PACKAGE_BYTES)),
            0 => return Ok(()),
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Err(Error::TrailingData),
            _ => {}
        }
    }
}
