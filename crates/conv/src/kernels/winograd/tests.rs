use super::*;
use crate::KernelSet;
use crate::isa::Work;
use crate::kernels::Settling;
use crate::layout::{LANES, RowsMut, numbers, numbers_mut};

/// Channels of the picture and of the results, in two blocks and three; fewer under Miri, which takes a microsecond for a number.
const CHANNELS: (usize, usize) = if cfg!(miri) { (3, 17) } else { (20, 36) };

const INPUT: Geometry = Geometry { channels: CHANNELS.0, height: 9, width: 30, left: 1, right: 3 };
const OUT: Geometry = Geometry { channels: CHANNELS.1, left: 0, right: 0, ..INPUT };

/// Tiles of the picture: three rows of eight.
const ALL: usize = 24;

fn noise(at: usize) -> f32 {
    (at * 7919 % 1013) as f32 / 506.5 - 1.0
}

#[test]
fn bits_do_not_depend_on_the_batch() {
    let (from, to) = CHANNELS;
    let weights = transformed(&(0..to * from * 9).map(noise).collect::<Vec<_>>(), to, from);
    let mut picture = vec![Line::ZERO; INPUT.row_lines() * INPUT.height];
    for (at, pixels) in numbers_mut(&mut picture).chunks_exact_mut(INPUT.pixels() * LANES).enumerate() {
        let channels = INPUT.channels_of(at % INPUT.blocks());
        for (x, pixel) in pixels.chunks_exact_mut(LANES).enumerate().skip(INPUT.left).take(INPUT.width) {
            pixel[..channels]
                .iter_mut()
                .enumerate()
                .for_each(|(channel, to)| *to = noise((at * 64 + x) * LANES + channel));
        }
    }
    let zeros = vec![Line::ZERO; INPUT.row_lines()];
    let (factors, summands) = (vec![Line([1.0; LANES]); OUT.blocks()], vec![Line::ZERO; OUT.blocks()]);
    let outputs = |kernels: KernelSet, batch: Batch| -> Vec<u32> {
        // No more than is asked for, and full of what spoils every result.
        let mut scratch = vec![Line([f32::NAN; LANES]); scratch_lines(INPUT, OUT, batch)];
        let mut lines = vec![Line::ZERO; OUT.row_lines() * OUT.height];
        let settling = Settling { factors: &factors, summands: &summands, relu: false };
        let mut sinks = [Sink { rows: RowsMut::new(&mut lines, OUT, 0, OUT.height), settling }];
        let work = Winograd {
            weights: &weights,
            input: Rows::new(&picture, INPUT, 0, INPUT.height, &zeros),
            out: OUT,
            addend: None,
            sinks: &mut sinks,
            scratch: &mut scratch,
            batch,
        };
        kernels.run(Work::Winograd(work), 0..OUT.height);
        numbers(&lines).iter().map(|number| number.to_bits()).collect()
    };
    for kernels in KernelSet::available() {
        let whole = outputs(kernels, Batch { tiles: ALL, rows: PATCH });
        let many = whole.iter().filter(|bits| f32::from_bits(**bits).abs() > 0.01).count();
        assert!(many > OUT.height * OUT.width * to * 5 / 6, "{many} results are more than nothing");
        let all_tiles: &[usize] = if cfg!(miri) { &[7, ALL - 1] } else { &[1, 7, ALL - 1, ALL] };
        let all_rows = (1..=PATCH).step_by(if cfg!(miri) { 3 } else { 1 });
        for (tiles, rows) in all_tiles.iter().flat_map(|tiles| all_rows.clone().map(|rows| (*tiles, rows))) {
            assert!(
                outputs(kernels, Batch { tiles, rows }) == whole,
                "{kernels}: {tiles} tiles, {rows} rows of products"
            );
        }
    }
}
