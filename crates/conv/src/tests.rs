//! Random graphs, computed in every way that there is, against sums in double precision as the operations are written down.

use proptest::prelude::*;

use definition::by_definition;

use crate::graph::{Graph, Id, Shape, Windows};
use crate::kernels::Batch;
use crate::layout::Line;
use crate::lower::Kind;
use crate::placement::Placement;
use crate::program::batch;
use crate::run::blocks;
use crate::schedule::Division;
use crate::{KernelSet, Options, Program, Store};

mod definition;

struct Random(u64);

impl Random {
    fn number(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }
}

/// One operation to add, as far as it fits.
#[derive(Clone, Debug)]
enum Piece {
    Convolution { channels: usize, size: usize, stride: usize, padded: bool, biased: bool },
    Pool { size: usize, stride: usize, padding: usize },
    Scale,
    Relu,
    Add { back: usize },
    Keep,
}

fn piece() -> impl Strategy<Value = Piece> {
    let size = prop_oneof![4 => Just(3usize), 2 => Just(1), 1 => Just(7), 1 => 1..6usize];
    prop_oneof![
        5 => (1..40usize, size, 1..4usize, any::<bool>(), any::<bool>()).prop_map(
            |(channels, size, stride, padded, biased)| Piece::Convolution { channels, size, stride, padded, biased }
        ),
        1 => (1..4usize, 1..3usize, 0..2usize).prop_map(|(size, stride, padding)| Piece::Pool { size, stride, padding }),
        2 => Just(Piece::Scale),
        2 => Just(Piece::Relu),
        2 => (0..8usize).prop_map(|back| Piece::Add { back }),
        1 => Just(Piece::Keep),
    ]
}

fn square(size: usize, stride: usize, padding: usize) -> Windows {
    Windows { size: (size, size), stride: (stride, stride), rows: (padding, padding), columns: (padding, padding) }
}

/// A graph of the pieces that fit, with what comes out of it last as an output, and perhaps more.
fn assemble(input: Shape, pieces: &[Piece], sum: bool, seed: u64) -> Graph {
    let mut random = Random(seed);
    let mut graph = Graph::default();
    let mut current = graph.input(input).unwrap();
    let mut all = vec![current];
    for piece in pieces {
        let shape = graph.shape(current);
        let added = match piece {
            Piece::Convolution { channels, size, stride, padded, biased } => {
                let weights = random.numbers(channels * shape.channels * size * size);
                let bias = biased.then(|| random.numbers(*channels));
                let windows = square(*size, *stride, if *padded { size / 2 } else { 0 });
                graph.convolution(current, *channels, windows, weights, bias)
            }
            Piece::Pool { size, stride, padding } => graph.max_pool(current, square(*size, *stride, *padding)),
            Piece::Scale => graph.scale(current, random.numbers(shape.channels), random.numbers(shape.channels)),
            Piece::Relu => graph.relu(current),
            Piece::Add { back } => {
                let other = all.iter().rev().cycle().skip(*back).take(all.len()).find(|id| graph.shape(**id) == shape);
                graph.sum(current, *other.unwrap())
            }
            Piece::Keep => {
                graph.output(current);
                continue;
            }
        };
        if let Ok(id) = added {
            current = id;
            all.push(id);
        }
    }
    if sum {
        current = graph.sum_over_picture(current).unwrap();
    }
    graph.output(current);
    graph
}

fn run(graph: &Graph, options: Options, inputs: &[Vec<f32>], threads: usize) -> Vec<Vec<f32>> {
    let program = Program::compile(graph, options, &mut Store::default()).unwrap();
    let inputs: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    let once = |threads| {
        let mut results: Vec<Vec<f32>> =
            program.outputs().iter().map(|shape| vec![f32::NAN; shape.numbers()]).collect();
        let mut outputs: Vec<&mut [f32]> = results.iter_mut().map(Vec::as_mut_slice).collect();
        program.run(&inputs, &mut outputs, threads).unwrap();
        results
    };
    let first = once(threads);
    for _ in 0..2 {
        // Memory is in one piece now, and the last time it holds what was left in it.
        assert_eq!(bits(&first), bits(&once(threads)));
    }
    first
}

fn bits(results: &[Vec<f32>]) -> Vec<Vec<u32>> {
    results.iter().map(|numbers| numbers.iter().map(|number| number.to_bits()).collect()).collect()
}

