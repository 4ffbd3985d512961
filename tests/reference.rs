//! The published architecture with given weights: the reference's scores, through the whole attested path.

use std::path::Path;
use std::process::Command;

use cloister_client::Asked;
use cloister_imaging::View;
use cloister_tests::{EnclaveSetup, Setup, World, binary, run};
use serde_json::Value;

/// What the model's owner gets with `cloister model run`.
fn locally(package: &Path, image: &Path, view: View, crops: u32) -> Value {
    let mut command = Command::new(binary("cloister"));
    command.args(["model", "run", "--json", "--view", view.as_str(), "--crops", &crops.to_string()]);
    command.arg("--package").arg(package).arg("--image").arg(image);
    serde_json::from_str(&run(&mut command).success()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_reference_cases_score_as_the_reference_locally_and_through_the_attested_path() {
    const TOLERANCE: f64 = 1e-4;
    const MOST_MEMORY: u64 = 250_000_000;
    let Some(expected) = cloister_test_data::path("reference/expected.json") else { return };
    let data = expected.ancestors().nth(2).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("package");
    let mut convert = Command::new(binary("cloister"));
    convert.args(["model", "convert", "--name", "screening", "--checkpoint"]).arg(data.join("reference/random-a.p"));
    run(convert.arg("--out").arg(&package)).success();

    let enclave = EnclaveSetup { model: "screening".to_owned(), ..EnclaveSetup::default() };
    let world = World::ready(Setup { enclave, package: Some(package), ..Setup::default() }).await;
    let mut session = world.session().await;
    let cases: Value = serde_json::from_slice(&std::fs::read(data.join("reference/expected.json")).unwrap()).unwrap();
    assert_eq!(cases.as_array().unwrap().len(), 4);
    for case in cases.as_array().unwrap() {
        let view: View = case["view"].as_str().unwrap().parse().unwrap();
        let image = std::fs::read(data.join(case["image"].as_str().unwrap())).unwrap();
        for (crops, expected) in [(1, &case["single_a"]), (10, &case["tta10_a"])] {
            let answer = session.classify(image.clone(), view, Some(crops), None).await.unwrap();
            let local = locally(&world.package, &data.join(case["image"].as_str().unwrap()), view, crops);
            assert_eq!(serde_json::to_value(answer.window).unwrap(), case["window_top_bottom_left_right"], "{view}");
            assert_eq!(serde_json::to_value(answer.best_center).unwrap(), case["best_center_y_x"], "{view}");
            assert_eq!(local["window"], case["window_top_bottom_left_right"], "{view}, locally");
            assert_eq!(local["best_center"], case["best_center_y_x"], "{view}, locally");
            for label in ["benign", "malignant"] {
                let difference = (local[label].as_f64().unwrap() - expected[label].as_f64().unwrap()).abs();
                assert!(difference < TOLERANCE, "{view}, {crops} crops, {label}, locally: off by {difference}");
                let difference = (answer.scores[label] - expected[label].as_f64().unwrap()).abs();
                assert!(difference < TOLERANCE, "{view}, {crops} crops, {label}: off by {difference}");
            }
        }
    }
    let image = std::fs::read(data.join(cases[0]["image"].as_str().unwrap())).unwrap();
    let view: View = cases[0]["view"].as_str().unwrap().parse().unwrap();
    let asked = Asked { crops: Some(10), map: Some("malignant".to_owned()), ..Asked::default() };
    let with_map = session.classify(image.clone(), view, asked, None).await.unwrap();
    let without = session.classify(image, view, Some(10), None).await.unwrap();
    assert_eq!(with_map.scores, without.scores);
    assert!(with_map.map.unwrap().values.contains(&255));
    let peak = world.enclave.process.peak_memory();
    assert!(peak < MOST_MEMORY, "the enclave held {} MB at its most", peak / 1_000_000);
}
