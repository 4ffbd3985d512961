//! Packages: what is accepted, what is refused and why, and the digest.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::{collections::BTreeMap, fs, io};

use cloister_imaging::View;
use cloister_model::{Error, Manifest, Output, Package, Preprocessing};

const MANIFEST: &str = r#"
format = 1
name = "two-views"
version = 3
intended_use = "tests"
labels = ["benign", "malignant"]

[preprocessing]
revision = "screening-mammogram/1"
erosion = 100
margin = 50
position_noise = 100
size_noise = 100
seed = 0
least_deviation = 1e-5

[views.L-CC]
network = "cc.onnx"
window = [2677, 1942]
output = "log-softmax-pairs"

[views.R-MLO]
network = "mlo.onnx"
window = [2974, 1748]
output = "sigmoid"

[[known_answers]]
view = "L-CC"
crops = 1
tolerance = 1e-4
image = { generator = "synthetic/1", seed = 7, height = 600, width = 400 }
scores = { benign = 0.25, malignant = 0.5 }
"#;

fn networks() -> BTreeMap<String, Vec<u8>> {
    [("cc.onnx", &b"first"[..]), ("mlo.onnx", b"second")].map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).into()
}

fn package() -> Package {
    Package::new(&Manifest::from_toml(MANIFEST).unwrap(), networks()).unwrap()
}

#[test]
fn a_manifest_that_cannot_be_read_is_not_quoted() {
    for broken in ["intended_use = secret words", "sides = \"secret words\""] {
        let text = MANIFEST.replacen("intended_use = \"tests\"", broken, 1);
        let error = Manifest::from_toml(&text).unwrap_err();
        assert!(matches!(error, Error::Manifest(_)), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret words"), "{error}");
    }
}

#[test]
fn no_label_takes_the_name_of_a_member_of_an_answer() {
    let fields = ["view", "window", "best_center", "crops", "crop_seed", "model", "receipt", "verified"];
    for label in fields.into_iter().chain(["map", "findings", "finding_words"]) {
        let text = MANIFEST.replace("malignant", label);
        let error = Manifest::from_toml(&text).unwrap_err();
        assert!(matches!(&error, Error::ManifestValue { field, .. } if field == "labels"), "{label}: {error}");
    }
}

#[test]
fn labels_that_would_bring_an_answer_near_its_padded_size_are_refused() {
    // By the documented rule: 14 bytes for each letter and 216 for each label, 16384 in all.
    let labels = |count: usize, letters: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("a{at:0width$}", width = letters - 1)).collect();
        let text = MANIFEST.replace(r#"["benign", "malignant"]"#, &format!("{names:?}"));
        Manifest::from_toml(&text[..text.find("[[known_answers]]").unwrap_or(text.len())])
    };
    assert!(labels(14, 64).is_ok());
    let refused = labels(16, 64).unwrap_err();
    assert!(refused.to_string().contains("answer too long"), "{refused}");
    assert!(labels(58, 4).is_ok());
    assert!(matches!(labels(64, 4), Err(Error::ManifestValue { field, .. }) if field == "labels"));
}

fn archived(package: &Package) -> Vec<u8> {
    let mut archive = Vec::new();
    package.write_tar(&mut archive).unwrap();
    archive
}

/// An archive of these entries, which need not make sense.
fn archive_of(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn refused(changed: &str, to: &str) -> Error {
    assert!(MANIFEST.contains(changed), "{changed}");
    Manifest::from_toml(&MANIFEST.replacen(changed, to, 1)).unwrap_err()
}

#[test]
fn a_manifest_says_what_it_says() {
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    assert_eq!((manifest.name.as_str(), manifest.version), ("two-views", 3));
    assert_eq!(manifest.preprocessing.revision(), "screening-mammogram/1");
    assert!(matches!(manifest.preprocessing, Preprocessing::ScreeningMammogram1(_)));
    assert_eq!(manifest.views[&View::RMlo].window, (2974, 1748));
    assert_eq!(manifest.views[&View::LCc].output, Output::LogSoftmaxPairs);
    assert_eq!(manifest.known_answers[0].scores["malignant"], 0.5);
    assert_eq!(Manifest::from_toml(&manifest.to_toml().unwrap()).unwrap(), manifest);
}

#[test]
fn a_folder_and_an_archive_hold_the_same_package() {
    let folder = tempfile::tempdir().unwrap();
    let package = package();
    package.write_folder(&folder.path().join("new")).unwrap();
    let opened = Package::open(&folder.path().join("new")).unwrap();
    let archive = archived(&package);
    let unpacked = Package::from_tar(archive.as_slice()).unwrap();
    assert_eq!(opened.digest(), package.digest());
    assert_eq!(unpacked.digest(), package.digest());
    assert_eq!(archived(&opened), archive);
    assert_eq!(opened.file("mlo.onnx"), Some(&b"second"[..]));
}

/// The digest by hand, from the words of `docs/model-package.md`.
#[test]
fn the_digest_is_over_the_sorted_names_lengths_and_hashes() {
    let sha = |bytes: &[u8]| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, bytes).as_ref().to_vec();
    let package = package();
    let mut list = b"cloister model package 1\n".to_vec();
    for name in ["cc.onnx", "manifest.toml", "mlo.onnx"] {
        let bytes = package.file(name).unwrap();
        list.extend((name.len() as u64).to_be_bytes());
        list.extend(name.bytes());
        list.extend((bytes.len() as u64).to_be_bytes());
        list.extend(sha(bytes));
    }
    assert_eq!(package.digest().to_vec(), sha(&list));
}

