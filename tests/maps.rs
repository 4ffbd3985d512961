//! Where the network looked: asked for by a clinic, signed with the scores, and computed again by the model's owner.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_client::{Asked, receipt};
use cloister_imaging::View;
use cloister_tests::{Front, Setup, World, binary, image, run};
use serde_json::Value;

/// An exam's four images as files.
fn files(world: &World, seed: u64) -> Vec<(View, PathBuf)> {
    let file = |view: View| {
        let path = world.folder().join(format!("{view}.png"));
        fs::write(&path, image(view, seed)).unwrap();
        (view, path)
    };
    View::ALL.map(file).to_vec()
}

fn asked(map: Option<&str>) -> Asked {
    Asked { crops: Some(2), map: map.map(str::to_owned), ..Asked::default() }
}

/// An 8-bit greyscale PNG's size and pixels.
fn picture(path: &Path) -> ((u32, u32), Vec<u8>) {
    let picture =
        cloister_imaging::decode(&fs::read(path).unwrap(), &cloister_imaging::DecodeLimits::default()).unwrap();
    let size = (picture.nrows() as u32, picture.ncols() as u32);
    (size, picture.iter().map(|pixel| *pixel as u8).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exams_maps_come_with_the_same_scores_and_are_what_the_receipt_signs() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let images = View::ALL.map(|view| (view, image(view, 5))).to_vec();
    let plain = session.exam(images.clone(), asked(None), None).await.unwrap();
    assert!(plain.views.iter().all(|view| view.map.is_none()));
    let exam = session.exam(images, asked(Some("malignant")), None).await.unwrap();
    for (with, without) in exam.views.iter().zip(&plain.views) {
        assert_eq!((&with.scores, with.view), (&without.scores, without.view));
        let map = with.map.as_ref().unwrap();
        assert_eq!((map.label.as_str(), map.rows, map.columns), ("malignant", 128, 98), "{}", with.view);
    }
    let claims = receipt::verify(&exam.receipt.0, &world.policy).unwrap().claims;
    assert!(claims.views.iter().all(|view| view.map.as_ref().unwrap().label == "malignant"));
    assert!(
        receipt::verify(&plain.receipt.0, &world.policy).unwrap().claims.views.iter().all(|view| view.map.is_none())
    );
    let bright = |view: &cloister_client::Classification| view.map.as_ref().unwrap().values.contains(&255);
    assert!(exam.views.iter().any(bright), "some network looks somewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_are_written_as_pictures_and_computed_again_by_the_models_owner() {
    let world = World::ready(Setup::default()).await;
    let files = files(&world, 6);
    let (maps, receipt) = (world.folder().join("maps"), world.folder().join("receipt.cbor"));
    let mut command = world.cloister("exam");
    for (flag, (_, path)) in ["--l-cc", "--r-cc", "--l-mlo", "--r-mlo"].iter().zip(&files) {
        command.arg(flag).arg(path);
    }
    command.args(["--crops", "2", "--json", "--map-label", "benign"]);
    let answer = run(command.arg("--maps").arg(&maps).arg("--receipt").arg(&receipt)).success();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let mut bright = 0;
    for (index, (view, path)) in files.iter().enumerate() {
        let (size, pixels) = picture(&maps.join(format!("{view}.png")));
        let map = &answer["views"][index]["map"];
        assert_eq!((size, map["label"].as_str()), ((128, 98), Some("benign")), "{view}");
        bright += usize::from(pixels.contains(&255));
        // At the owner's, without an enclave.
        let mut local = Command::new(binary("cloister"));
        local.args(["model", "run", "--crops", "2", "--view", view.as_str(), "--map-label", "benign", "--package"]);
        let file = world.folder().join("local.png");
        run(local.arg(&world.package).arg("--image").arg(path).arg("--map").arg(&file)).success();
        assert!(picture(&file).1 == pixels, "{view}: another map without an enclave");
    }
    assert!(bright > 0, "some network looks somewhere");

    let mut show = Command::new(binary("cloister"));
    let shown = run(show.args(["receipt", "show", "--json"]).arg(&receipt)).success();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    for threads in ["1", "3"] {
        let mut reproduce = Command::new(binary("cloister"));
        reproduce.args(["receipt", "reproduce", "--json", "--threads", threads]).arg(&receipt);
        reproduce.arg("--package").arg(&world.package);
        for (_, path) in &files {
            reproduce.arg("--image").arg(path);
        }
        let outcome: Value = serde_json::from_str(&run(&mut reproduce).success()).unwrap();
        assert_eq!(outcome["identical"], true, "{outcome}");
        let maps = outcome["maps"].as_array().unwrap();
        assert_eq!(maps.len(), 4);
        for (map, view) in maps.iter().zip(shown["views"].as_array().unwrap()) {
            assert_eq!((&map["view"], &map["label"]), (&view["view"], &view["map"]["label"]));
            assert_eq!(map["signed_sha256"], view["map"]["sha256"]);
        }
    }
    let mut verify = Command::new(binary("cloister"));
    verify.args(["receipt", "verify"]).arg(&receipt).arg("--policy").arg(world.policy_file());
    let text = run(&mut verify).success();
    assert!(text.contains("map for benign, SHA-256 "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_image_has_its_map_in_the_sealed_result() {
    let world = World::ready(Setup { takes_sealed_images: true, ..Setup::default() }).await;
    let (plain, sealed, result) =
        (world.folder().join("plain.png"), world.folder().join("image.sealed"), world.folder().join("result.sealed"));
    fs::write(&plain, image(View::RMlo, 8)).unwrap();
    let mut seal = world.data_owner(["image", "seal"]);
    seal.args(["--view", "R-MLO", "--key-id", &world.data_key_arn])
        .arg("--image")
        .arg(&plain)
        .arg("--out")
        .arg(&sealed);
    run(&mut seal).success();
    let mut lengths = Vec::new();
    for label in ["malignant", "benign"] {
        let mut classify = world.cloister("classify");
        classify.args(["--view", "R-MLO", "--crops", "2", "--map-label", label]);
        run(classify.arg("--image").arg(&sealed).arg("--result").arg(&result)).success();
        lengths.push(fs::metadata(&result).unwrap().len());
    }
    assert_eq!(lengths[0], lengths[1], "the length tells nothing of the map");
    let (answer, map) = (world.folder().join("answer.json"), world.folder().join("map.png"));
    let mut open = world.data_owner(["sealed", "open"]);
    open.arg(&result).args(["--key-id", &world.data_key_arn]).arg("--out").arg(&answer).arg("--map").arg(&map);
    run(&mut open).success();
    let direct =
        world.session().await.classify(fs::read(&plain).unwrap(), View::RMlo, asked(Some("benign")), None).await;
    assert!(picture(&map).1 == direct.unwrap().map.unwrap().values, "another map than of the plain image");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_for_a_label_that_the_model_does_not_score_is_refused_by_name() {
    let world = World::ready(Setup::default()).await;
    let mut front = Front::connect(&world.server).await;
    let answer = front.post_image("view=L-CC&crops=1&map=other", image(View::LCc, 1)).await;
    assert_eq!(answer.status, 400);
    let problem = answer.json();
    assert_eq!(problem["type"], "urn:cloister:problem:map-unknown-label");
    assert!(problem["detail"].as_str().unwrap().contains("benign, malignant"), "{problem}");
}
