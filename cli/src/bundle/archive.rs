//! The archive: written from a folder, and unpacked into one, with every file's checksum.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use tar::{Builder, EntryType, Header};

use super::SUMS;
use crate::failure::Failure;
use crate::files;

/// Most files: some images' blobs and a few hundred manifests.
const MAX_FILES: usize = 10_000;
/// Most bytes of all files: some images of a few hundred megabytes, and a model of one.
const MAX_BYTES: u64 = 64 << 30;
/// Most bytes of the checksums.
const MAX_SUMS_BYTES: u64 = 4 << 20;
/// Folders in folders: blobs/sha256 in a layout in images is four.
const MAX_DEPTH: usize = 16;
const CHUNK: usize = 64 * 1024;

/// Packs a folder. The same files are the same bytes.
pub fn write(folder: &Path, out: &Path) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    list(folder, Path::new(""), 0, &mut names).map_err(|error| about(folder, &error))?;
    let mut sums = String::new();
    for name in &names {
        let digest = digest(&folder.join(name)).map_err(|error| about(&folder.join(name), &error))?;
        sums.push_str(&format!("{digest}  {}\n", name.display()));
    }
    files::replace(out, files::Readers::Owner, |file| {
        let mut archive = Builder::new(file);
        append(&mut archive, Path::new(SUMS), sums.len() as u64, sums.as_bytes())?;
        for name in &names {
            let file = File::open(folder.join(name))?;
            append(&mut archive, name, file.metadata()?.len(), file)?;
        }
        archive.finish()
    })
}

fn append(archive: &mut Builder<impl Write>, name: &Path, size: u64, from: impl Read) -> io::Result<()> {
    // Without extensions, so that no reader has to take a name of any length.
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    archive.append(&header, from.take(size))
}

fn list(folder: &Path, below: &Path, depth: usize, names: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < MAX_DEPTH {
            list(folder, &name, depth + 1, names)?;
        } else if kind.is_file()
            && names.len() < MAX_FILES
            && name.to_str().is_some_and(|name| !name.contains(['\n', '\\']))
        {
            names.insert(name);
        } else {
            let why = "only files with plain names, in folders not too deep and not too many";
            return Err(io::Error::other(format!("{} cannot be packed: {why}", name.display())));
        }
    }
    Ok(())
}

/// Unpacks into an empty folder. Nothing is left of a file that is not what its checksum says.
pub fn unpack(archive: &Path, into: &Path) -> Result<(), Failure> {
    let file = File::open(archive).map_err(|error| about(archive, &error))?;
    let refused = |why: String| Failure::input(format!("{}: {why}", archive.display()));
    let mut tar = tar::Archive::new(file);
    // Raw, because what names an entry in an entry before it is read into memory whole.
    let mut entries = tar.entries().map_err(|error| about(archive, &error))?.raw(true);
    // The reader's own words would repeat what strangers wrote.
    let damaged = |_: io::Error| refused("it is damaged, or no bundle: what follows is no tar entry".to_owned());
    let first = entries.next().ok_or_else(|| refused("it holds no files: it is no bundle".to_owned()))?;
    let mut missing = sums(first.map_err(damaged)?).map_err(refused)?;
    let mut left = MAX_BYTES;
    for entry in entries {
        let mut entry = entry.map_err(damaged)?;
        let name = entry.path().map_err(damaged)?.into_owned();
        let said = name.display().to_string();
        if entry.header().entry_type() != EntryType::Regular || !plain(&name) {
            return Err(refused(format!("{said:?} is no file that may be in it")));
        }
        let expected =
            missing.remove(&name).ok_or_else(|| refused(format!("{said:?} is not in {SUMS}, or there twice")))?;
        left = left.checked_sub(entry.size()).ok_or_else(|| refused(format!("it has more than {MAX_BYTES} bytes")))?;
        let path = into.join(&name);
        let found = copy(&mut entry, &path).map_err(|error| about(archive, &error))?;
        if found != expected {
            return Err(refused(format!("{said:?} is damaged: its SHA-256 is {found}, and was to be {expected}")));
        }
    }
    match missing.keys().next() {
        Some(name) => Err(refused(format!("{:?} is missing", name.display().to_string()))),
        None => Ok(()),
    }
}

/// The checksums by name.
fn sums(entry: tar::Entry<'_, impl Read>) -> Result<BTreeMap<PathBuf, String>, String> {
    let wrong = || format!("it is no bundle: it does not begin with {SUMS}");
    if entry.path().ok().as_deref() != Some(Path::new(SUMS)) || entry.size() > MAX_SUMS_BYTES {
        return Err(wrong());
    }
    let mut text = String::new();
    entry.take(MAX_SUMS_BYTES).read_to_string(&mut text).map_err(|_| wrong())?;
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ").ok_or_else(wrong)?;
        let hex =
            digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !hex || !plain(Path::new(name)) || sums.len() >= MAX_FILES {
            return Err(wrong());
        }
        sums.insert(PathBuf::from(name), digest.to_owned());
    }
    Ok(sums)
}