#[test]
fn every_byte_counts_in_the_digest() {
    let mut changed = networks();
    changed.get_mut("cc.onnx").unwrap()[0] ^= 1;
    let other = Package::new(&Manifest::from_toml(MANIFEST).unwrap(), changed).unwrap();
    assert!(matches!(other.check_digest(&package().digest()), Err(Error::Digest { .. })));
    package().check_digest(&package().digest()).unwrap();
}

#[test]
fn a_package_lacks_nothing_and_holds_nothing_else() {
    let manifest = Manifest::from_toml(MANIFEST).unwrap();
    let mut fewer = networks();
    fewer.remove("mlo.onnx");
    assert!(matches!(Package::new(&manifest, fewer), Err(Error::MissingFile(name)) if name == "mlo.onnx"));
    let mut more = networks();
    more.insert("notes.txt".to_owned(), vec![]);
    assert!(matches!(Package::new(&manifest, more), Err(Error::UnknownFile(name)) if name == "notes.txt"));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Package::open(folder.path()), Err(Error::MissingFile(name)) if name == "manifest.toml"));
    fs::create_dir(folder.path().join("inner")).unwrap();
    assert!(matches!(Package::open(folder.path()), Err(Error::NotAPlainFile(name)) if name == "inner"));
    assert!(matches!(Package::open(&folder.path().join("absent")), Err(Error::File { action: "list", .. })));
    assert!(matches!(package().write_folder(folder.path()), Err(Error::File { action: "write into", .. })));
}

#[cfg(unix)]
#[test]
fn links_in_a_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    package().write_folder(folder.path()).unwrap();
    fs::remove_file(folder.path().join("cc.onnx")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", folder.path().join("cc.onnx")).unwrap();
    assert!(matches!(Package::open(folder.path()), Err(Error::NotAPlainFile(name)) if name == "cc.onnx"));
}

#[test]
fn hostile_archives_are_refused() {
    use tar::EntryType;
    let read = |entries: &[(&str, EntryType, &[u8])]| Package::from_tar(archive_of(entries).as_slice()).err().unwrap();
    for name in ["../cc.onnx", "/etc/passwd", "a/cc.onnx", ".hidden", "cc onnx", "", "caf\u{e9}.onnx", "a\\b", "-x"] {
        assert!(matches!(read(&[(name, EntryType::Regular, b"")]), Error::FileName(given) if given == name), "{name}");
    }
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Char,
        EntryType::Fifo,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongName,
        EntryType::GNUSparse,
    ] {
        assert!(matches!(read(&[("cc.onnx", kind, b"")]), Error::NotAPlainFile(_)), "{kind:?}");
    }
    let twice = read(&[("a.onnx", EntryType::Regular, b"1"), ("a.onnx", EntryType::Regular, b"2")]);
    assert!(matches!(twice, Error::DuplicateFile(_)));
    let names: Vec<String> = (0..17).map(|number| format!("{number}.onnx")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), EntryType::Regular, &b""[..])).collect();
    assert!(matches!(read(&many), Error::TooManyFiles(16)));
    let long = vec![b' '; (256 << 10) + 1];
    assert!(matches!(read(&[("manifest.toml", EntryType::Regular, &long)]), Error::FileTooLarge { .. }));
}

#[test]
fn an_archive_that_promises_too_much_is_refused_before_it_is_read() {
    let mut header = tar::Header::new_ustar();
    header.set_path("big.onnx").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(1 << 40);
    header.set_cksum();
    assert!(matches!(Package::from_tar(&header.as_bytes()[..]), Err(Error::FileTooLarge { .. })));
}

#[test]
fn an_archive_cut_short_or_gone_on_is_refused() {
    let whole = archived(&package());
    // Without its two closing empty blocks an archive still holds all its files, so cuts are made before these.
    for length in [1, 511, 513, whole.len() / 2, whole.len() - 1024 - 600] {
        assert!(Package::from_tar(&whole[..length]).is_err(), "{length}");
    }
    let mut longer = whole.clone();
    longer.extend([0; 512]);
    assert!(Package::from_tar(longer.as_slice()).is_ok());
    longer.push(1);
    assert!(matches!(Package::from_tar(longer.as_slice()), Err(Error::TrailingData)));
}

