//! Measures a whole system: boot to ready, a ten-crop request, memory, the relay. Prints a line of JSON for each figure.
//!
//! `bench_system PACKAGE IMAGE VIEW`, with a package folder and an image of the size to measure.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cloister_imaging::View;
use cloister_model::Package;
use cloister_tests::{EnclaveSetup, Setup, World, start_parent};
use cloister_transport::{Listener, dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const REQUESTS: usize = 5;
const RELAYED_BYTES: usize = 512 << 20;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("bench_system PACKAGE IMAGE VIEW");
    let (package, image, view) = (PathBuf::from(next()), next(), next());
    let view: View = view.parse().expect("a view");
    let image = std::fs::read(image).expect("an image");
    let model = Package::open(&package).expect("a package").manifest().name.clone();

    let enclave = EnclaveSetup { model, ..EnclaveSetup::default() };
    let setup = Setup { enclave: enclave.clone(), package: Some(package), ..Setup::default() };
    let mut world = World::ready(setup).await;
    let begun = Instant::now();
    world.restart(&enclave);
    drop(world.session().await);
    print("start to ready", "ms", millis(begun));

    let mut session = world.session().await;
    for (crops, name) in [(1, "one-crop request"), (10, "ten-crop request")] {
        let mut times = Vec::new();
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            session.classify(image.clone(), view, Some(crops), None).await.expect("scores");
            times.push(millis(begun));
        }
        print(name, "ms", median(&mut times));
    }
    print("enclave's peak memory", "mb", world.enclave.process.peak_memory() as f64 / 1e6);
    print("parent's peak memory", "mb", world.parent.peak_memory() as f64 / 1e6);
    drop(world);
    relay().await;
}

/// Bytes through the parent's relay, one way, from one connection.
async fn relay() {
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display();
    let sink =
        Listener::bind(&format!("unix://{here}/enclave").parse().expect("an address")).await.expect("a listener");
    let received = tokio::spawn(async move {
        let (mut stream, _) = sink.accept().await.expect("a connection");
        let mut buffer = vec![0; 1 << 20];
        let mut total = 0;
        loop {
            match stream.read(&mut buffer).await.expect("bytes") {
                0 => return total,
                length => total += length,
            }
        }
    });
    let sealed = folder.path().join("model.sealed");
    std::fs::write(&sealed, "none").expect("a file");
    let (_parent, relay, _) = start_parent(folder.path(), &sealed);
    let mut stream = dial(&relay, Duration::from_secs(5)).await.expect("a connection");
    let block = vec![0x5a; 1 << 20];
    let begun = Instant::now();
    for _ in 0..RELAYED_BYTES / block.len() {
        stream.write_all(&block).await.expect("bytes");
    }
    stream.shutdown().await.expect("an end");
    assert_eq!(received.await.expect("the sink"), RELAYED_BYTES);
    print("relay throughput", "mb_per_s", RELAYED_BYTES as f64 / 1e6 / begun.elapsed().as_secs_f64());
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn print(what: &str, unit: &str, value: f64) {
    println!("{}", serde_json::json!({"what": what, unit: value}));
}
