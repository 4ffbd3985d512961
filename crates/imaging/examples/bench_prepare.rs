//! How long an image takes before the network: `bench_prepare --image F [--view V]` prints one JSON object a line, times in
//! milliseconds, and the peak memory of the process in MB.

#![allow(clippy::print_stdout, reason = "the figures are its output")]

use std::{error::Error, fs, hint::black_box, time::Instant};

use cloister_imaging::{Angle, DecodeLimits, Noise, View, decode, prepare, recycle};

/// How often each step is timed.
const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1));
    let path = value("--image").ok_or("usage: bench_prepare --image F [--view V]")?;
    let view: View = value("--view").map_or(Ok(View::LCc), |text| text.parse())?;
    let network = match view.angle() {
        Angle::Cc => (2677, 1942),
        Angle::Mlo => (2974, 1748),
    };
    let bytes = fs::read(path)?;
    let image = decode(&bytes, &DecodeLimits::default())?;
    let prepared = prepare(&image, view, network)?;
    let mut buffer = vec![0f32; network.0 * network.1];

    time("decode", || black_box(decode(&bytes, &DecodeLimits::default())).map_or_else(drop, recycle));
    time("prepare", || drop(black_box(prepare(&image, view, network))));
    for (what, noise) in [("render, noiseless", Noise::None), ("render, noisy", Noise::Default)] {
        let plans = prepared.crops(1, noise);
        let plan = plans.first().ok_or("no crop was planned")?;
        time(what, || drop(black_box(prepared.render_into(plan, &mut buffer))));
    }
    if let Some(peak) = peak_memory() {
        println!("{{\"what\":\"peak memory\",\"mb\":{peak:.1}}}");
    }
    Ok(())
}

fn time(what: &str, mut step: impl FnMut()) {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (least, median) = (times[0], times[RUNS / 2]);
    println!("{{\"what\":\"{what}\",\"ms\":{median:.1},\"min\":{least:.1},\"runs\":{RUNS}}}");
}

/// The most memory that this process has held, where the system tells (Linux).
fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
