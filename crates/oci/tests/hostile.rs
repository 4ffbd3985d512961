//! Layouts, archives and layers that somebody made to do harm, or that are broken.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

mod support;

use std::io::Write;
use std::path::Path;

use cloister_oci::manifest::{IMAGE_INDEX, REF_NAME};
use cloister_oci::{Artifact, Digest, Error, FileLimits, Layout, Result, extract};
use proptest::prelude::*;
use support::images::{TAR, TAR_GZIP, gzip, image, tar, three_layers};
use tar::{EntryType, Header};

const PATH: &str = "opt/cloister/cloister.eif";

fn take(layers: &[(&str, Vec<u8>)], limits: FileLimits) -> Result<Vec<u8>> {
    let mut layout = Layout::temporary()?;
    let image = image(&mut layout, "1", layers);
    let to = layout.path().join("out");
    let size = extract(&layout, &image, PATH, &to, limits)?;
    let bytes = std::fs::read(to).unwrap();
    assert_eq!(bytes.len() as u64, size);
    Ok(bytes)
}

fn take_plain(layers: &[Vec<u8>]) -> Result<Vec<u8>> {
    let layers: Vec<_> = layers.iter().map(|layer| (TAR, layer.clone())).collect();
    take(&layers, FileLimits::default())
}

/// A tar of one entry whose header says what it likes.
fn entry(name: &str, kind: EntryType, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append(&header, content).unwrap();
    tar.into_inner().unwrap()
}

/// Several tars as one.
fn join(tars: &[Vec<u8>]) -> Vec<u8> {
    let mut all: Vec<u8> = tars.iter().flat_map(|tar| tar[..tar.len() - 1024].to_vec()).collect();
    all.extend([0; 1024]);
    all
}

fn file(name: &str, content: &str) -> Vec<u8> {
    entry(name, EntryType::Regular, "", content.as_bytes())
}

#[test]
fn the_uppermost_layer_with_the_file_wins() {
    let (old, new) = (file(PATH, "old"), file("./opt/cloister/cloister.eif", "new"));
    assert_eq!(take_plain(&[old.clone(), new.clone()]).unwrap(), b"new");
    assert_eq!(take_plain(&[old.clone(), new, file("etc/motd", "")]).unwrap(), b"new");
    let zipped = take(&[(TAR_GZIP, gzip(&old)), (TAR, file("a", ""))], FileLimits::default());
    assert_eq!(zipped.unwrap(), b"old");
}

#[test]
fn whiteouts_hide_lower_layers_and_only_those() {
    let old = file(PATH, "old");
    for gone in
        ["opt/cloister/.wh.cloister.eif", "opt/.wh.cloister", ".wh.opt", "opt/cloister/.wh..wh..opq", ".wh..wh..opq"]
    {
        let hidden = take_plain(&[old.clone(), file(gone, "")]);
        assert!(matches!(hidden, Err(Error::NoFile { .. })), "{gone}: {hidden:?}");
        for order in [[file(gone, ""), file(PATH, "new")], [file(PATH, "new"), file(gone, "")]] {
            assert_eq!(take_plain(&[old.clone(), join(&order)]).unwrap(), b"new", "{gone}");
        }
    }
    for other in [
        "opt/.wh.clois",
        "opt/cloister/.wh.cloister.ei",
        "etc/.wh..wh..opq",
        "wh.opt",
        "opt/cloister/x/.wh.cloister.eif",
    ] {
        assert_eq!(take_plain(&[old.clone(), file(other, "")]).unwrap(), b"old", "{other}");
    }
    // A file where the folder was.
    assert!(matches!(take_plain(&[old, file("opt/cloister", "")]), Err(Error::NoFile { .. })));
}