/// How far from the sum in double precision a number may be, in units of the sum of magnitudes. A single precision number's last bit is
/// 6e-8 of it; the transformation of tiles multiplies that.
const ROUNDING: f64 = 2e-6;
const ROUNDING_IN_TILES: f64 = 2e-5;

fn check(graph: &Graph, inputs: &[Vec<f32>]) {
    let expected = by_definition(graph, inputs);
    let mut fused: [Option<Vec<Vec<u32>>>; 2] = [None, None];
    for kernels in KernelSet::available() {
        for winograd in [false, true] {
            let options = Options { kernels, winograd };
            let results = run(graph, options, inputs, 1);
            let most = if winograd { ROUNDING_IN_TILES } else { ROUNDING };
            for (result, Id(node)) in results.iter().zip(&graph.outputs) {
                let picture = &expected[*node];
                for (at, number) in result.iter().enumerate() {
                    let difference = (f64::from(*number) - picture.numbers[at]).abs();
                    assert!(
                        difference <= most * picture.sizes[at].max(1e-30),
                        "{kernels}, winograd {winograd}: number {at} of {:?} is {number}, not {}",
                        picture.shape,
                        picture.numbers[at]
                    );
                }
            }
            if kernels.name().starts_with("avx") {
                let first = fused[usize::from(winograd)].get_or_insert_with(|| bits(&results));
                assert_eq!(*first, bits(&results), "{kernels} rounds as the other one does");
            }
            for threads in [2, 3, 7] {
                assert_eq!(bits(&results), bits(&run(graph, options, inputs, threads)), "{threads} threads");
            }
        }
    }
}

/// Few: each is computed a dozen times and more, and under Miri each takes a minute. `PROPTEST_CASES` can have fewer.
const CASES: u32 = if cfg!(miri) { 2 } else { 192 };

/// Up to where shapes go: under Miri a number takes a microsecond.
const fn up_to(usual: usize, under_miri: usize) -> usize {
    if cfg!(miri) { under_miri } else { usual }
}

fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.min(CASES), ..usual }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_graph_is_computed_as_its_operations_are_written_down(
        channels in 1..up_to(36, 18),
        (height, width) in (1..up_to(40, 6), 1..up_to(70, 8)),
        pieces in proptest::collection::vec(piece(), 1..up_to(9, 4)),
        sum: bool,
        seed: u64,
    ) {
        let shape = Shape { channels, height, width };
        let graph = assemble(shape, &pieces, sum, seed);
        check(&graph, &[Random(seed ^ 1).numbers(shape.numbers())]);
    }

    #[test]
    fn a_first_layer_and_its_pooling_fit_any_width(
        width in 3..up_to(150, 12), height in 9..up_to(30, 11), channels in 1..up_to(4, 3), out in 1..up_to(36, 18),
        rows in 1..4usize, (size, stride) in (1..9usize, 1..5usize), seed: u64,
    ) {
        let shape = Shape { channels, height: height + 8, width: width + 14 };
        let mut random = Random(seed);
        let mut graph = Graph::default();
        let input = graph.input(shape).unwrap();
        let weights = random.numbers(out * channels * 7 * size);
        let above = (size / 2, size / 2);
        let windows = Windows { size: (size, 7), stride: (stride, 2), rows: above, columns: (3, 3) };
        let first = graph.convolution(input, out, windows, weights, Some(random.numbers(out))).unwrap();
        let pool = Windows { size: (rows, 3), stride: (2, 2), rows: (0, 0), columns: (0, 0) };
        let pooled = graph.max_pool(first, pool).unwrap();
        let scaled = graph.scale(pooled, random.numbers(out), random.numbers(out)).unwrap();
        let active = graph.relu(scaled).unwrap();
        graph.output(pooled);
        graph.output(active);
        check(&graph, &[random.numbers(shape.numbers())]);
    }

    #[test]
    fn tiles_fit_any_width(width in 1..up_to(130, 6), channels in 8..up_to(50, 18), out in 8..up_to(50, 18), seed: u64) {
        let shape = Shape { channels, height: up_to(9, 5), width };
        let piece = Piece::Convolution { channels: out, size: 3, stride: 1, padded: true, biased: true };
        let graph = assemble(shape, &[piece, Piece::Relu], false, seed);
        check(&graph, &[Random(seed).numbers(shape.numbers())]);
    }
}

