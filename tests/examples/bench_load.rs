//! Measures a whole system under load with `cloister bench`: latency with and without load, throughput at saturation, memory over many
//! requests. Prints a line of JSON for each figure.
//!
//! `bench_load PACKAGE IMAGE SMALL_PACKAGE SMALL_IMAGE SECONDS`, each load for so many seconds; images are of L-CC. Machines drift: saturation is
//! measured in rounds, and crops without a server, by `bench_model`, which stands beside it, before and after each.

use std::path::{Path, PathBuf};
use std::process::Command;

use cloister_model::Package;
use cloister_tests::{EnclaveSetup, Setup, World, run};
use serde_json::{Value, json};

const USAGE: &str = "bench_load PACKAGE IMAGE SMALL_PACKAGE SMALL_IMAGE SECONDS";

/// What of its throughput at saturation an enclave is asked for, to see what latency is left of.
const SHARE: f64 = 0.7;

/// Requests before memory is measured, in which each thread allocates what it keeps.
const SETTLING: usize = 500;

/// Requests over which it is.
const MANY: usize = 10_000;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect(USAGE);
    let (package, image) = (PathBuf::from(next()), next());
    let (small_package, small_image) = (PathBuf::from(next()), next());
    let seconds: u64 = next().parse().expect(USAGE);
    let cores = std::thread::available_parallelism().expect("a machine with processors").get();
    print("cores", "count", cores as f64);
    // Enough that none of them waits for work, and fewer than the queue has places.
    let workers = 2 * cores + 2;
    let full = world(package.clone()).await;
    let saturation = saturation(&full, (&package, &image), seconds, workers);
    latency(&full, &image, seconds, SHARE * saturation);
    drop(full);
    memory(&world(small_package).await, &small_image, workers);
}

async fn world(package: PathBuf) -> World {
    let model = Package::open(&package).expect("a package").manifest().name.clone();
    let extra = "[launch]\nmemory_figures = true\n".to_owned();
    let enclave = EnclaveSetup { model, extra, queue: 64, ..EnclaveSetup::default() };
    World::ready(Setup { enclave, package: Some(package), ..Setup::default() }).await
}

/// As many as a request may ask for: what comes with an image once weighs least there.
const MOST_CROPS: u32 = 32;

/// As many as a request has that asks for none.
const USUAL_CROPS: u32 = 10;

/// Into how many the time at saturation is divided.
const ROUNDS: u64 = 5;

/// How often a crop is measured without a server each time.
const REPEATED: &str = "3";

/// Requests that a bench sends before it counts any: one, to see that its image is taken.
const TRIED_OUT: f64 = 1.0;

/// How many requests of [`USUAL_CROPS`] a second were answered, in the middle one of the rounds.
fn saturation(world: &World, (package, image): (&Path, &str), seconds: u64, workers: usize) -> f64 {
    let mut usual = Vec::new();
    let mut before = crops_alone(package, image);
    for round in 0..ROUNDS {
        for crops in [MOST_CROPS, USUAL_CROPS] {
            // Counted, so that the processor time spent is that of so many crops; some twenty crops a second fill the time.
            let requests = (seconds * 20).div_ceil(u64::from(crops) * ROUNDS).max(5);
            let unloaded = if round == 0 { 20 } else { 1 };
            let flags =
                format!("--saturate --requests {requests} --workers {workers} --crops {crops} --unloaded {unloaded}");
            let started = world.enclave.process.processor_time();
            let stages = bench(world, image, &flags);
            let spent = world.enclave.process.processor_time() - started;
            let after = crops_alone(package, image);
            let answered: f64 = stages.iter().map(|stage| number(stage, "/answered")).sum();
            let computed = f64::from(crops) * (TRIED_OUT + answered);
            let answered_per_second = number(&stages[1], "/achieved_per_second");
            if crops == USUAL_CROPS {
                usual.push(answered_per_second);
            }
            if round == 0 {
                print(&format!("unloaded p50 of {crops}"), "ms", number(&stages[0], "/latency_ms/p50"));
            }
            let what = format!("saturation of {crops}");
            let [alone, beside] = [0, 1].map(|which| (before[which] + after[which]) / 2.0);
            let per_s = f64::from(crops) * answered_per_second;
            let spent = spent.as_secs_f64() * 1000.0 / computed;
            print_figures(json!({"what": what, "per_s": per_s, "spent": spent, "alone": alone, "beside": beside}));
            before = after;
        }
    }
    usual.sort_by(f64::total_cmp);
    usual[usual.len() / 2]
}

/// What a crop takes without a server, in milliseconds: alone, and while all processors compute others.
fn crops_alone(package: &Path, image: &str) -> [f64; 2] {
    let own = std::env::current_exe().expect("this program's path");
    let mut command = Command::new(own.with_file_name("bench_model"));
    command.arg("--package").arg(package).args(["--image", image, "--crops-alone", "--repeat", REPEATED]);
    let printed = run(&mut command).success();
    let figures: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("a figure")).collect();
    ["crop", "crop beside others"].map(|what| {
        let figure = figures.iter().find(|figure| figure["what"] == what);
        figure.and_then(|figure| figure["ms"].as_f64()).expect("both figures")
    })
}

fn latency(world: &World, image: &str, seconds: u64, rate: f64) {
    for arrivals in ["constant", "poisson"] {
        let stages =
            bench(world, image, &format!("--rates {rate:.4} --arrivals {arrivals} --duration {seconds} --unloaded 1"));
        print(&format!("{arrivals} p50"), "ms", number(&stages[1], "/latency_ms/p50"));
        print(&format!("{arrivals} p99"), "ms", number(&stages[1], "/latency_ms/p99"));
        print(&format!("{arrivals} answered"), "count", number(&stages[1], "/answered"));
        print(
            &format!("{arrivals} not answered"),
            "count",
            number(&stages[1], "/requests") - number(&stages[1], "/answered"),
        );
    }
}

fn memory(world: &World, image: &str, workers: usize) {
    let saturate =
        |requests: usize| format!("--saturate --requests {requests} --workers {workers} --crops 1 --unloaded 10");
    bench(world, image, &saturate(SETTLING));
    let stages = bench(world, image, &saturate(MANY));
    print("small requests", "count", number(&stages[1], "/answered"));
    print("small saturation", "per_s", number(&stages[1], "/achieved_per_second"));
    for (what, field) in [("memory early", "early"), ("memory late", "late"), ("most memory", "most")] {
        print(what, "mb", number(&stages[1], &format!("/memory/{field}_bytes")) / 1e6);
    }
}

/// Runs the command line's bench, for its stages.
fn bench(world: &World, image: &str, flags: &str) -> Vec<Value> {
    let mut command = world.cloister("bench");
    command.args(["--json", "--timeout", "600", "--image"]).arg(Path::new(image)).args(flags.split(' '));
    let report: Value = serde_json::from_str(&run(&mut command).success()).expect("a report");
    report["stages"].as_array().expect("stages").clone()
}

fn number(stage: &Value, field: &str) -> f64 {
    stage.pointer(field).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {field} in {stage}"))
}

fn print(what: &str, unit: &str, value: f64) {
    print_figures(json!({"what": what, unit: value}));
}

fn print_figures(figures: Value) {
    println!("{figures}");
}
