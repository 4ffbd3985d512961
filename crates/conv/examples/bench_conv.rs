//! The screening network's trunk with random weights, on each kernel set of this machine.
//!
//! `bench_conv layers [--repeat 9]` prints JSON lines: what each step takes, and the whole on one thread and on two. `bench_conv count` computes
//! a small one once, in a function of its own, for a tool that counts instructions.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloister_conv::{Graph, Id, KernelSet, Options, Program, Shape, StepReport, Store, Windows};

const USAGE: &str = "bench_conv layers [--repeat 9] | count";

/// The published network's input, and one that is counted in seconds.
const FULL: (usize, usize) = (2677, 1942);
const SMALL: (usize, usize) = (187, 151);

const STAGE_STRIDES: [usize; 5] = [1, 2, 2, 2, 2];

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let argument = |name: &str| env::args().skip_while(|given| given != name).nth(1);
    match env::args().nth(1).as_deref() {
        Some("layers") => {
            let repeat: usize = argument("--repeat").map_or(Ok(9), |repeat| repeat.parse())?;
            KernelSet::available().into_iter().try_for_each(|kernels| layers(kernels, repeat))
        }
        Some("count") => count(),
        _ => Err(USAGE.into()),
    }
}

fn layers(kernels: KernelSet, repeat: usize) -> Result<()> {
    // Nobody waits for it: it is the reference, and runs where there is nothing else.
    let repeat = if kernels.name() == "portable" { 1 } else { repeat };
    let (graph, picture) = network(FULL)?;
    for winograd in [true, false] {
        let program = Program::compile(&graph, Options { kernels, winograd }, &mut Store::default())?;
        let mut sums = vec![0.0; program.outputs()[0].numbers()];
        let mut median = |threads: usize| -> Result<f64> {
            let mut times = Vec::new();
            for _ in 0..repeat {
                let start = Instant::now();
                program.run(&[&picture], &mut [&mut sums], threads)?;
                times.push(milliseconds(start.elapsed()));
            }
            times.sort_by(f64::total_cmp);
            Ok(times[times.len() / 2])
        };
        let (one, two) = (median(1)?, median(2)?);
        for (threads, time) in [(1, one), (2, two)] {
            print(&format!(
                "\"what\":\"trunk\",\"kernels\":\"{kernels}\",\"winograd\":{winograd},\"threads\":{threads},\"ms\":{time:.2}"
            ));
        }
        let mut best = program.profile(&[&picture])?;
        for _ in 1..repeat {
            for (best, now) in best.iter_mut().zip(program.profile(&[&picture])?) {
                best.time = best.time.min(now.time);
            }
        }
        best.iter().for_each(|step| print_step(kernels, winograd, step));
    }
    Ok(())
}

fn print_step(kernels: KernelSet, winograd: bool, step: &StepReport) {
    let Shape { channels, height, width } = step.shape;
    let (gflop, ms) = (step.operations as f64 / 1e9, milliseconds(step.time.unwrap_or_default()));
    print(&format!(
        "\"what\":\"layer\",\"kernels\":\"{kernels}\",\"winograd\":{winograd},\"layer\":\"{}\",\"how\":\"{}\",\
         \"shape\":[{channels},{height},{width}],\"gflop\":{gflop:.3},\"ms\":{ms:.2}",
        step.name, step.how
    ));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[allow(clippy::print_stdout)]
fn print(fields: &str) {
    println!("{{{fields}}}");
}

fn count() -> Result<()> {
    let (graph, picture) = network(SMALL)?;
    let kernels = KernelSet::best();
    let program = Program::compile(&graph, Options { kernels, ..Options::default() }, &mut Store::default())?;
    let mut sums = vec![0.0; program.outputs()[0].numbers()];
    // The first time plans what the second one computes.
    program.run(&[&picture], &mut [&mut sums], 1)?;
    counted(&program, &picture, &mut sums)?;
    print(&format!("\"kernels\":\"{kernels}\""));
    Ok(())
}

/// What is counted, and nothing else: its name is what the tool looks for.
#[inline(never)]
fn counted(program: &Arc<Program>, picture: &[f32], sums: &mut [f32]) -> Result<()> {
    Ok(program.run(&[picture], &mut [sums], 1)?)
}

/// The trunk, and a picture of noise for it.
fn network((height, width): (usize, usize)) -> Result<(Graph, Vec<f32>)> {
    let mut trunk = Trunk { graph: Graph::default(), state: 1 };
    let input = trunk.graph.input(Shape { channels: 1, height, width })?;
    trunk.graph.name("first");
    let first = trunk.convolution(input, 16, (7, 2, 0))?;
    let windows = Windows { size: (3, 3), stride: (2, 2), rows: (0, 0), columns: (0, 0) };
    let mut value = trunk.graph.max_pool(first, windows)?;
    for (stage, stride) in STAGE_STRIDES.into_iter().enumerate() {
        for block in 0..2 {
            trunk.graph.name(&format!("{stage}.{block}"));
            value = trunk.block(value, 16 << stage, (block == 0).then_some(stride))?;
        }
    }
    let active = trunk.normalised(value)?;
    let sums = trunk.graph.sum_over_picture(active)?;
    trunk.graph.output(sums);
    let picture = trunk.numbers(height * width, 1.7);
    Ok((trunk.graph, picture))
}

struct Trunk {
    graph: Graph,
    state: u64,
}

impl Trunk {
    fn block(&mut self, input: Id, channels: usize, first: Option<usize>) -> Result<Id> {
        let active = self.normalised(input)?;
        let inner = self.convolution(active, channels, (3, first.unwrap_or(1), 1))?;
        let inner = self.normalised(inner)?;
        let inner = self.convolution(inner, channels, (3, 1, 1))?;
        let residual = match first {
            Some(stride) => self.convolution(active, channels, (1, stride, 0))?,
            None => input,
        };
        Ok(self.graph.sum(inner, residual)?)
    }

    fn convolution(&mut self, from: Id, channels: usize, (size, stride, pad): (usize, usize, usize)) -> Result<Id> {
        let each = self.graph.shape(from).channels * size * size;
        let weights = self.numbers(channels * each, (3.0 / each as f32).sqrt());
        let windows = Windows { size: (size, size), stride: (stride, stride), rows: (pad, pad), columns: (pad, pad) };
        Ok(self.graph.convolution(from, channels, windows, weights, None)?)
    }

    fn normalised(&mut self, from: Id) -> Result<Id> {
        let channels = self.graph.shape(from).channels;
        let factors = self.numbers(channels, 0.3).into_iter().map(|number| 1.0 + number).collect();
        let summands = self.numbers(channels, 0.1);
        let scaled = self.graph.scale(from, factors, summands)?;
        Ok(self.graph.relu(scaled)?)
    }

    /// Even numbers between minus and plus `most`, from a linear congruence.
    fn numbers(&mut self, count: usize, most: f32) -> Vec<f32> {
        let next = |_| {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((self.state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * most
        };
        (0..count).map(next).collect()
    }
}
