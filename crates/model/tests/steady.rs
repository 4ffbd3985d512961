//! What a crop takes of the allocator once there were others before it: small lists, and no memory for pictures.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::alloc::System;

use cloister_imaging::{View, synthetic};
use cloister_model::{Classifier, convert_checkpoint, demo_options, random_checkpoint};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

/// Counts what all threads ask for. This file has one test, so that no other one is counted.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Lists that a crop makes: nearly all of them tract's, for each step of its plan.
const LISTS: usize = 50;

/// What those take together: about a row of a crop.
const LISTS_BYTES: usize = 8 << 10;

/// How many crops are counted.
const CROPS: u32 = 20;

#[test]
fn crops_take_no_memory_for_pictures_once_there_were_others() {
    let package = convert_checkpoint(&random_checkpoint(1, 4), &demo_options((836, 612), 1)).unwrap();
    let classifier = Classifier::load(&package, 1).unwrap();
    let options = synthetic::Options { width: 640, height: 832, ..synthetic::Options::default() };
    let image = synthetic::generate(1, View::LCc, options);
    let taken = |crops: u32| {
        let prepared = classifier.prepare(&image, View::LCc, crops).unwrap();
        let region = Region::new(ALLOCATOR);
        prepared.score().unwrap();
        let change = region.change();
        (change.allocations + change.reallocations, change.bytes_allocated)
    };
    // The first crop is the one without noise: it is not scaled. Others differ in size.
    taken(CROPS);
    let (few, many) = (taken(2), taken(2 + CROPS));
    let each = |few: usize, many: usize| many.saturating_sub(few) / CROPS as usize;
    let (blocks, bytes) = (each(few.0, many.0), each(few.1, many.1));
    assert!(blocks <= LISTS && bytes <= LISTS_BYTES, "{blocks} blocks of {bytes} bytes a crop");
}
