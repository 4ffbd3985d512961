//! How fast and how large a package's networks are on this machine: JSON lines.
//!
//! `bench_model --package DIR --image PNG [--view L-CC] [--repeat 5] [--crops-alone]` prints the time to load; the medians of the network alone on one thread
//! and on two, of two at once, of one crop with its preparation on one thread, of one while all cores compute others, and of a request of ten crops on
//! all cores from the file's bytes on, in turn with the crops on one thread; and the most memory that the process had in use after loading and after such a request. With `--crops-alone` it measures
//! one crop on one thread, and one while all cores compute others, and nothing else.

use std::{env, error::Error, fs, path::Path, time::Instant};

use cloister_imaging::{DecodeLimits, View, decode, recycle};
use cloister_model::{Classifier, Package, limits::MAX_CROPS};
use ndarray::Array2;

const USAGE: &str = "bench_model --package DIR --image PNG [--view L-CC] [--repeat 5] [--crops-alone]";

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| env::args().skip_while(|given| given != name).nth(1);
    let (package, image) = argument("--package").zip(argument("--image")).ok_or(USAGE)?;
    let view: View = argument("--view").map_or(Ok(View::LCc), |view| view.parse())?;
    let repeat: usize = argument("--repeat").map_or(Ok(5), |repeat| repeat.parse())?;
    let all = !env::args().any(|given| given == "--crops-alone");
    let file = fs::read(image)?;
    let image = decode(&file, &DecodeLimits::default())?;
    let cores = std::thread::available_parallelism()?.get();

    let start = Instant::now();
    let opened = Package::open(Path::new(&package))?;
    let classifier = Classifier::load(&opened, cores)?;
    let ten = || {
        let image = decode(&file, &DecodeLimits::default())?;
        let prepared = classifier.prepare(&image, view, 10)?;
        recycle(image);
        prepared.score().map_err(Box::<dyn Error>::from).map(drop)
    };
    if all {
        print("load", cores, milliseconds(start));
        memory("peak after loading", cores)?;
        network(&classifier, view, repeat)?;
        ten()?;
        memory("peak after ten crops", cores)?;
    }
    print("crop beside others", cores, beside_others(&classifier, &image, view, repeat)?);

    // Preparing the image is the same for eleven crops as for one, so that their difference is ten crops alone.
    let single = Classifier::load(&opened, 1)?;
    let crops = |count| single.classify(&image, view, count).map_err(Box::<dyn Error>::from).map(drop);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..2 * repeat {
        // Each is measured after its like: each classifier has weights and memory of its own, which the other one's have driven from the caches.
        if all {
            ten()?;
            times[0].push(time(ten)?);
        }
        crops(1)?;
        times[1].push(time(|| crops(1))?);
        times[2].push(time(|| crops(11))?);
    }
    if all {
        print("ten crops", cores, middle(times[0].clone()));
        print("image of one crop", 1, middle(times[1].clone()));
    }
    let [one, eleven] = [1, 2].map(|which: usize| middle(times[which].clone()));
    print("crop", 1, (eleven - one) / 10.0);
    Ok(())
}

/// The network alone: on one thread, on two, and two inputs at once, in turn.
fn network(classifier: &Classifier, view: View, repeat: usize) -> Result<(), Box<dyn Error>> {
    let mut times = [const { Vec::new() }; 3];
    for round in 0..=3 * repeat {
        let one = classifier.time_network(view, 1)?.as_secs_f64();
        let two = classifier.time_network(view, 2)?.as_secs_f64();
        let both = std::thread::scope(|scope| {
            let other = scope.spawn(|| classifier.time_network(view, 1));
            let own = classifier.time_network(view, 1)?;
            let other = other.join().map_err(|_| "a thread panicked")??;
            Ok::<_, Box<dyn Error>>(own.max(other).as_secs_f64())
        })?;
        // The first round warms up.
        if round > 0 {
            times.iter_mut().zip([one, two, both / 2.0]).for_each(|(times, time)| times.push(time * 1000.0));
        }
    }
    let [one, two, both] = times.map(middle);
    print("network", 1, one);
    print("network", 2, two);
    print("network, two at once", 2, both);
    Ok(())
}

/// What a crop takes of one core while the others compute crops too: their clocks are lower then, and caches are shared.
fn beside_others(
    classifier: &Classifier,
    image: &Array2<u16>,
    view: View,
    repeat: usize,
) -> Result<f64, Box<dyn Error>> {
    let cores = u32::try_from(std::thread::available_parallelism()?.get())?.min(MAX_CROPS);
    // As many as divide evenly, and many, because the last ones do not end at once.
    let crops = MAX_CROPS / cores * cores;
    let mut times = Vec::new();
    for _ in 0..repeat.max(1) {
        let prepared = classifier.prepare(image, view, crops)?;
        let start = Instant::now();
        prepared.score()?;
        times.push(milliseconds(start) * f64::from(cores) / f64::from(crops));
    }
    Ok(middle(times))
}

/// Milliseconds.
fn time(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(milliseconds(start))
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

#[allow(clippy::print_stdout)]
fn print(what: &str, threads: usize, milliseconds: f64) {
    println!("{}", serde_json::json!({ "engine": "tract", "what": what, "threads": threads, "ms": milliseconds }));
}

/// The process's largest resident size so far, where the system tells.
#[allow(clippy::print_stdout)]
fn memory(what: &str, threads: usize) -> Result<(), Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: f64 = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?.parse()?;
    println!(
        "{}",
        serde_json::json!({ "engine": "tract", "what": what, "threads": threads, "mb": kilobytes / 1024.0 })
    );
    Ok(())
}