#[test]
fn links_folders_and_doubles_are_refused_with_a_reason() {
    let cases = [
        (entry(PATH, EntryType::Symlink, "/etc/passwd", b""), "symbolic link"),
        (entry(PATH, EntryType::Link, "etc/shadow", b""), "hard link"),
        (entry("opt/cloister", EntryType::Symlink, "/etc", b""), "on the way"),
        (entry(PATH, EntryType::Directory, "", b""), "a folder"),
        (entry(PATH, EntryType::Fifo, "", b""), "a device"),
        (join(&[file(PATH, "a"), file(PATH, "b")]), "twice"),
    ];
    // Whatever unpacks this follows the lower layer's link.
    let link = entry("opt", EntryType::Symlink, "data", b"");
    let refused =
        take_plain(&[link, join(&[file(PATH, "good"), file("data/cloister/cloister.eif", "evil")])]).unwrap_err();
    assert!(refused.to_string().contains("a lower layer"), "{refused}");
    for (layer, expected) in cases {
        let refused = take_plain(&[file(PATH, "old"), layer]).unwrap_err();
        assert!(matches!(refused, Error::NotAFile { .. }) && refused.to_string().contains(expected), "{refused}");
    }
}

#[test]
fn entries_that_lead_out_and_strange_ones_are_refused() {
    let sparse = entry("a", EntryType::GNUSparse, "", b"");
    let size = entry("pax", EntryType::XHeader, "", b"12 size=999\n");
    let name = entry("long", EntryType::GNULongName, "", &vec![b'a'; 100_000]);
    for layer in [file("../opt/x", ""), file("opt/../../x", ""), sparse, size, name] {
        let refused = take_plain(&[layer]).unwrap_err();
        assert!(matches!(refused, Error::BadArchive { .. }), "{refused}");
    }
    let two = [
        entry("x", EntryType::GNULongName, "", b"a\0"),
        entry("x", EntryType::XHeader, "", b"10 path=b\n"),
        file("c", ""),
    ];
    assert!(matches!(take_plain(&[join(&two)]).unwrap_err(), Error::BadArchive { .. }), "two names");
    // Long names of both kinds are read.
    let gnu = join(&[entry("x", EntryType::GNULongName, "", b"opt/cloister/cloister.eif\0"), file("short", "gnu")]);
    assert_eq!(take_plain(&[gnu]).unwrap(), b"gnu");
    let record = format!("34 path={PATH}\n");
    let pax = join(&[entry("x", EntryType::XHeader, "", record.as_bytes()), file("short", "pax")]);
    assert_eq!(take_plain(&[pax]).unwrap(), b"pax");
}

#[test]
fn lying_sizes_and_truncations_are_refused() {
    let mut lying = file(PATH, "abc");
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..PATH.len()].copy_from_slice(PATH.as_bytes());
    header.set_entry_type(EntryType::Regular);
    header.set_size(1 << 40);
    header.set_cksum();
    lying[..512].copy_from_slice(header.as_bytes());
    let refused = take_plain(&[lying.clone()]).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    let refused = take(&[(TAR, lying)], FileLimits { file: u64::MAX, ..FileLimits::default() }).unwrap_err();
    assert!(matches!(refused, Error::BadArchive { .. }), "{refused}");
    let whole = gzip(&file(PATH, &"abc".repeat(1000)));
    for cut in [1, 20, whole.len() - 9, whole.len() - 1] {
        let refused = take(&[(TAR_GZIP, whole[..cut].to_vec())], FileLimits::default());
        assert!(refused.is_err(), "{cut}");
    }
    assert!(
        take(&[("application/vnd.oci.image.layer.v1.tar+zstd", vec![])], FileLimits::default())
            .unwrap_err()
            .to_string()
            .contains("zstd")
    );
}

#[test]
fn bombs_are_stopped_at_the_limit() {
    let bomb = gzip(&entry("zeros", EntryType::Regular, "", &vec![0; 32 << 20]));
    let limits = FileLimits { layer: 1 << 20, ..FileLimits::default() };
    let refused = take(&[(TAR_GZIP, bomb)], limits).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { limit, .. } if limit == 1 << 20), "{refused}");
    // Also after the tar's own end.
    let mut tail = file("a", "");
    tail.resize(32 << 20, 0);
    assert!(matches!(take(&[(TAR_GZIP, gzip(&tail))], limits), Err(Error::TooLarge { .. })));
    let many = join(&vec![file("a", ""); 50]);
    let refused = take(&[(TAR, many)], FileLimits { entries: 49, ..FileLimits::default() }).unwrap_err();
    assert!(refused.to_string().contains("49 entries"), "{refused}");
    let large = take(&[(TAR, file(PATH, "abc"))], FileLimits { file: 2, ..FileLimits::default() });
    assert!(matches!(large, Err(Error::TooLarge { limit: 2, .. })));
}

