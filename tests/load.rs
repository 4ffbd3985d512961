//! `cloister bench` against a whole system: what it counts is what the enclave did, and nothing is lost.

use std::path::PathBuf;
use std::process::Command;

use cloister_imaging::{View, synthetic};
use cloister_tests::{EnclaveSetup, Front, Setup, World, binary, image, impostor, run};
use serde_json::Value;

/// How much an enclave may grow over some hundred requests after its first: threads that allocate for the first time keep a few megabytes.
const GROWTH_BYTES: u64 = 24 << 20;

/// How many times the requests that are answered one after another cannot be answered side by side: the network has one thread, and what is
/// done beside it for the next request, here and in the client, is less than as much again. Four times would do if other tests did not run beside.
const TOO_MANY_TIMES: f64 = 8.0;

/// An image of the demonstration's size, as a file.
fn image_file(world: &World) -> PathBuf {
    let path = world.folder().join("load.png");
    std::fs::write(&path, image(View::LCc, 1)).unwrap();
    path
}

/// Runs `cloister bench` with these flags, for its report.
fn bench(world: &World, flags: &str) -> Value {
    let mut command = world.cloister("bench");
    command.arg("--json").arg("--image").arg(image_file(world)).args(flags.split(' '));
    serde_json::from_str(&run(&mut command).success()).unwrap()
}

fn count(stage: &Value, name: &str) -> u64 {
    stage[name].as_u64().unwrap_or_else(|| panic!("{name} in {stage}"))
}

#[track_caller]
fn assert_none_lost(stage: &Value) {
    let parts = ["answered", "refused_503", "refused_429", "failed"].map(|name| count(stage, name));
    assert_eq!(count(stage, "requests"), parts.iter().sum::<u64>(), "{stage}");
}

