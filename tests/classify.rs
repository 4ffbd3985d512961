//! The main job: a clinic verifies an enclave, sends images, and reads the scores that the model's owner would get.

use std::process::Command;

use cloister_imaging::View;
use cloister_tests::{MODEL, Setup, World, binary, image, run};
use serde_json::Value;

fn locally(world: &World, view: View, png: &[u8], crops: u32) -> Value {
    let file = world.folder().join("local.png");
    std::fs::write(&file, png).unwrap();
    let mut command = Command::new(binary("cloister"));
    command.args(["model", "run", "--json", "--view", view.as_str(), "--crops", &crops.to_string()]);
    command.arg("--package").arg(&world.package).arg("--image").arg(&file);
    serde_json::from_str(&run(&mut command).success()).unwrap()
}

fn close(one: &Value, other: &Value) -> bool {
    (one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-6
}

#[tokio::test(flavor = "multi_thread")]
async fn every_view_scores_the_same_through_the_enclave_as_at_its_owners() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    for (view, crops) in [(View::LCc, 1), (View::RCc, 3), (View::LMlo, 2), (View::RMlo, 1)] {
        let png = image(view, 11);
        let answer = session.classify(png.clone(), view, Some(crops), None).await.unwrap();
        let model = answer.model.clone().unwrap();
        assert_eq!((model.name.as_str(), model.version), (MODEL, 1));
        let answer = serde_json::to_value(&answer).unwrap();
        let local = locally(&world, view, &png, crops);
        for member in ["view", "window", "best_center", "crops"] {
            assert_eq!(answer[member], local[member], "{view} {member}");
        }
        for label in ["benign", "malignant"] {
            assert!(close(&answer[label], &local[label]), "{view} {label}: {answer} and {local}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_gives_each_breast_the_mean_of_its_two_views() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let images = View::ALL.map(|view| (view, image(view, 5))).to_vec();
    let exam = session.exam(images, Some(1), None).await.unwrap();
    let score = |view: View, label: &str| exam.views.iter().find(|v| v.view == view).unwrap().scores[label];
    for (side, cc, mlo) in [("left", View::LCc, View::LMlo), ("right", View::RCc, View::RMlo)] {
        for label in ["benign", "malignant"] {
            let mean = f64::midpoint(score(cc, label), score(mlo, label));
            assert!((exam.breasts[side].scores[label] - mean).abs() < 1e-12, "{side} {label}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_what_it_verified_beside_the_scores() {
    let world = World::ready(Setup::default()).await;
    let mut paths = Vec::new();
    for view in View::ALL {
        let path = world.folder().join(format!("{view}.png"));
        std::fs::write(&path, image(view, 3)).unwrap();
        paths.push(path);
    }
    let one = run(world
        .cloister("classify")
        .arg("--image")
        .arg(&paths[0])
        .args(["--view", "L-CC", "--crops", "1", "--json"]));
    assert_eq!(one.stderr, "", "no progress where there is no terminal");
    let one: Value = serde_json::from_str(&one.success()).unwrap();
    assert_eq!(one["view"], "L-CC");
    assert!((0.0..=1.0).contains(&one["malignant"].as_f64().unwrap()));
    assert_eq!(one["verified"]["accepted_as"], "the image under test");
    assert_eq!(one["verified"]["pcrs"]["0"], "a0".repeat(48));
    assert_eq!(one["verified"]["root_sha256"], hex::encode(world.root.fingerprint()));

    let mut command = world.cloister("exam");
    command
        .arg("--l-cc")
        .arg(&paths[0])
        .arg("--r-cc")
        .arg(&paths[1])
        .arg("--l-mlo")
        .arg(&paths[2])
        .arg("--r-mlo")
        .arg(&paths[3]);
    let text = run(command.args(["--crops", "1"])).success();
    for part in [
        "left  breast  benign 0.",
        "right breast  benign 0.",
        "accepted as  the image under test",
        "PCR16",
        "the model",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }

    let verified =
        run(world.cloister("verify").args(["--json", "--document"]).arg(world.folder().join("document.cbor")));
    let verified: Value = serde_json::from_str(&verified.success()).unwrap();
    assert_eq!(verified["accepted_as"], "the image under test");
    // The kept document says the same offline, without a connection to hold it against.
    let mut offline = Command::new(binary("cloister"));
    offline.args(["attestation", "verify"]).arg(world.folder().join("document.cbor"));
    let text = run(offline.arg("--policy").arg(world.policy_file())).success();
    assert!(text.contains("the image under test"), "{text}");
}
