//! Measures a whole system under load with `cloister bench`: latency with and without load, throughput at saturation, memory over many
//! requests. Prints a line of JSON for each figure.
//!
//! `bench_load PACKAGE IMAGE SMALL_PACKAGE SMALL_IMAGE SECONDS`, each load for so many seconds; images are of L-CC.

use std::path::{Path, PathBuf};

use cloister_model::Package;
use cloister_tests::{EnclaveSetup, Setup, World, run};
use serde_json::Value;

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
    latency(&world(package).await, &image, seconds, workers);
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

/// Requests that a bench sends before it counts any: one, to see that its image is taken.
const TRIED_OUT: f64 = 1.0;

fn latency(world: &World, image: &str, seconds: u64, workers: usize) {
    let mut saturation = 0.0;
    for crops in [MOST_CROPS, USUAL_CROPS] {
        // Counted, so that the processor time spent is that of so many crops; some twenty crops a second fill the time.
        let requests = (seconds * 20).div_ceil(u64::from(crops)).max(20);
        let flags = format!("--saturate --requests {requests} --workers {workers} --crops {crops} --unloaded 20");
        let before = world.enclave.process.processor_time();
        let stages = bench(world, image, &flags);
        let spent = world.enclave.process.processor_time() - before;
        let answered: f64 = stages.iter().map(|stage| number(stage, "/answered")).sum();
        let computed = f64::from(crops) * (TRIED_OUT + answered);
        saturation = number(&stages[1], "/achieved_per_second");
        print(&format!("unloaded p50 of {crops}"), "ms", number(&stages[0], "/latency_ms/p50"));
        print(&format!("crops at saturation of {crops}"), "per_s", f64::from(crops) * saturation);
        print(&format!("processor time of {crops}"), "ms", spent.as_secs_f64() * 1000.0 / computed);
    }
    for arrivals in ["constant", "poisson"] {
        let rate = SHARE * saturation;
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
    println!("{}", serde_json::json!({"what": what, unit: value}));
}
