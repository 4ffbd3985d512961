//! `cloister model` as a model owner and as a script meet it: what it prints, and its exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const OK: i32 = 0;
const USAGE: i32 = 64;
const INPUT: i32 = 65;
const NOT_VERIFIED: i32 = 77;

/// A folder with a small demonstration package and a synthetic image.
struct World(TempDir);

impl World {
    fn new() -> Self {
        let world = Self(TempDir::new().unwrap());
        world.demo("package", "1");
        let image = world.path("image.png");
        let drawn =
            cloister(&["synthetic", "--view", "R-CC", "--width", "800", "--height", "1000", "--out", text(&image)]);
        assert_eq!(drawn.status.code(), Some(OK), "{drawn:?}");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn demo(&self, name: &str, seed: &str) {
        let out = self.path(name);
        let made =
            cloister(&["model", "demo", "--out", text(&out), "--seed", seed, "--width", "1", "--window", "160x128"]);
        assert_eq!(made.status.code(), Some(OK), "{made:?}");
        assert!(said(&made).contains("mean nothing"));
    }

    fn run(&self, image: &str, more: &[&str]) -> Output {
        let (package, image) = (self.path("package"), self.path(image));
        let mut arguments = vec!["model", "run", "--package", text(&package), "--image", text(&image)];
        arguments.extend(more);
        cloister(&arguments)
    }

    fn inspect(&self, name: &str, more: &[&str]) -> Output {
        let package = self.path(name);
        let mut arguments = vec!["model", "inspect", text(&package)];
        arguments.extend(more);
        cloister(&arguments)
    }
}

fn cloister(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloister")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(OK), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// One sentence on standard error, nothing on standard output.
fn refused(output: &Output, code: i32, why: &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(said(output), "");
    let sentence = String::from_utf8_lossy(&output.stderr);
    assert!(sentence.starts_with("cloister: ") && sentence.contains(why), "{sentence}");
}

#[test]
fn a_run_prints_the_fields_that_scripts_rely_on_in_their_order() {
    let world = World::new();
    for (crops, expected) in [("1", 1), ("3", 3)] {
        let output = world.run("image.png", &["--view", "R-CC", "--crops", crops, "--json"]);
        let answer = json(&output);
        let line = said(&output);
        let places =
            ["\"view\":\"R-CC\"", "\"window\":[", "\"best_center\":[", "\"benign\":", "\"malignant\":", "\"crops\":"]
                .map(|field| line.find(field).unwrap_or_else(|| panic!("{field} in {line}")));
        assert!(places.is_sorted(), "{line}");
        assert_eq!(answer.as_object().unwrap().len(), 6);
        assert_eq!(answer["crops"], expected);
        for label in ["benign", "malignant"] {
            assert!((0.0..=1.0).contains(&answer[label].as_f64().unwrap()), "{answer}");
        }
    }
}

#[test]
fn the_number_of_threads_does_not_show_in_the_scores() {
    let world = World::new();
    let with =
        |threads| said(&world.run("image.png", &["--view", "R-CC", "--crops", "5", "--json", "--threads", threads]));
    assert_eq!(with("1"), with("3"));
}

#[test]
fn ten_crops_are_the_default_and_people_get_words() {
    let world = World::new();
    let output = world.run("image.png", &["--view", "R-CC"]);
    let words = said(&output);
    assert_eq!(output.status.code(), Some(OK), "{output:?}");
    for expected in ["R-CC, 10 crops", "benign", "malignant", "breast: rows", "scores mean nothing"] {
        assert!(words.contains(expected), "{expected} in {words}");
    }
}

#[test]
fn the_same_seed_gives_the_same_package_and_another_another() {
    let world = World::new();
    world.demo("again", "1");
    world.demo("other", "2");
    let digest = |name| json(&world.inspect(name, &["--json"]))["digest"].as_str().unwrap().to_owned();
    assert_eq!(digest("package").len(), 96);
    assert_eq!(digest("package"), digest("again"));
    assert_ne!(digest("package"), digest("other"));
}

#[test]
fn inspecting_tells_what_a_package_is() {
    let world = World::new();
    let words = said(&world.inspect("package", &["--check"]));
    for expected in
        ["demo-random version 1", "screening-mammogram/1", "L-MLO", "input 160 x 128", "4, all met on this machine"]
    {
        assert!(words.contains(expected), "{expected} in {words}");
    }
    let described = json(&world.inspect("package", &["--json"]));
    assert_eq!(described["manifest"]["labels"], serde_json::json!(["benign", "malignant"]));
    assert_eq!(described["files"].as_array().unwrap().len(), 5);
}

#[test]
fn a_plan_tells_how_each_layer_is_computed_and_what_it_takes() {
    let world = World::new();
    let described = json(&world.inspect("package", &["--plan", "--json"]));
    let plans = described["plans"].as_object().unwrap();
    assert_eq!(plans.len(), 4, "one for each network");
    for layers in plans.values() {
        let layers = layers.as_array().unwrap();
        let ours = layers.iter().filter(|layer| layer["group"].is_number());
        // The first layer, its pooling, twenty-five convolutions more, and the mean.
        assert!(ours.clone().count() >= 28, "{layers:?}");
        assert!(ours.clone().all(|layer| layer["milliseconds"].as_f64().unwrap() > 0.0));
        assert!(layers.iter().any(|layer| layer["how"].as_str().unwrap().starts_with("tract ")), "the last layers");
    }
    let words = said(&world.inspect("package", &["--plan"]));
    for expected in [
        "l-cc.onnx on tract",
        "Winograd F(4, 4), planes",
        "Winograd F(4x4, 3x3)",
        "max pooling",
        "in all, on one thread",
    ] {
        assert!(words.contains(expected), "{expected} in {words}");
    }
}

#[test]
fn a_known_answer_that_is_missed_is_not_verified() {
    let world = World::new();
    let manifest = world.path("package").join("manifest.toml");
    let changed: String = fs::read_to_string(&manifest)
        .unwrap()
        .lines()
        .map(|line| if line.starts_with("benign = ") { "benign = 1.0\n".to_owned() } else { format!("{line}\n") })
        .collect();
    fs::write(&manifest, changed).unwrap();
    refused(&world.inspect("package", &["--check"]), NOT_VERIFIED, "known answer 0 (L-CC) is missed");
}

#[test]
fn what_cannot_be_used_is_refused_as_bad_input() {
    let world = World::new();
    refused(&world.run("absent.png", &["--view", "R-CC"]), INPUT, "absent.png");
    fs::write(world.path("words.png"), "not pixels").unwrap();
    refused(&world.run("words.png", &["--view", "R-CC"]), INPUT, "words.png: this is not a PNG file");
    refused(&world.run("image.png", &["--view", "L-CC"]), INPUT, "looks like a right breast");
    refused(&world.inspect("absent", &[]), INPUT, "absent");
    fs::write(world.path("package").join("notes.txt"), "").unwrap();
    refused(&world.inspect("package", &[]), INPUT, "\"notes.txt\" is in the package but not in its manifest");
    let (words, out) = (world.path("words.png"), world.path("out"));
    let converted = cloister(&["model", "convert", "--checkpoint", text(&words), "--out", text(&out)]);
    refused(&converted, INPUT, "not a PyTorch checkpoint");
    assert!(!out.exists());
}

#[test]
fn a_folder_that_holds_something_is_not_written_into() {
    let world = World::new();
    let out = world.path("package");
    let made = cloister(&["model", "demo", "--out", text(&out), "--width", "1", "--window", "160x128"]);
    refused(&made, INPUT, "not empty");
}

#[test]
fn arguments_that_make_no_sense_are_bad_usage() {
    for wrong in [
        &["model", "run", "--package", "p", "--image", "i", "--view", "LCC"][..],
        &["model", "run", "--package", "p", "--image", "i", "--view", "L-CC", "--crops", "0"],
        &["model", "demo", "--out", "o", "--window", "320"],
        &["model", "convert", "--out", "o"],
    ] {
        assert_eq!(cloister(wrong).status.code(), Some(USAGE), "{wrong:?}");
    }
}

#[test]
fn an_evaluation_counts_what_the_list_says_and_tells_no_single_score() {
    let world = World::new();
    let (package, list, plot) = (world.path("package"), world.path("list.csv"), world.path("roc.svg"));
    let evaluate = |more: &[&str]| {
        let mut arguments = vec!["model", "evaluate", "--package", text(&package), "--list", text(&list)];
        arguments.extend(more);
        cloister(&arguments)
    };
    fs::write(&list, "path,view,malignant\nimage.png,R-CC,1\nimage.png,R-CC,0\nimage.png,R-CC,0\n").unwrap();
    let measured = json(&evaluate(&["--crops", "1", "--plot", text(&plot), "--json"]));
    assert_eq!((&measured["images"], &measured["crops"]), (&Value::from(3), &Value::from(1)));
    let malignant = &measured["labels"]["malignant"];
    assert_eq!((&malignant["positive"], &malignant["negative"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(malignant["auc"]["value"], 0.5, "one image has one score");
    assert!(fs::read_to_string(&plot).unwrap().contains("<polyline"));
    let words = said(&evaluate(&["--crops", "1"]));
    for expected in ["demo-random version 1, 3 images", "malignant: 1 with it, 2 without", "mean nothing"] {
        assert!(words.contains(expected), "{expected} in {words}");
    }

    fs::write(&list, "path,view,malignant\nimage.png,L-CC,1\n").unwrap();
    refused(&evaluate(&["--crops", "1"]), INPUT, "image.png");
    fs::write(&list, "path,view,cancer\nimage.png,L-CC,1\n").unwrap();
    refused(&evaluate(&["--crops", "1"]), INPUT, "no label cancer");
}

/// The classifier of crates/model's tests.
fn added(world: &World, manifest: &Path) -> Output {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/data");
    let (network, out) = (data.join("lesions.onnx"), world.path("lesions"));
    cloister(&["model", "add", "--onnx", text(&network), "--manifest", text(manifest), "--out", text(&out)])
}

fn lesions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/data/lesions.toml")
}

#[test]
fn an_added_classifier_is_inspected_run_and_evaluated_as_any_other() {
    let world = World::new();
    let made = added(&world, &lesions());
    assert_eq!(made.status.code(), Some(OK), "{made:?}");
    let digest = json(&world.inspect("lesions", &["--json"]))["digest"].as_str().unwrap().to_owned();
    assert!(said(&made).contains(&digest), "{made:?}");
    let words = said(&world.inspect("lesions", &["--check", "--plan"]));
    for expected in
        ["mass, calcification, distortion", "resize/1", "3 x 32 x 24", "4, all met on this machine", "in all"]
    {
        assert!(words.contains(expected), "{expected} in {words}");
    }
    let (package, image, list) = (world.path("lesions"), world.path("image.png"), world.path("list.csv"));
    let ran =
        cloister(&["model", "run", "--json", "--package", text(&package), "--image", text(&image), "--view", "R-CC"]);
    let answer = json(&ran);
    assert_eq!(answer["crops"], 1);
    for label in ["mass", "calcification", "distortion"] {
        assert!((0.0..=1.0).contains(&answer[label].as_f64().unwrap()), "{answer}");
    }
    fs::write(&list, "path,view,distortion\nimage.png,R-CC,1\n").unwrap();
    let evaluated = cloister(&["model", "evaluate", "--json", "--package", text(&package), "--list", text(&list)]);
    assert_eq!(json(&evaluated)["labels"]["distortion"]["positive"], 1);
}

#[test]
fn what_cannot_be_added_is_refused_and_nothing_is_written() {
    let world = World::new();
    let (manifest, written) = (world.path("manifest.toml"), fs::read_to_string(lesions()).unwrap());
    for (from, to, why) in [
        ("\"mass\", ", "", "gives 3 scores, and the manifest names 2 labels"),
        ("\"sigmoid\"", "\"log-softmax-pairs\"", "has an output of shape [1, 3]"),
        ("[32, 24]", "[32, 32]", "has an input of shape [0, 3, 32, 24]"),
        ("lesions.onnx", "other.onnx", "the manifest names other.onnx, and no \"lesions.onnx\""),
        ("resize/1", "resize/2", "manifest.toml: the manifest cannot be read"),
    ] {
        fs::write(&manifest, written.replace(from, to)).unwrap();
        refused(&added(&world, &manifest), INPUT, why);
        assert!(!world.path("lesions").exists());
    }
}

#[test]
fn a_checkpoint_of_networks_that_look_at_both_breasts_is_converted_and_scores_exams() {
    let world = World::new();
    let checkpoint = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/data/exam.p");
    let out = world.path("exams");
    let mut arguments = vec!["model", "convert", "--checkpoint", text(&checkpoint), "--out", text(&out)];
    arguments.extend(["--cc-window", "160x128", "--mlo-window", "192x96"]);
    let made = cloister(&arguments);
    assert_eq!(made.status.code(), Some(OK), "{made:?}");
    let words = said(&world.inspect("exams", &["--check", "--plan"]));
    for expected in ["both CC", "cc.onnx", "both MLO", "input 192 x 96", "1, all met on this machine", "2 x 2 x 1 x 1"]
    {
        assert!(words.contains(expected), "{expected} in {words}");
    }
    let files = ["l-cc", "r-cc", "l-mlo", "r-mlo"].map(|view| {
        let path = world.path(&format!("{view}.png"));
        let upper = view.to_ascii_uppercase();
        let drawn =
            cloister(&["synthetic", "--view", &upper, "--width", "800", "--height", "1000", "--out", text(&path)]);
        assert_eq!(drawn.status.code(), Some(OK), "{drawn:?}");
        (format!("--{view}"), path)
    });
    let scored = |package: &Path, more: &[&str]| {
        let mut arguments = vec!["model", "exam", "--package", text(package), "--crops", "2"];
        files.iter().for_each(|(flag, path)| arguments.extend([flag.as_str(), text(path)]));
        arguments.extend(more);
        cloister(&arguments)
    };
    let answer = json(&scored(&out, &["--json"]));
    for side in ["left", "right"] {
        assert!((0.0..=1.0).contains(&answer["breasts"][side]["malignant"].as_f64().unwrap()), "{answer}");
    }
    let words = said(&scored(&out, &[]));
    assert!(words.contains("left  breast  benign 0."), "{words}");
    assert_eq!(words.matches("looked at together with the other views").count(), 4, "{words}");
    // The other family scores each view, and a breast is the mean of its two.
    let answer = json(&scored(&world.path("package"), &["--json"]));
    let view = |at: usize| answer["views"][at]["benign"].as_f64().unwrap();
    let mean = answer["breasts"]["right"]["benign"].as_f64().unwrap();
    assert!((mean - f64::midpoint(view(1), view(3))).abs() < 1e-12, "{answer}");
    let package = text(&out);
    let one = cloister(&["model", "run", "--package", package, "--image", text(&files[0].1), "--view", "L-CC"]);
    refused(&one, INPUT, "scores no single image: send the four views of an exam");
}