/// A path that stays inside, and is written in one way only.
fn plain(name: &Path) -> bool {
    let parts: Vec<_> = name.components().collect();
    (1..=MAX_DEPTH + 1).contains(&parts.len())
        && parts.iter().all(|part| matches!(part, Component::Normal(_)))
        && parts.iter().collect::<PathBuf>().as_os_str() == name.as_os_str()
}

fn copy(from: &mut impl Read, to: &Path) -> io::Result<String> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create_new(to)?;
    let found = hash(from, |chunk| file.write_all(chunk))?;
    file.sync_all()?;
    Ok(found)
}

/// A file's SHA-256, in hex.
pub fn digest(path: &Path) -> io::Result<String> {
    hash(&mut File::open(path)?, |_| Ok(()))
}

fn hash(from: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(context.finish()));
        }
        let chunk = buffer.get(..read).unwrap_or_default();
        context.update(chunk);
        each(chunk)?;
    }
}

fn about(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("images/0/blobs")).unwrap();
        fs::write(source.join("bundle.json"), "{}").unwrap();
        fs::write(source.join("images/0/blobs/a"), vec![7; 100_000]).unwrap();
        let archive = folder.path().join("bundle.tar");
        write(&source, &archive).unwrap();
        (folder, archive)
    }

    fn unpacked(archive: &Path) -> Result<tempfile::TempDir, Failure> {
        let into = tempfile::tempdir().unwrap();
        unpack(archive, into.path()).map(|()| into)
    }

    #[test]
    fn what_was_packed_comes_out_and_twice_is_the_same() {
        let (folder, archive) = packed();
        let into = unpacked(&archive).unwrap();
        assert_eq!(fs::read(into.path().join("images/0/blobs/a")).unwrap(), vec![7; 100_000]);
        let again = folder.path().join("again.tar");
        write(&folder.path().join("source"), &again).unwrap();
        assert_eq!(fs::read(&archive).unwrap(), fs::read(again).unwrap());
    }

    #[test]
    fn a_changed_byte_and_a_cut_are_found_wherever_they_are() {
        let (_folder, archive) = packed();
        let whole = fs::read(&archive).unwrap();
        for place in [0, 600, 1100, 1537, 2100, 2600, 50_000] {
            let mut changed = whole.clone();
            changed[place] ^= 1;
            fs::write(&archive, changed).unwrap();
            assert!(unpacked(&archive).is_err(), "byte {place}");
        }
        for length in [0, 10, 512, 1500, 50_000] {
            fs::write(&archive, &whole[..length]).unwrap();
            assert!(unpacked(&archive).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_no_archive_is_called_that_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        for content in [Vec::new(), vec![0; 100_000], b"SEKRET".repeat(1000)] {
            fs::write(&file, content).unwrap();
            let said = unpacked(&file).err().unwrap().to_string();
            assert!(said.contains("no bundle") && !said.contains("SEKRET"), "{said}");
        }
    }

    #[test]
    fn files_that_leave_the_folder_or_are_none_are_refused() {
        let digest = hash(&mut &b"x"[..], |_| Ok(())).unwrap();
        let evil = |name: &str, kind: EntryType, listed: &str| {
            let folder = tempfile::tempdir().unwrap();
            let archive = folder.path().join("evil.tar");
            let mut builder = Builder::new(File::create(&archive).unwrap());
            let sums = format!("{digest}  {listed}\n");
            append(&mut builder, Path::new(SUMS), sums.len() as u64, sums.as_bytes()).unwrap();
            let mut header = Header::new_old();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(kind);
            header.set_size(1);
            header.set_cksum();
            builder.append(&header, &b"x"[..]).unwrap();
            builder.finish().unwrap();
            unpacked(&archive).err().map(|failure| failure.to_string())
        };
        assert_eq!(evil("good", EntryType::Regular, "good"), None);
        for (name, kind) in [
            ("../evil", EntryType::Regular),
            ("/tmp/evil", EntryType::Regular),
            ("a/../../evil", EntryType::Regular),
            ("./evil", EntryType::Regular),
            ("link", EntryType::Symlink),
            ("folder", EntryType::Directory),
            ("name", EntryType::GNULongName),
            ("name", EntryType::XHeader),
        ] {
            assert!(evil(name, kind, name).is_some(), "{name}");
        }
        assert!(evil("unlisted", EntryType::Regular, "other").unwrap().contains("not in SHA256SUMS"));
    }
}
