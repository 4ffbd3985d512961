//! Reads a DICOM file: what it shows, or why it is refused, how long that took and how much memory.
//!
//! `cargo run --release -p cloister-dicom --example read -- FILE...`
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::time::Instant;

use cloister_dicom::{DecodeLimits, read};

fn main() -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        let bytes = std::fs::read(&path)?;
        let start = Instant::now();
        let outcome = read(&bytes, &DecodeLimits::default());
        let time = start.elapsed();
        let status = std::fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
        match outcome {
            Ok(mammogram) => println!("{}: {mammogram:?}, {time:.0?}, peak {peak}", path.display()),
            Err(refusal) => println!("{}: refused: {refusal}, {time:.0?}, peak {peak}", path.display()),
        }
    }
    Ok(())
}