#[test]
fn a_layer_with_another_digest_gives_no_file() {
    let mut layout = Layout::temporary().unwrap();
    let image = image(&mut layout, "1", &[(TAR, file(PATH, "good"))]);
    let blob = layout.path().join("blobs/sha256").join(layout.manifest(&image).unwrap().layers[0].digest.hex());
    std::fs::write(&blob, file(PATH, "evil")).unwrap();
    let to = layout.path().join("out");
    let refused = extract(&layout, &image, PATH, &to, FileLimits::default()).unwrap_err();
    assert!(matches!(refused, Error::DigestMismatch { .. }), "{refused}");
    assert!(!to.exists());
}

fn open(archive: &[u8]) -> Result<Layout> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(archive).unwrap();
    Layout::open(file.path())
}

#[test]
fn archives_put_nothing_where_it_does_not_belong() {
    let marker = file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = file("index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    let whole = |more: Vec<u8>| join(&[marker.clone(), index.clone(), more]);
    open(&whole(file("manifest.json", "[]"))).unwrap();
    for bad in [
        entry("blobs", EntryType::Symlink, "/tmp", b""),
        entry("index.json", EntryType::Link, "/etc/passwd", b""),
        file("../../evil", ""),
        file("index.json", "{}"),
        entry("x", EntryType::Char, "", b""),
    ] {
        let refused = open(&whole(bad)).unwrap_err();
        assert!(matches!(refused, Error::BadArchive { .. }), "{refused}");
    }
    let unpacked = open(&whole(file("blobs/sha256/evil", "x"))).unwrap();
    assert_eq!(std::fs::read_dir(unpacked.path().join("blobs/sha256")).unwrap().count(), 0);
    for missing in [marker.clone(), index.clone(), file("x", "")] {
        assert!(matches!(open(&missing), Err(Error::NotALayout { .. })));
    }
    let version = file("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    assert!(matches!(open(&join(&[version, index])), Err(Error::NotALayout { .. })));
    assert!(matches!(Layout::open(Path::new("/nonexistent")), Err(Error::File { .. })));
}

#[test]
fn the_image_is_chosen_by_tag_or_is_the_only_one() {
    let mut layout = Layout::temporary().unwrap();
    assert!(matches!(layout.choose(None), Err(Error::NoImage { .. })));
    let first = three_layers(&mut layout, "1.0");
    assert_eq!(layout.choose(None).unwrap(), first);
    layout.add_manifest(&layout.manifest_bytes(&first).unwrap(), Some("also")).unwrap();
    assert_eq!(layout.choose(None).unwrap(), first);
    let second = image(&mut layout, "2.0", &[]);
    assert!(matches!(layout.choose(None), Err(Error::Ambiguous { .. })));
    assert_eq!(layout.choose(Some("2.0")).unwrap(), second);
    let error = layout.choose(Some("3.0")).unwrap_err();
    assert!(error.to_string().contains("2.0"), "{error}");
    // A tag moves.
    layout.add_manifest(&layout.manifest_bytes(&first).unwrap(), Some("2.0")).unwrap();
    assert_eq!(Layout::open(layout.path()).unwrap().choose(Some("2.0")).unwrap(), first);
    assert!(matches!(Layout::create(layout.path()), Err(Error::NotALayout { .. })));
}

#[test]
fn what_others_wrote_into_an_index_is_kept() {
    let mut layout = Layout::temporary().unwrap();
    let first = image(&mut layout, "1.0", &[]);
    let path = layout.path().join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    index["annotations"] = serde_json::json!({ "a": "b" });
    index["manifests"][0]["urls"] = serde_json::json!(["https://x.example"]);
    std::fs::write(&path, serde_json::to_vec(&index).unwrap()).unwrap();
    let mut again = Layout::open(layout.path()).unwrap();
    again.add_manifest(&layout.manifest_bytes(&first).unwrap(), Some("2.0")).unwrap();
    let after: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(after["annotations"], index["annotations"]);
    assert_eq!(after["manifests"][0], index["manifests"][0]);
    assert_eq!(after["manifests"][1]["annotations"][REF_NAME], "2.0");
}

#[test]
fn an_index_of_several_machines_gives_ours() {
    let mut layout = Layout::temporary().unwrap();
    let ours = image(&mut layout, "ours", &[]);
    let size = layout.manifest_bytes(&ours).unwrap().len();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let entry = |digest: Digest, architecture: &str| {
        serde_json::json!({ "mediaType": kind, "digest": digest, "size": size,
            "platform": { "os": "linux", "architecture": architecture } })
    };
    let other = Digest::of(b"other");
    let choose = |entries: Vec<serde_json::Value>| {
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": entries });
        let blob = layout.add_bytes(IMAGE_INDEX, &serde_json::to_vec(&index).unwrap()).unwrap();
        let top = serde_json::json!({ "schemaVersion": 2, "manifests": [{
            "mediaType": IMAGE_INDEX, "digest": blob.digest, "size": blob.size, "annotations": { REF_NAME: "many" } }] });
        std::fs::write(layout.path().join("index.json"), serde_json::to_vec(&top).unwrap()).unwrap();
        Layout::open(layout.path()).unwrap().choose(Some("many"))
    };
    assert_eq!(choose(vec![entry(other, "arm64"), entry(ours, "amd64")]).unwrap(), ours);
    assert!(matches!(choose(vec![entry(other, "arm64")]), Err(Error::NoPlatform { .. })));
    assert!(matches!(choose(vec![entry(other, "amd64"), entry(ours, "amd64")]), Err(Error::Ambiguous { .. })));
    assert!(matches!(choose(vec![]), Err(Error::NoPlatform { .. })));
}

#[test]
fn an_artifact_is_the_same_each_time_and_no_other() {
    let artifact = Artifact {
        artifact_type: "application/vnd.cloister.measurements".to_owned(),
        media_type: "application/json".to_owned(),
        title: "measurements.json".to_owned(),
        about: Digest::of(b"image"),
        bytes: b"{}".to_vec(),
    };
    let add = |tag| {
        let mut layout = Layout::temporary().unwrap();
        let digest = artifact.add_to(&mut layout, tag).unwrap();
        (layout, digest)
    };
    let (layout, digest) = add(Some("a"));
    assert_eq!(digest, add(None).1);
    let other = Artifact { about: Digest::of(b"another image"), ..artifact.clone() };
    assert_ne!(other.add_to(&mut Layout::temporary().unwrap(), None).unwrap(), digest, "it is of one image");
    assert_eq!(Artifact::read(&layout, &digest, &artifact.artifact_type, 2).unwrap(), artifact);
    assert!(matches!(Artifact::read(&layout, &digest, &artifact.artifact_type, 1), Err(Error::TooLarge { .. })));
    assert!(matches!(Artifact::read(&layout, &digest, "text/plain", 2), Err(Error::NotTheArtifact { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_bytes_are_a_layer_or_not(mut bytes in proptest::collection::vec(any::<u8>(), 0..2000), zipped: bool) {
        if zipped {
            bytes = gzip(&bytes);
        }
        let _ = take(&[(if zipped { TAR_GZIP } else { TAR }, bytes)], FileLimits { layer: 1 << 20, ..FileLimits::default() });
    }

    #[test]
    fn a_layer_with_changed_bytes_never_panics(at in 0usize..3000, to: u8, length in 0usize..4000) {
        let mut bytes = join(&[entry("x", EntryType::XHeader, "", b"34 path=opt/cloister/cloister.eif\n"), file("s", "pax"), file("a", "b")]);
        let last = bytes.len() - 1;
        bytes[at.min(last)] = to;
        bytes.truncate(length);
        let _ = take_plain(&[bytes.clone()]);
        let _ = open(&bytes);
    }

    #[test]
    fn any_index_is_read_or_refused(text in "\\PC{0,200}") {
        let marker = file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        if let Ok(layout) = open(&join(&[marker, file("index.json", &text)])) {
            let _ = layout.choose(None);
        }
    }

    #[test]
    fn files_come_out_as_they_went_in(content in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let layer = tar(&[("a", b"x"), (PATH, &content), ("z", b"y")]);
        prop_assert_eq!(take(&[(TAR_GZIP, gzip(&layer))], FileLimits::default()).unwrap(), content);
    }
}
