//! Results in DICOM, as a PACS gets them: of files in, by the command line, through the attested channel, read by others.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_imaging::View;
use cloister_test_data::readers;
use cloister_tests::{Dicom, Output, Setup, World, binary, image, run};
use serde_json::Value;

const CHARACTER_SET: u32 = 0x0008_0005;
const PATIENT_ID: u32 = 0x0010_0020;
const STUDY: u32 = 0x0020_000D;

fn file(view: View) -> Dicom {
    Dicom::of(view, &image(view, 11), view as u32 + 1).with(0x0008_0050, "SH", "A-77").with(0x0020_0020, "CS", "A\\R")
}

fn write(world: &World, name: &str, bytes: Vec<u8>) -> PathBuf {
    let path = world.folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn exam(world: &World, files: &[PathBuf; 4], folder: &Path, more: &[&str]) -> Output {
    let mut exam = world.cloister("exam");
    for (flag, path) in ["--l-cc", "--r-cc", "--l-mlo", "--r-mlo"].into_iter().zip(files) {
        exam.arg(flag).arg(path);
    }
    run(exam.args(["--crops", "1", "--dicom-results"]).arg(folder).args(more))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exams_answer_becomes_dicom_files_that_others_read() {
    let world = World::ready(Setup::default()).await;
    let files = View::ALL.map(|view| write(&world, &format!("{view}.dcm"), file(view).bytes()));
    let folder = world.folder().join("results");
    let receipt = world.folder().join("receipt.cbor");
    let maps = world.folder().join("maps");
    let more = ["--operating-point", "sensitive=0.0", "--utc-offset", "+08:00", "--json", "--receipt"];
    let places = [receipt.to_str().unwrap(), "--maps", maps.to_str().unwrap()];
    let answer = exam(&world, &files, &folder, &[&more[..], &places].concat()).success();
    let answer: Value = serde_json::from_str(&answer).unwrap();

    let captures = View::ALL.map(|view| format!("secondary-capture-{view}.dcm"));
    for name in ["cad-sr.dcm", "text-sr.dcm"].into_iter().chain(captures.iter().map(String::as_str)) {
        let said = readers::dciodvfy(&folder.join(name));
        assert!(!said.contains("Error"), "{said}");
    }
    let found = readers::read(&folder, Path::new(env!("CARGO_TARGET_TMPDIR")));
    let digest = Command::new("sha384sum").arg(&receipt).output().unwrap();
    let digest = String::from_utf8(digest.stdout).unwrap()[..96].to_owned();
    for found in [&found["cad-sr.dcm"], &found["text-sr.dcm"]] {
        assert_eq!(found.attributes["PatientID"], "zq7canary-4711");
        assert_eq!(found.attributes["AccessionNumber"], "A-77");
        assert_eq!(found.attributes["StudyInstanceUID"], "1.2.826.0.1.3680043.8.2.77777");
        let mut evidence = found.evidence.clone();
        evidence.sort();
        assert_eq!(evidence, [1, 2, 3, 4].map(|number| format!("1.2.826.0.1.3680043.8.1.{number}")));
        let tree = found.tree.join("\n");
        assert!(tree.contains(&digest), "{tree}");
        assert!(tree.contains("UTC+08:00") && tree.contains("sensitive"), "{tree}");
        for side in ["left", "right"] {
            let score = answer["breasts"][side]["malignant"].as_f64().unwrap();
            assert!(tree.contains(&format!("malignant {score:.6}")), "{score} in {tree}");
        }
    }
    for (name, view) in captures.iter().zip(View::ALL) {
        let found = &found[name];
        assert_eq!(found.source, format!("1.2.826.0.1.3680043.8.1.{}", view as u32 + 1));
        assert_eq!((found.shape.as_slice(), found.preserved.as_str()), ([832, 640, 3].as_slice(), "YES"));
        assert!(found.comments.contains(&digest), "{}", found.comments);
        // A map is drawn in red and yellow, and its peak is always there.
        let map = ::image::open(maps.join(format!("{view}.png"))).unwrap().into_luma8();
        let anything = map.pixels().any(|pixel| pixel.0[0] > 0);
        assert_eq!(found.sum[0] > found.sum[2], anything, "{view}: {:?}", found.sum);
    }
}

/// An exam of files that cannot be sent anywhere.
fn offline(files: &[&Path; 4], more: &[&str]) -> Output {
    let mut exam = Command::new(binary("cloister"));
    exam.args(["exam", "--server", "tcp://127.0.0.1:1", "--policy", "nowhere", "--dicom-results", "nowhere"]);
    for (flag, path) in ["--l-cc", "--r-cc", "--l-mlo", "--r-mlo"].into_iter().zip(files) {
        exam.arg(flag).arg(path);
    }
    run(exam.args(more))
}

#[test]
fn what_cannot_be_a_source_is_refused_before_a_connection_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let files = View::ALL.map(|view| write(&format!("{view}.dcm"), file(view).bytes()));
    let with = |first: &Path| {
        let files = [first, &files[1], &files[2], &files[3]];
        offline(&files, &["--operating-point", "sensitive=0.5", "--allow-mixed"])
    };
    for (first, words) in [
        (write("l-cc.png", image(View::LCc, 11)), "L-CC: this is not a DICOM file"),
        (files[2].clone(), "the file says that it is L-MLO"),
        (write("name.dcm", file(View::LCc).with(CHARACTER_SET, "CS", "ISO_IR 999").bytes()), "character set"),
        (write("patient.dcm", file(View::LCc).with(PATIENT_ID, "LO", "another").bytes()), "patients differ"),
        (write("study.dcm", file(View::LCc).with(STUDY, "UI", "1.2.3").bytes()), "studies differ"),
    ] {
        let refused = with(&first);
        assert!(refused.code == 65 && refused.stderr.contains(words), "{refused:?}");
        assert!(!refused.stderr.to_ascii_lowercase().contains("canary"), "{refused:?}");
    }
    let policy = with(&files[0]);
    assert!(policy.stderr.contains("nowhere"), "nothing but the policy is missing: {policy:?}");
    for more in [&[][..], &["--operating-point", "sensitive"], &["--operating-point", "sensitive=2"]] {
        let usage = offline(&files.each_ref().map(PathBuf::as_path), more);
        assert!(usage.code == 64 && usage.stderr.contains("--operating-point"), "{usage:?}");
    }
}
