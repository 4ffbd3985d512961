//! What a client keeps of an answer: a receipt that can be checked years later, by someone else, without a connection, and computed again
//! by whoever holds the model.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_imaging::View;
use cloister_tests::{Output, Setup, World, binary, image, run};
use serde_json::Value;

/// A world, an image, and the receipt of its classification through the command line.
struct Kept {
    world: World,
    image: PathBuf,
    receipt: PathBuf,
    answer: Value,
}

impl Kept {
    async fn new(crops: u32) -> Self {
        let world = World::ready(Setup::default()).await;
        let (png, receipt) = (world.folder().join("image.png"), world.folder().join("receipt.cbor"));
        std::fs::write(&png, image(View::RCc, 7)).unwrap();
        let mut command = world.cloister("classify");
        command.args(["--view", "R-CC", "--json", "--crops", &crops.to_string()]);
        command.arg("--image").arg(&png).arg("--receipt").arg(&receipt);
        let answer = serde_json::from_str(&run(&mut command).success()).unwrap();
        Self { world, image: png, receipt, answer }
    }

    fn verify(&self, receipt: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary("cloister"));
        command.args(["receipt", "verify"]).arg(receipt).arg("--policy").arg(self.world.policy_file());
        run(command.args(arguments))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_verified_offline_against_the_image_and_says_what_it_does_not_prove() {
    let kept = Kept::new(2).await;
    let image = kept.image.to_str().unwrap();
    let report: Value =
        serde_json::from_str(&kept.verify(&kept.receipt, &["--json", "--image", image]).success()).unwrap();
    assert_eq!(report["verified"], true);
    assert_eq!(
        (report["accepted"].as_str(), report["simulated"].as_bool()),
        (Some("the image under test"), Some(true))
    );
    assert_eq!(report["images"][0]["view"], "R-CC");
    assert_eq!(report["images"][0]["same_bytes"], true);
    assert_eq!(report["model"]["digest"], kept.answer["model"]["digest"]);
    assert_eq!((&report["crops"]["count"], &report["crops"]["seed"]), (&2.into(), &0.into()));
    let [view] = report["views"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((view["view"].as_str(), view["laterality"].as_str()), (Some("R-CC"), Some("R")));
    for label in ["benign", "malignant"] {
        assert_eq!(view["scores"][label], kept.answer[label], "{label}");
    }
    let text = kept.verify(&kept.receipt, &["--image", image]).success();
    for part in ["VERIFIED as of its own time", "SIMULATED", "does NOT prove", "was deleted", "right"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(kept.verify(&kept.receipt, &[]).success().contains("NOT checked"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_another_policy_and_a_changed_receipt_are_refused() {
    let kept = Kept::new(1).await;
    let other = kept.world.folder().join("other.png");
    std::fs::write(&other, image(View::RCc, 8)).unwrap();
    let refused = kept.verify(&kept.receipt, &["--image", other.to_str().unwrap()]);
    assert_eq!(refused.code, 77, "{refused:?}");
    assert!(refused.stderr.contains("another image") && refused.stdout.is_empty(), "{refused:?}");

    let changed = kept.world.folder().join("changed.cbor");
    let bytes = std::fs::read(&kept.receipt).unwrap();
    let mut spoilt = bytes.clone();
    let last = spoilt.len() - 1;
    spoilt[last] ^= 1;
    std::fs::write(&changed, spoilt).unwrap();
    let refused = kept.verify(&changed, &[]);
    assert_eq!(refused.code, 77, "{refused:?}");
    std::fs::write(&changed, &bytes[..100]).unwrap();
    let refused = kept.verify(&changed, &[]);
    assert_eq!(refused.code, 65, "cut short: {refused:?}");

    let policy = kept.world.folder().join("other.toml");
    std::fs::write(&policy, kept.world.policy.to_toml().replace(&"a0".repeat(48), &"b0".repeat(48))).unwrap();
    let mut command = Command::new(binary("cloister"));
    command.args(["receipt", "verify"]).arg(&kept.receipt).arg("--policy").arg(&policy);
    let refused = run(&mut command);
    assert_eq!(refused.code, 77, "{refused:?}");
    assert!(refused.stderr.contains("PCR0"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_shown_without_proof_says_so() {
    let kept = Kept::new(1).await;
    let mut command = Command::new(binary("cloister"));
    let text = run(command.args(["receipt", "show"]).arg(&kept.receipt)).success();
    assert!(text.starts_with("NOT VERIFIED") && text.contains("noiseless"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_the_model_computes_the_same_bits_on_any_number_of_threads() {
    let kept = Kept::new(5).await;
    let reproduce = |package: &Path, arguments: &[&str], isa: &str| {
        let mut command = Command::new(binary("cloister"));
        command.args(["receipt", "reproduce", "--json"]).arg(&kept.receipt).arg("--package").arg(package);
        command.arg("--image").arg(&kept.image).args(arguments).env("TRACT_CPU_ISA", isa);
        run(&mut command)
    };
    let policy = kept.world.policy_file();
    for threads in ["1", "3"] {
        let arguments = ["--threads", threads, "--policy", policy.to_str().unwrap()];
        let outcome: Value = serde_json::from_str(&reproduce(&kept.world.package, &arguments, "").success()).unwrap();
        assert_eq!((&outcome["verified"], &outcome["identical"]), (&true.into(), &true.into()), "{outcome}");
    }
    // Kernels for another instruction set: the same scores but for the last digits, and said to be so.
    let outcome = reproduce(&kept.world.package, &[], "-avx512f,-fma").success();
    let outcome: Value = serde_json::from_str(&outcome).unwrap();
    assert_eq!(outcome["same_kernels"], false, "{outcome}");
    for score in outcome["scores"].as_array().unwrap() {
        assert!(score["difference"].as_f64().unwrap() < 1e-6, "{score}");
    }

    let other = kept.world.folder().join("another");
    run(Command::new(binary("cloister")).args(["model", "demo", "--seed", "9", "--out"]).arg(&other)).success();
    let refused = reproduce(&other, &[], "");
    assert_eq!(refused.code, 77, "{refused:?}");
    assert!(refused.stderr.contains("another model"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exam_has_one_receipt_for_its_views_and_breasts_and_what_is_not_checked_is_named() {
    let world = World::ready(Setup::default()).await;
    let mut session = world.session().await;
    let images = View::ALL.map(|view| (view, image(view, 5))).to_vec();
    let exam = session.exam(images.clone(), Some(1), None).await.unwrap();
    let verified = cloister_client::receipt::verify(&exam.receipt.0, &world.policy).unwrap();
    let claims = &verified.claims;
    assert_eq!(claims.views.iter().map(|view| view.view.as_str()).collect::<Vec<_>>(), View::ALL.map(View::as_str));
    for (side, breast) in &exam.breasts {
        assert_eq!(claims.breasts[side], breast.scores);
    }

    let receipt = world.folder().join("exam.cbor");
    std::fs::write(&receipt, &exam.receipt.0).unwrap();
    let paths = images.iter().map(|(view, png)| {
        let path = world.folder().join(format!("{view}.png"));
        std::fs::write(&path, png).unwrap();
        path
    });
    let paths: Vec<_> = paths.collect();
    let run_with = |verb: &[&str], images: &[PathBuf]| {
        let mut command = Command::new(binary("cloister"));
        command.arg("receipt").args(verb).arg(&receipt);
        command.args(images.iter().flat_map(|image| [Path::new("--image"), image]));
        run(&mut command).success()
    };
    let policy = world.policy_file();
    let verify = ["verify", "--policy", policy.to_str().unwrap()];
    assert!(run_with(&verify, &paths[..1]).contains("which image was sent as R-CC, L-MLO, R-MLO"));
    assert!(!run_with(&verify, &paths).contains("NOT checked"));
    let package = world.package.to_str().unwrap();
    let reproduce = ["reproduce", "--package", package];
    let some = run_with(&reproduce, &paths[..1]);
    assert!(some.contains("NOT computed, for want of an image: R-CC, L-MLO, R-MLO"), "{some}");
    assert!(!some.contains("left"), "{some}");
    let all = run_with(&reproduce, &paths);
    assert!(all.contains("REPRODUCED") && all.contains("left") && all.contains("right"), "{all}");
    assert!(!all.contains("NOT computed"), "{all}");
}
