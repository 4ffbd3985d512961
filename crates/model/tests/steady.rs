//! What a crop takes of the allocator once there were others before it: nothing, of a model of at most four labels, and its request a few
//! lists.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::alloc::System;

use cloister_imaging::{View, synthetic};
use cloister_model::{Classifier, convert_checkpoint, demo_options, random_checkpoint};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what all threads ask for. This file has one test, so that no other one is counted.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What a crop's places in the lists of its request take, which are made once.
const PLACES_BYTES: usize = 512;

/// Lists that are longer for more crops may come in more pieces.
const PIECES: usize = 4;

/// How often each is counted.
const ROUNDS: usize = 4;

/// So many that the last one is shared by two threads.
const FEW: u32 = 3;

/// How many crops are counted.
const CROPS: u32 = 20;

#[test]
fn crops_take_no_memory_once_there_were_others() {
    let package = convert_checkpoint(&random_checkpoint(1, 4), &demo_options((836, 612), 1)).unwrap();
    let options = synthetic::Options { width: 640, height: 832, ..synthetic::Options::default() };
    let image = synthetic::generate(1, View::LCc, options);
    for threads in [1, 2] {
        let classifier = Classifier::load(&package, threads).unwrap();
        let taken = |crops: u32| {
            let prepared = classifier.prepare(&image, View::LCc, crops).unwrap();
            let region = Region::new(ALLOCATOR);
            prepared.score().unwrap();
            let change = region.change();
            (change.allocations + change.reallocations, change.bytes_allocated)
        };
        // The first crop is the one without noise: it is not scaled. Others differ in size. A thread may be late on a busy machine, and have
        // its memory later.
        let least = |crops: u32| (0..ROUNDS).map(|_| taken(crops)).min().unwrap();
        let (few, many) = (least(FEW), least(FEW + CROPS));
        let each = many.1.saturating_sub(few.1) / CROPS as usize;
        assert!(many.0 <= few.0 + PIECES, "{} blocks for {FEW} crops, {} for {}", few.0, many.0, FEW + CROPS);
        assert!(each <= PLACES_BYTES, "{each} bytes a crop");
    }
}