/// A sealed file reports a bad last chunk only when it is read to its end.
#[test]
fn what_the_reader_reports_after_the_archive_is_not_missed() {
    struct Fails;
    impl io::Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the last chunk is not authentic"))
        }
    }
    let archive = archived(&package());
    let error = Package::from_tar(io::Read::chain(archive.as_slice(), Fails)).err().unwrap();
    assert!(matches!(error, Error::ReadArchive(source) if source.to_string().contains("not authentic")));
}

#[test]
fn other_formats_and_unknown_or_missing_fields_are_refused() {
    assert!(matches!(refused("format = 1", "format = 2"), Error::ManifestFormat(2)));
    for (from, to) in [
        ("version = 3", "version = 3\nauthor = \"me\""),
        ("version = 3", ""),
        ("version = 3", "version = -1"),
        ("version = 3", "version = \"1.0\""),
        ("seed = 0", "seed = 0\nsharpen = 1"),
        ("seed = 0", ""),
        ("screening-mammogram/1", "screening-mammogram/2"),
        ("log-softmax-pairs", "argmax"),
        ("[views.L-CC]", "[views.LCC]"),
        ("synthetic/1", "synthetic/9"),
        ("[[known_answers]]", "[[known_answers"),
    ] {
        assert!(matches!(refused(from, to), Error::Manifest(_)), "{to}");
    }
}

#[test]
fn values_that_a_manifest_may_not_have_are_refused_by_name() {
    for (from, to, field) in [
        ("\"two-views\"", "\"Two Views\"", "name"),
        ("\"two-views\"", "\"\"", "name"),
        ("version = 3", "version = 0", "version"),
        ("\"tests\"", "\" \"", "intended_use"),
        ("[\"benign\", \"malignant\"]", "[]", "labels"),
        ("[\"benign\", \"malignant\"]", "[\"benign\", \"benign\"]", "labels"),
        ("[\"benign\", \"malignant\"]", "[\"benign\", \"window\"]", "labels"),
        ("[\"benign\", \"malignant\"]", "[\"benign\", \"Bad\"]", "labels"),
        ("[2677, 1942]", "[0, 1942]", "views.L-CC.window"),
        ("[2677, 1942]", "[2677, 100000]", "views.L-CC.window"),
        ("\"mlo.onnx\"", "\"manifest.toml\"", "views.R-MLO.network"),
        ("view = \"L-CC\"", "view = \"R-CC\"", "known_answers.view"),
        ("crops = 1", "crops = 0", "known_answers.crops"),
        ("crops = 1", "crops = 65", "known_answers.crops"),
        ("height = 600", "height = 12001", "known_answers.image"),
        ("tolerance = 1e-4", "tolerance = 0.5", "known_answers.tolerance"),
        ("tolerance = 1e-4", "tolerance = nan", "known_answers.tolerance"),
        ("{ benign = 0.25, ", "{ ", "known_answers.scores"),
        ("benign = 0.25", "benign = 1.25", "known_answers.scores"),
        ("benign = 0.25", "benign = nan", "known_answers.scores"),
    ] {
        match refused(from, to) {
            Error::ManifestValue { field: given, .. } => assert_eq!(given, field, "{to}"),
            other => panic!("{to}: {other}"),
        }
    }
    assert!(matches!(refused("\"mlo.onnx\"", "\"../mlo.onnx\""), Error::FileName(_)));
}

#[test]
fn numbers_of_another_preprocessing_are_refused() {
    for (from, to) in [
        ("erosion = 100", "erosion = 99"),
        ("margin = 50", "margin = 0"),
        ("position_noise = 100", "position_noise = 50"),
        ("size_noise = 100", "size_noise = 50"),
        ("seed = 0", "seed = 1"),
        ("least_deviation = 1e-5", "least_deviation = nan"),
    ] {
        let field = from.split(' ').next().unwrap();
        assert!(matches!(refused(from, to), Error::PreprocessingNumber { field: given, .. } if given == field), "{to}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_archive_reader_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
        let _ = Package::from_tar(bytes.as_slice());
    }

    #[test]
    fn an_archive_with_a_changed_byte_is_refused_or_is_another_package_or_the_same(at in 0_usize..8192, bit in 0_u32..8) {
        let package = package();
        let mut archive = archived(&package);
        let at = at % archive.len();
        archive[at] ^= 1 << bit;
        if let Ok(read) = Package::from_tar(archive.as_slice()) {
            let same = read.files().eq(package.files());
            proptest::prop_assert_eq!(same, read.digest() == package.digest());
        }
    }
}