/// How many images the enclave answered with that status.
async fn answered(world: &World, status: u16) -> u64 {
    let text = String::from_utf8(Front::connect(&world.server).await.get("/metrics").await.body).unwrap();
    let series = format!("cloister_requests_total{{route=\"/v1/images\",status=\"{status}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_low_rate_every_request_is_answered_and_the_figures_are_written_three_ways() {
    let world = World::ready(Setup::default()).await;
    let (csv, plot) = (world.folder().join("load.csv"), world.folder().join("load.svg"));
    let mut command = world.cloister("bench");
    command.args("--rates 2,4 --arrivals constant --duration 3 --warmup 1 --unloaded 4 --crops 1".split(' '));
    command.arg("--image").arg(image_file(&world)).arg("--csv").arg(&csv).arg("--plot").arg(&plot);
    let said = run(command.arg("--json")).success();
    let report: Value = serde_json::from_str(&said).unwrap();
    let stages = report["stages"].as_array().unwrap();
    assert_eq!(stages.iter().map(|stage| count(stage, "requests")).collect::<Vec<_>>(), [4, 6, 12]);
    for stage in stages {
        assert_eq!(count(stage, "answered"), count(stage, "requests"), "{stage}");
        let latency =
            ["p50", "p90", "p95", "p99", "p99_9", "max"].map(|name| stage["latency_ms"][name].as_f64().unwrap());
        assert!(latency.is_sorted() && latency[0] > 0.0, "{stage}");
        assert!(stage["achieved_per_second"].as_f64().unwrap() > 0.0);
        // Its measured configuration does not let them leave.
        assert!(stage["memory"].is_null());
    }
    // One to begin with, and the warm-up of each rate.
    assert_eq!(answered(&world, 200).await, 1 + 4 + (2 + 6) + (4 + 12));

    let csv = std::fs::read_to_string(csv).unwrap();
    let lines: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), 1 + stages.len());
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{csv}");
    assert_eq!((lines[0][0], lines[1][0], lines[3][2]), ("load", "unloaded", "4"));
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("(ms)"), "{svg}");
    for written in [&said, &csv, &svg] {
        for word in ["benign", "malignant", "receipt", "window"] {
            assert!(!written.contains(word), "{word} in {written}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn past_what_the_enclave_can_do_refusals_are_counted_and_no_request_is_lost() {
    let enclave = EnclaveSetup { queue: 1, threads: 1, ..EnclaveSetup::default() };
    let world = World::ready(Setup { enclave, ..Setup::default() }).await;
    // How much is too much depends on the machine, so that it is measured: one request after another first.
    let alone = bench(&world, "--saturate --requests 30 --workers 1 --warmup 0 --unloaded 1 --crops 32");
    let rate = (TOO_MANY_TIMES * alone["stages"][1]["achieved_per_second"].as_f64().unwrap()).ceil();
    // No fewer than are refused on the slowest machine, and no more than the tool offers.
    let rate = rate.clamp(40.0, 1000.0);
    let before = answered(&world, 200).await;
    let report = bench(
        &world,
        &format!(
            "--rates {rate} --arrivals constant --duration 2 --warmup 0 --unloaded 1 --crops 32 --connections 128"
        ),
    );
    let stage = &report["stages"][1];
    assert_none_lost(stage);
    assert_eq!(count(stage, "requests") as f64, 2.0 * rate, "the schedule was not held up: {stage}");
    assert!(count(stage, "answered") > 0 && count(stage, "refused_503") > 0, "{stage}");
    assert_eq!(count(stage, "failed"), 0, "{stage}");
    assert_eq!(stage["reasons"]["503 queue-full"], stage["refused_503"]);
    // Beside those of the rate, one to begin with and one alone.
    assert_eq!(answered(&world, 200).await, before + count(stage, "answered") + 2);
    assert_eq!(answered(&world, 503).await, count(stage, "refused_503"));

    // With one connection at most one request is there at once; the others are not held back, and not forgotten.
    let report = bench(
        &world,
        &format!("--rates {rate} --arrivals constant --duration 2 --warmup 0 --unloaded 1 --crops 32 --connections 1"),
    );
    let stage = &report["stages"][1];
    assert_none_lost(stage);
    assert_eq!((count(stage, "requests") as f64, count(stage, "refused_503")), (2.0 * rate, 0), "{stage}");
    assert!(count(stage, "answered") > 0 && count(stage, "failed") > 0, "{stage}");
    assert_eq!(stage["reasons"]["no-free-connection"], stage["failed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_past_a_clients_rate_are_told_from_those_past_the_queue() {
    let token = "a-token-for-load";
    let hash = hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes()));
    let access =
        format!("[access]\nrequests_per_minute = 6\n[[access.tokens]]\nname = \"load\"\nsha256 = \"{hash}\"\n");
    let enclave = EnclaveSetup { extra: access, ..EnclaveSetup::default() };
    let world = World::ready(Setup { enclave, ..Setup::default() }).await;
    let file = world.folder().join("token");
    std::fs::write(&file, token).unwrap();
    let flags = "--rates 10 --arrivals constant --duration 2 --warmup 0 --unloaded 1 --crops 1 --token-file";
    let report = bench(&world, &format!("{flags} {}", file.display()));
    let stage = &report["stages"][1];
    assert_none_lost(stage);
    assert!(count(stage, "refused_429") >= 14 && count(stage, "answered") >= 4, "{stage}");
    assert_eq!(stage["reasons"]["429 too-many-requests"], stage["refused_429"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_hundred_requests_leave_the_memory_as_it_was() {
    let extra = "[launch]\nmemory_figures = true\n".to_owned();
    let world =
        World::ready(Setup { enclave: EnclaveSetup { extra, ..EnclaveSetup::default() }, ..Setup::default() }).await;
    let report = bench(&world, "--saturate --requests 300 --workers 4 --unloaded 40 --crops 1");
    let stage = &report["stages"][1];
    assert_eq!((stage["load"].as_str(), count(stage, "answered")), (Some("saturated"), 300), "{stage}");
    let before = count(&report["stages"][0]["memory"], "last_bytes");
    let memory = &stage["memory"];
    assert!(count(memory, "last_bytes") < before + GROWTH_BYTES, "{report}");
    assert!(count(memory, "late_bytes") < count(memory, "early_bytes") + GROWTH_BYTES, "{memory}");
    assert!(count(memory, "first_bytes") <= count(memory, "most_bytes"), "{memory}");
    assert!(count(memory, "most_bytes") <= count(memory, "peak_bytes"), "{memory}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_said_with_the_exit_codes_of_the_other_verbs() {
    let world = World::ready(Setup::default()).await;
    let image = image_file(&world);
    let fails = |flags: &str, code: i32, words: &str| {
        let output = run(world.cloister("bench").args(flags.split(' ').filter(|flag| !flag.is_empty())));
        assert_eq!(output.code, code, "{flags}: {output:?}");
        assert!(output.stderr.contains(words), "{flags}: {output:?}");
    };
    fails("--rates 0", 64, "a rate is");
    fails("--rates 1 --sweep 1:2:1", 64, "cannot be used with");
    fails("--plot load.svg", 64, "--rates or --sweep");
    fails("--saturate --workers 8 --connections 4", 64, "8 workers");
    fails("--rates 1000 --duration 3600", 64, "--duration");
    fails("--requests 5", 64, "--saturate");
    let nonsense = world.folder().join("nonsense");
    std::fs::write(&nonsense, "nonsense").unwrap();
    fails(&format!("--image {}", nonsense.display()), 65, "415");
    fails("--image nowhere.png", 65, "nowhere.png");

    let (address, loot) = impostor(async |_| b"no document".to_vec()).await;
    let output = run(bench_at(&world, &address.to_string()).arg("--image").arg(&image));
    assert_eq!((output.code, loot.images()), (77, 0), "{output:?}");
    let output = run(bench_at(&world, "unix:///nowhere").arg("--image").arg(&image));
    assert_eq!(output.code, 69, "{output:?}");
}

fn bench_at(world: &World, server: &str) -> std::process::Command {
    let mut command = std::process::Command::new(binary("cloister"));
    command.args(["bench", "--server", server, "--policy"]).arg(world.policy_file());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn images_take_no_fresh_memory_once_there_was_one_and_nothing_of_the_last_one_shows() {
    const ROUNDS: u64 = 4;
    /// A thread's first steps, or a queue that grows. The pixels alone are 6,656 pages and 4,160, the files some 1,900 and 1,200.
    const BESIDE: u64 = 100;
    let world = World::ready(Setup::default()).await;
    // Of 13.6 megapixels and of 8.5, as detectors give them: the memory of one is the other's.
    let file = |seed, width, height| {
        let options = synthetic::Options { width, height, ..Default::default() };
        synthetic::encode_png(&synthetic::generate(seed, View::LCc, options)).unwrap()
    };
    let files = [file(7, 3328, 4096), file(8, 2560, 3328)];
    let mut session = world.session().await;
    let mut scores = Vec::new();
    let mut before = 0;
    for round in 0..2 + ROUNDS {
        if round == 2 {
            before = world.enclave.process.fresh_pages();
        }
        for file in &files {
            scores.push(session.classify(file.clone(), View::LCc, Some(2), None).await.unwrap().scores);
        }
    }
    let each = (world.enclave.process.fresh_pages() - before) / (2 * ROUNDS);
    // What the file comes in, the pixels, the breast cut out of them and all on the way was there before.
    assert!(each < BESIDE, "{each} pages a request");
    let alone = |file: &Vec<u8>| {
        let path = world.folder().join("alone.png");
        std::fs::write(&path, file).unwrap();
        let mut command = Command::new(binary("cloister"));
        command.args(["model", "run", "--json", "--view", "L-CC", "--crops", "2"]);
        command.arg("--package").arg(&world.package).arg("--image").arg(path);
        serde_json::from_str::<Value>(&run(&mut command).success()).unwrap()
    };
    // Computed by a process that never saw another picture.
    for (file, first) in files.iter().zip(&scores) {
        let alone = alone(file);
        assert!(first.iter().all(|(label, score)| (alone[label].as_f64().unwrap() - score).abs() < 1e-9), "{alone}");
    }
    assert!(scores.chunks(2).all(|pair| pair == &scores[..2]), "what was in memory before shows: {scores:?}");
    assert_ne!(scores[0], scores[1]);
}