#[test]
fn large_weights_are_divided_among_threads() {
    let shape = Shape { channels: 120, height: 13, width: 10 };
    let same = |channels| Piece::Convolution { channels, size: 3, stride: 1, padded: true, biased: true };
    let graph = assemble(shape, &[same(120), Piece::Relu, Piece::Keep, same(120), Piece::Add { back: 1 }], false, 5);
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    let by_products = program.groups.iter().filter(|group| {
        let division = Division::of(&program.lowered, group, 2);
        matches!(division, Division::Products(2))
    });
    assert_eq!(by_products.count(), 2);
    check(&graph, &[Random(6).numbers(shape.numbers())]);
}

#[test]
fn tiles_of_large_weights_are_done_in_batches_and_their_products_row_by_row() {
    let shape = Shape { channels: 72, height: 47, width: 39 };
    let convolution = Piece::Convolution { channels: 120, size: 3, stride: 1, padded: true, biased: true };
    let graph = assemble(shape, &[convolution, Piece::Relu], false, 7);
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    let step = program.lowered.steps.iter().find(|step| matches!(step.kind, Kind::Winograd)).unwrap();
    let chosen = batch(program.lowered.values[step.from.unwrap()].geometry, step.out);
    assert_eq!(chosen, Batch { tiles: 60, rows: 3 }, "of 12 rows of 10 tiles");
    check(&graph, &[Random(8).numbers(shape.numbers())]);
}

#[test]
fn memory_is_what_is_needed_at_once_and_not_what_all_layers_need() {
    let shape = Shape { channels: 16, height: 50, width: 38 };
    let layer = |channels, stride| Piece::Convolution { channels, size: 3, stride, padded: true, biased: false };
    let narrow = [layer(16, 1), Piece::Relu, layer(16, 1)];
    let wide = [layer(120, 2), layer(120, 1), layer(120, 1), layer(120, 1), layer(120, 1)];
    let graph = assemble(shape, &[narrow.as_slice(), wide.as_slice()].concat(), false, 9);
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    for threads in [1, 2] {
        let division = |group| Division::of(&program.lowered, group, threads);
        let divisions: Vec<Division> = program.groups.iter().map(division).collect();
        let placement = Placement::of(blocks(&program, &divisions));
        assert_eq!(placement.lines() * size_of::<Line>(), program.working_bytes(threads));
        let needed = |group| placement.during(group).map(|placed| placed.block.lines).sum::<usize>();
        let most = (0..=program.groups.len()).map(needed).max().unwrap();
        assert_eq!(placement.lines(), most);
        let all: usize = placement.all().iter().map(|placed| placed.block.lines).sum();
        assert!(2 * most < all, "{most} of {all}");
    }
    check(&graph, &[Random(10).numbers(shape.numbers())]);
}

#[test]
fn two_inputs_are_joined() {
    let mut graph = Graph::default();
    let shape = Shape { channels: 20, height: 5, width: 6 };
    let (a, b) = (graph.input(shape).unwrap(), graph.input(shape).unwrap());
    let sum = graph.sum(a, b).unwrap();
    let active = graph.relu(sum).unwrap();
    graph.output(active);
    graph.output(a);
    check(&graph, &[Random(1).numbers(shape.numbers()), Random(2).numbers(shape.numbers())]);
}

#[test]
fn a_picture_that_is_wanted_in_many_ways_is_had_in_all() {
    let mut graph = Graph::default();
    let mut random = Random(3);
    let shape = Shape { channels: 3, height: 12, width: 10 };
    let input = graph.input(shape).unwrap();
    let picture =
        graph.convolution(input, 18, square(3, 1, 1), random.numbers(18 * 27), Some(random.numbers(18))).unwrap();
    for _ in 0..4 {
        let scaled = graph.scale(picture, random.numbers(18), random.numbers(18)).unwrap();
        let active = graph.relu(scaled).unwrap();
        let again = graph.scale(active, random.numbers(18), random.numbers(18)).unwrap();
        graph.output(again);
        graph.output(active);
        graph.output(scaled);
    }
    graph.output(picture);
    check(&graph, &[random.numbers(shape.numbers())]);
}

