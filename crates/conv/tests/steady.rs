//! What a computation takes of the allocator once there was one before it: nothing.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::alloc::System;

use cloister_conv::{Graph, Options, Program, Shape, Store, Windows};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what all threads ask for. This file has one test, so that no other one is counted.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a thread of the pool is told takes memory: no more than a row of a picture.
const TOLD_BYTES: usize = 1024;

/// A few layers of each kind: a first one of seven columns with its pooling, two blocks with residual sums, a sum over the picture.
fn graph(height: usize) -> Graph {
    let square = |size: usize, stride: usize| Windows {
        size: (size, size),
        stride: (stride, stride),
        rows: (size / 2, size / 2),
        columns: (size / 2, size / 2),
    };
    let mut graph = Graph::default();
    let input = graph.input(Shape { channels: 1, height, width: 96 }).unwrap();
    let first = graph.convolution(input, 16, square(7, 2), vec![0.01; 16 * 49], None).unwrap();
    let mut current = graph.max_pool(first, square(3, 2)).unwrap();
    let mut channels = 16;
    for wider in [16, 32] {
        let stride = wider / channels;
        let conv = |graph: &mut Graph, from, size: usize, stride, channels: usize| {
            let weights = vec![0.01; wider * channels * size * size];
            graph.convolution(from, wider, square(size, stride), weights, None).unwrap()
        };
        let shortcut = conv(&mut graph, current, 1, stride, channels);
        let inner = conv(&mut graph, current, 3, stride, channels);
        let scaled = graph.scale(inner, vec![0.5; wider], vec![0.1; wider]).unwrap();
        let inner = graph.relu(scaled).unwrap();
        let inner = conv(&mut graph, inner, 3, 1, wider);
        current = graph.sum(inner, shortcut).unwrap();
        channels = wider;
    }
    let sum = graph.sum_over_picture(current).unwrap();
    graph.output(sum);
    graph
}

/// Blocks and bytes that one more computation asks for.
fn taken(height: usize, winograd: bool, threads: usize) -> (usize, usize) {
    let options = Options { winograd, ..Options::default() };
    let program = Program::compile(&graph(height), options, &mut Store::default()).unwrap();
    let input = vec![1.0; height * 96];
    let mut output = vec![0.0; program.outputs()[0].numbers()];
    let mut run = || program.run(&[&input], &mut [&mut output], threads).unwrap();
    run();
    run();
    let region = Region::new(ALLOCATOR);
    run();
    let change = region.change();
    (change.allocations + change.reallocations, change.bytes_allocated)
}

#[test]
fn no_memory_is_taken_once_there_was_a_computation() {
    for winograd in [true, false] {
        for height in [64, 2048] {
            assert_eq!(taken(height, winograd, 1), (0, 0), "{height} rows");
            let (_, bytes) = taken(height, winograd, 2);
            assert!(bytes <= TOLD_BYTES, "{bytes} bytes for {height} rows");
        }
    }
}
