//! Models that are not the screening network of single views: an added classifier with other labels, colour channels and one network for every
//! view; and networks that look at both breasts at once.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Front, Setup, World, binary, image, run};
use serde_json::Value;

const LABELS: [&str; 3] = ["mass", "calcification", "distortion"];

/// The classifier of crates/model's tests, whose scores are held against another runtime's there.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/data").join(name)
}

fn cloister(arguments: &[&str], paths: &[(&str, &Path)]) -> String {
    let mut command = Command::new(binary("cloister"));
    command.args(arguments);
    for (flag, path) in paths {
        command.arg(flag).arg(path);
    }
    run(&mut command).success()
}

/// An enclave that serves the added classifier.
async fn world(folder: &Path) -> World {
    let package = folder.join("package");
    let files = [("--onnx", &*data("lesions.onnx")), ("--manifest", &*data("lesions.toml")), ("--out", &*package)];
    let said = cloister(&["model", "add"], &files);
    assert!(said.contains("wrote lesions version 1") && said.contains("digest "), "{said}");
    let enclave = EnclaveSetup { model: "lesions".to_owned(), ..EnclaveSetup::default() };
    World::ready(Setup { package: Some(package), enclave, ..Setup::default() }).await
}

fn pictures(folder: &Path) -> Vec<(View, PathBuf)> {
    let written = |view: View| {
        let path = folder.join(format!("{view}.png"));
        std::fs::write(&path, image(view, 17)).unwrap();
        (view, path)
    };
    View::ALL.map(written).to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_classifier_is_served_with_its_own_labels_and_its_receipt_is_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let pictures = pictures(folder.path());
    let receipt = folder.path().join("receipt.cbor");
    let mut command = world.cloister("exam");
    for (view, path) in &pictures {
        command.arg(format!("--{}", view.as_str().to_ascii_lowercase())).arg(path);
    }
    let exam: Value =
        serde_json::from_str(&run(command.arg("--json").arg("--receipt").arg(&receipt)).success()).unwrap();
    let locally = |view: View, path: &Path| -> Value {
        let package = [("--package", &*world.package), ("--image", path)];
        serde_json::from_str(&cloister(&["model", "run", "--json", "--view", view.as_str()], &package)).unwrap()
    };
    let mut sums = std::collections::BTreeMap::<_, f64>::new();
    for ((view, path), answer) in pictures.iter().zip(exam["views"].as_array().unwrap()) {
        let own = locally(*view, path);
        assert_eq!((answer["view"].as_str(), answer["crops"].as_u64()), (Some(view.as_str()), Some(1)));
        for label in LABELS {
            assert!((answer[label].as_f64().unwrap() - own[label].as_f64().unwrap()).abs() < 1e-6, "{view} {label}");
            let side = if view.as_str().starts_with('L') { "left" } else { "right" };
            *sums.entry((side, label)).or_default() += own[label].as_f64().unwrap();
        }
        assert!(answer.get("malignant").is_none(), "{answer}");
    }
    for ((side, label), sum) in sums {
        let mean = exam["breasts"][side][label].as_f64().unwrap();
        assert!((mean - sum / 2.0).abs() < 1e-6, "{side} {label}");
    }
    let mut verified = Command::new(binary("cloister"));
    verified.args(["receipt", "verify", "--json"]).arg(&receipt).arg("--policy").arg(world.policy_file());
    let verified: Value = serde_json::from_str(&run(&mut verified).success()).unwrap();
    assert_eq!((&verified["model"]["name"], &verified["preprocessing"]), (&"lesions".into(), &"resize/1".into()));
    for label in LABELS {
        assert_eq!(verified["breasts"]["left"][label], exam["breasts"]["left"][label], "{label}");
    }
    let mut reproduce = Command::new(binary("cloister"));
    reproduce.args(["receipt", "reproduce", "--json"]).arg(&receipt).arg("--package").arg(&world.package);
    for (_, path) in &pictures {
        reproduce.arg("--image").arg(path);
    }
    let reproduced: Value = serde_json::from_str(&run(&mut reproduce).success()).unwrap();
    assert_eq!(reproduced["identical"], true, "{reproduced}");
    // Three labels of four views and two breasts.
    assert_eq!(reproduced["scores"].as_array().unwrap().len(), 18, "{reproduced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_labels_of_the_model_that_answered() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let (view, path) = pictures(folder.path()).swap_remove(3);
    let mut command = world.cloister("classify");
    let text = run(command.args(["--view", view.as_str()]).arg("--image").arg(&path)).success();
    for words in ["mass", "calcification", "distortion", "lesions"] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    assert!(!text.contains("malignant"), "{text}");
}

/// An enclave that serves networks of both breasts, with random weights.
async fn world_of_exams(folder: &Path) -> World {
    let package = folder.join("package");
    cloister(&["model", "demo", "--exam", "--width", "1", "--window", "160x128"], &[("--out", &package)]);
    World::ready(Setup { package: Some(package), ..Setup::default() }).await
}

fn with_views<'a>(command: &'a mut Command, pictures: &[(View, PathBuf)]) -> &'a mut Command {
    for (view, path) in pictures {
        command.arg(format!("--{}", view.as_str().to_ascii_lowercase())).arg(path);
    }
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_that_is_looked_at_as_a_whole_is_served_signed_and_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_exams(folder.path()).await;
    let (pictures, receipt) = (pictures(folder.path()), folder.path().join("receipt.cbor"));
    let mut command = world.cloister("exam");
    with_views(&mut command, &pictures).args(["--crops", "3", "--json", "--receipt"]).arg(&receipt);
    let exam: Value = serde_json::from_str(&run(&mut command).success()).unwrap();
    let mut command = Command::new(binary("cloister"));
    command.args(["model", "exam", "--json", "--crops", "3", "--package"]).arg(&world.package);
    let own: Value = serde_json::from_str(&run(with_views(&mut command, &pictures)).success()).unwrap();
    for side in ["left", "right"] {
        for label in ["benign", "malignant"] {
            let [served, computed] = [&exam, &own].map(|answer| answer["breasts"][side][label].as_f64().unwrap());
            assert!((served - computed).abs() < 1e-6, "{side} {label}");
        }
    }
    for (answer, place) in exam["views"].as_array().unwrap().iter().zip(own["views"].as_array().unwrap()) {
        assert!(answer.get("malignant").is_none(), "{answer}");
        for member in ["view", "window", "best_center", "crops", "findings"] {
            assert_eq!(answer[member], place[member], "{member}");
        }
    }
    let mut verify = Command::new(binary("cloister"));
    verify.args(["receipt", "verify", "--json"]).arg(&receipt).arg("--policy").arg(world.policy_file());
    for (_, path) in &pictures {
        verify.arg("--image").arg(path);
    }
    let verified: Value = serde_json::from_str(&run(&mut verify).success()).unwrap();
    assert_eq!((&verified["verified"], &verified["breasts"]), (&true.into(), &exam["breasts"]));
    assert!(verified["views"].as_array().unwrap().iter().all(|view| view["scores"] == serde_json::json!({})));
    let reproduce = |pictures: &[(View, PathBuf)]| {
        let mut command = Command::new(binary("cloister"));
        command.args(["receipt", "reproduce", "--json"]).arg(&receipt).arg("--package").arg(&world.package);
        for (_, path) in pictures {
            command.arg("--image").arg(path);
        }
        run(&mut command)
    };
    let reproduced: Value = serde_json::from_str(&reproduce(&pictures).success()).unwrap();
    assert_eq!((&reproduced["identical"], reproduced["scores"].as_array().unwrap().len()), (&true.into(), 4));
    let refused = reproduce(&pictures[..3]);
    assert_eq!(refused.code, 65, "{refused:?}");
    assert!(refused.stderr.contains("no R-MLO"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_whole_exams_refuses_a_single_image_and_says_where_to_send_four() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_exams(folder.path()).await;
    let pictures = pictures(folder.path());
    let (view, path) = &pictures[0];
    let mut command = world.cloister("classify");
    let refused = run(command.args(["--view", view.as_str()]).arg("--image").arg(path));
    assert_eq!(refused.code, 65, "{refused:?}");
    for words in ["scores no single image", "/v1/exams"] {
        assert!(refused.stderr.contains(words), "{words} is not in {refused:?}");
    }
    let mut front = Front::connect(&world.server).await;
    let answer =
        front.send_with("POST", "/v1/images?view=L-CC", &[("content-type", "image/png")], image(*view, 1)).await;
    assert_eq!(answer.status, 422);
    assert!(answer.json()["type"].as_str().unwrap().ends_with("needs-exam"), "{}", answer.json());
    let mut command = world.cloister("exam");
    let text = run(with_views(&mut command, &pictures).args(["--crops", "1"])).success();
    for words in ["left  breast  benign 0.", "L-CC        looked at together with the other views"] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_of_whole_exams_takes_no_fewer_views_and_does_not_say_that_it_would() {
    let folder = tempfile::tempdir().unwrap();
    let world = world_of_exams(folder.path()).await;
    let part = |name: &str, view| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n");
        [head.as_bytes(), &image(view, 17), b"\r\n"].concat()
    };
    let three = [part("L-CC", View::LCc), part("R-CC", View::RCc), part("L-MLO", View::LMlo)].concat();
    for query in ["crops=1", "crops=1&missing=allow"] {
        let body = [&*three, b"--b--\r\n"].concat();
        let mut front = Front::connect(&world.server).await;
        let answer = front.send("POST", &format!("/v1/exams?{query}"), "multipart/form-data; boundary=b", body).await;
        assert_eq!((answer.status, answer.problem().as_str()), (400, "part-missing"), "{query}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.starts_with("R-MLO; a model that scores each view alone"), "{query}: {detail}");
    }
}