#[test]
fn what_was_scaled_before_is_wanted_in_many_ways_too() {
    let mut graph = Graph::default();
    let mut random = Random(9);
    let shape = Shape { channels: 5, height: 3, width: 4 };
    let input = graph.input(shape).unwrap();
    let active = graph.relu(input).unwrap();
    let scaled = graph.scale(active, vec![2.0; 5], random.numbers(5)).unwrap();
    for _ in 0..3 {
        let again = graph.scale(scaled, random.numbers(5), random.numbers(5)).unwrap();
        graph.output(again);
    }
    let cut = graph.relu(scaled).unwrap();
    graph.output(cut);
    graph.output(scaled);
    check(&graph, &[random.numbers(shape.numbers())]);
}

#[test]
fn a_long_chain_is_computed_and_a_longer_one_refused() {
    let mut graph = Graph::default();
    let mut current = graph.input(Shape { channels: 1, height: 3, width: 3 }).unwrap();
    for _ in 0..1000 {
        current = graph.max_pool(current, square(1, 1, 0)).unwrap();
    }
    graph.output(current);
    let numbers = Random(1).numbers(9);
    assert_eq!(run(&graph, Options::default(), std::slice::from_ref(&numbers), 1)[0], numbers);
    for _ in 0..crate::limits::MAX_NODES {
        current = graph.max_pool(current, square(1, 1, 0)).unwrap();
    }
    let compiled = Program::compile(&graph, Options::default(), &mut Store::default());
    assert!(matches!(compiled, Err(crate::Error::TooMany { .. })));
}

#[test]
fn what_is_not_a_number_stays_none() {
    let mut graph = Graph::default();
    let shape = Shape { channels: 16, height: 8, width: 8 };
    let input = graph.input(shape).unwrap();
    let picture = graph.convolution(input, 16, square(3, 1, 1), vec![1.0; 16 * 144], None).unwrap();
    let active = graph.relu(picture).unwrap();
    let pooled = graph.max_pool(active, square(2, 1, 0)).unwrap();
    let sum = graph.sum_over_picture(pooled).unwrap();
    graph.output(sum);
    let largest = graph.max_pool(input, square(3, 2, 1)).unwrap();
    let largest = graph.sum_over_picture(largest).unwrap();
    graph.output(largest);
    let mut numbers = vec![1.0; shape.numbers()];
    numbers[77] = f32::NAN;
    for kernels in KernelSet::available() {
        for winograd in [false, true] {
            let results = run(&graph, Options { kernels, winograd }, &[numbers.clone()], 1);
            assert!(results[0].iter().all(|number| number.is_nan()), "{kernels} {winograd}: {results:?}");
            assert!(results[1][1].is_nan() && results[1][0] == 16.0, "{kernels} {winograd}: {results:?}");
        }
    }
}

