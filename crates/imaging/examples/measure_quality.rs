//! What pictures measure: `measure_quality VIEW=FILE…` prints a line for each, times in milliseconds. `synthetic:SEED` in the place of a
//! file draws one of 640 x 832 pixels, and `8bit:FILE` takes the upper eight of sixteen bits.

#![allow(clippy::print_stdout, reason = "the figures are its output")]

use std::{error::Error, fs, time::Instant};

use cloister_imaging::{DecodeLimits, View, decode, measure, synthetic};
use ndarray::Array2;

fn read(source: &str, view: View) -> Result<Array2<u16>, Box<dyn Error>> {
    if let Some(seed) = source.strip_prefix("synthetic:") {
        let options = synthetic::Options { width: 640, height: 832, masses: 1, calcifications: 1 };
        return Ok(synthetic::generate(seed.parse()?, view, options));
    }
    if let Some(path) = source.strip_prefix("8bit:") {
        return Ok(read(path, view)?.mapv(|grey| grey >> 8));
    }
    Ok(decode(&fs::read(source)?, &DecodeLimits::default())?)
}

fn main() -> Result<(), Box<dyn Error>> {
    for argument in std::env::args().skip(1) {
        let (view, source) = argument.split_once('=').ok_or("usage: measure_quality VIEW=FILE…")?;
        let view: View = view.parse()?;
        let image = read(source, view)?;
        let start = Instant::now();
        let measured = measure(&image, view);
        let ms = start.elapsed().as_secs_f64() * 1e3;
        match measured {
            Ok(measures) => {
                let judged = measures.judge(view);
                println!("{argument} {ms:.1} ms {} {judged:?}", serde_json::to_string(&measures)?);
            }
            Err(error) => println!("{argument} {error}"),
        }
    }
    Ok(())
}