#[test]
fn equal_weights_are_kept_once() {
    let shape = Shape { channels: 16, height: 20, width: 20 };
    let piece = |channels| Piece::Convolution { channels, size: 3, stride: 1, padded: true, biased: false };
    let mut store = Store::default();
    let compile = |graph: &Graph, store: &mut Store| Program::compile(graph, Options::default(), store).unwrap();
    let graph = assemble(shape, &[piece(16), piece(32)], true, 4);
    let a = compile(&graph, &mut store);
    assert!(std::sync::Arc::ptr_eq(&a, &compile(&graph, &mut store)));
    let b = compile(&assemble(shape, &[piece(16), piece(32)], false, 4), &mut store);
    let c = compile(&assemble(shape, &[piece(16), piece(32)], false, 5), &mut store);
    let weights = |program: &Program, step: usize| program.lowered.steps[step].weights.clone().unwrap();
    let packed = usize::from(matches!(a.lowered.steps[0].kind, Kind::Pack { .. }));
    for step in [packed, packed + 1] {
        assert!(std::ptr::eq(&*weights(&a, step), &*weights(&b, step)));
        assert!(!std::ptr::eq(&*weights(&a, step), &*weights(&c, step)));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut graph = Graph::default();
    let input = graph.input(Shape { channels: 2, height: 5, width: 5 }).unwrap();
    assert!(graph.input(Shape { channels: 0, height: 5, width: 5 }).is_err());
    let windows = [square(6, 1, 0), square(0, 1, 0), square(3, 0, 0), square(3, 1, 3), square(usize::MAX, 1, 0)];
    for windows in windows {
        assert!(graph.max_pool(input, windows).is_err(), "{windows:?}");
    }
    assert!(graph.convolution(input, 3, square(3, 1, 1), vec![0.0; 53], None).is_err());
    assert!(graph.convolution(input, 3, square(3, 1, 1), vec![0.0; 54], Some(vec![0.0; 2])).is_err());
    assert!(graph.convolution(input, usize::MAX, square(3, 1, 1), vec![0.0; 54], None).is_err());
    assert!(graph.scale(input, vec![1.0], vec![1.0]).is_err());
    let pooled = graph.max_pool(input, square(2, 2, 0)).unwrap();
    assert!(graph.sum(input, pooled).is_err());
    let sum = graph.sum_over_picture(input).unwrap();
    assert!(graph.relu(sum).is_err());
    graph.output(sum);
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    assert!(program.run(&[&[0.0; 49]], &mut [&mut [0.0; 2]], 1).is_err());
    assert!(program.run(&[&[0.0; 50]], &mut [&mut [0.0; 3]], 1).is_err());
    assert!(program.run(&[&[0.0; 50], &[0.0; 50]], &mut [&mut [0.0; 2]], 1).is_err());
    assert!(program.run(&[&[0.0; 50]], &mut [&mut [0.0; 2]], 1).is_ok());
    assert!(program.run(&[&[0.0; 50]], &mut [], 1).is_err());
}

#[test]
fn an_output_that_is_empty_is_not_given_and_the_others_are() {
    let mut graph = Graph::default();
    let input = graph.input(Shape { channels: 2, height: 5, width: 5 }).unwrap();
    let active = graph.relu(input).unwrap();
    let sum = graph.sum_over_picture(active).unwrap();
    graph.output(active);
    graph.output(sum);
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    let (mut picture, mut sums) = ([0.0; 50], [0.0; 2]);
    program.run(&[&[1.0; 50]], &mut [&mut [], &mut sums], 1).unwrap();
    assert_eq!(sums, [25.0; 2]);
    program.run(&[&[1.0; 50]], &mut [&mut picture, &mut []], 1).unwrap();
    assert_eq!(picture, [1.0; 50]);
}

#[test]
fn what_is_too_large_is_refused_before_memory_is_taken() {
    let mut graph = Graph::default();
    for shape in [(1, 1 << 17, 1), (1 << 17, 1, 1), (1, 1 << 16, 1 << 15), (1 << 11, 1 << 10, 1 << 10)] {
        let (channels, height, width) = shape;
        assert!(graph.input(Shape { channels, height, width }).is_err(), "{shape:?}");
    }
    // Three pictures of one channel take as much as of sixteen.
    let shape = Shape { channels: 1, height: 1 << 15, width: 1 << 15 };
    let input = graph.input(shape).unwrap();
    let active = graph.relu(input).unwrap();
    graph.output(active);
    let compiled = Program::compile(&graph, Options::default(), &mut Store::default());
    assert!(matches!(compiled, Err(crate::Error::TooLarge { .. })));
    let mut graph = Graph::default();
    let input = graph.input(Shape { channels: 1 << 16, height: 3, width: 3 }).unwrap();
    assert!(graph.convolution(input, 1 << 16, square(1, 1, 0), vec![], None).is_err());
}

#[test]
fn a_narrow_first_layer_is_pooled_and_given_by_two_threads_as_by_one() {
    let shape = Shape { channels: 1, height: 17, width: 15 };
    let mut random = Random(11);
    let mut graph = Graph::default();
    let input = graph.input(shape).unwrap();
    let first = graph.convolution(input, 17, square(7, 2, 3), random.numbers(17 * 49), None).unwrap();
    let pooled = graph.max_pool(first, square(3, 2, 0)).unwrap();
    graph.output(pooled);
    let numbers = random.numbers(shape.numbers());
    let program = Program::compile(&graph, Options::default(), &mut Store::default()).unwrap();
    let results = [1, 2].map(|threads| {
        let mut result = vec![f32::NAN; program.outputs()[0].numbers()];
        program.run(&[&numbers], &mut [&mut result], threads).unwrap();
        result
    });
    assert_eq!(results[0], results[1]);
    let expected = &by_definition(&graph, &[numbers])[pooled.0];
    for (at, number) in results[0].iter().enumerate() {
        let difference = (f64::from(*number) - expected.numbers[at]).abs();
        assert!(difference <= ROUNDING_IN_TILES * expected.sizes[at], "{at}: {number}, not {}", expected.numbers[at]);
    }
}
