//! Which windows the network is shown: around the best centre, moved and scaled a little by the generator's draws.

use crate::{Angle, prepare::Prepared, random::MersenneTwister};

/// How far a noisy window may move, in pixels.
const POSITION_NOISE: i64 = 100;

/// How far a noisy window's longer side may grow or shrink at each end, in pixels.
const SIZE_NOISE: i64 = 100;

/// Every image starts from the same seed, so that the same image always gets the same windows.
const SEED: u32 = 0;

/// Whether windows are moved and scaled at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// The window at the best centre, as it is.
    None,
    /// Up to 100 pixels of position and of size, as the published model averages over.
    Default,
}

/// One window to be cut. Coordinates are those of the prepared crop and may lie outside of it, where pixels count as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropPlan {
    pub(crate) top: i64,
    pub(crate) bottom: i64,
    pub(crate) left: i64,
    pub(crate) right: i64,
}

impl CropPlan {
    /// The window as `(top, bottom, left, right)`, ends excluded.
    pub fn window(&self) -> (i64, i64, i64, i64) {
        (self.top, self.bottom, self.left, self.right)
    }
}

/// One axis of a window in the padded crop.
#[derive(Clone, Copy)]
struct Span {
    start: i64,
    end: i64,
    /// The padded crop's length on this axis.
    size: i64,
    /// How many of `size` were added before the crop's first row or column.
    padded_before: i64,
}

impl Span {
    /// Moves the span back inside.
    fn inside(mut self) -> Self {
        if self.start < 0 {
            self.end -= self.start;
            self.start = 0;
        }
        if self.end > self.size {
            self.start -= self.end - self.size;
            self.end = self.size;
        }
        self
    }

    /// Moves the span by a share of the room on the side that `draw` points to, away from an edge that it touches.
    fn moved(mut self, draw: f64, most: i64) -> Self {
        let draw = if self.start == 0 {
            draw.abs()
        } else if self.end == self.size {
            -draw.abs()
        } else {
            draw
        };
        let room = if draw >= 0.0 { self.size - self.end } else { self.start };
        let shift = scaled(room.min(most), draw);
        self.start += shift;
        self.end += shift;
        self
    }

    fn room(&self) -> i64 {
        self.start.min(self.size - self.end)
    }
}

/// `length * factor`, rounded half to even.
fn scaled(length: i64, factor: f64) -> i64 {
    (length as f64 * factor).round_ties_even() as i64
}

pub(crate) fn plan(prepared: &Prepared, count: u32, noise: Noise) -> Vec<CropPlan> {
    let mut generator = MersenneTwister::new(SEED);
    (0..count).map(|_| plan_one(prepared, noise, &mut generator)).collect()
}

fn plan_one(prepared: &Prepared, noise: Noise, generator: &mut MersenneTwister) -> CropPlan {
    let (move_y, move_x, position, size) = match noise {
        Noise::None => (0.0, 0.0, 0, 0),
        Noise::Default => {
            let move_y = generator.next_signed();
            (move_y, generator.next_signed(), POSITION_NOISE, SIZE_NOISE)
        }
    };
    let (rows, columns) = spans(prepared, position, size);
    let rows = rows.inside().moved(move_y, position);
    let columns = columns.inside().moved(move_x, position);
    let mut draw = || generator.next_signed();
    let draws = [draw(), draw(), draw(), draw()];
    let (height, width) = prepared.network();
    let (s_y, s_x) = size_noise(size.min(rows.room()).min(columns.room()), height as i64, width as i64);
    CropPlan {
        top: rows.start + scaled(s_y, draws[0]) - rows.padded_before,
        bottom: rows.end + scaled(s_y, draws[1]) - rows.padded_before,
        left: columns.start + scaled(s_x, draws[2]) - columns.padded_before,
        right: columns.end + scaled(s_x, draws[3]) - columns.padded_before,
    }
}

/// How far each border may move, on both axes in proportion, given how far the longer side's may.
///
/// Windows of less than 201 pixels, which the published model does not have, could vanish: their borders stop short of each
/// other.
fn size_noise(longer: i64, height: i64, width: i64) -> (i64, i64) {
    let shorter_of = |longer_side: i64, shorter_side: i64| {
        let longer = longer.min((longer_side - 1) / 2);
        let shorter = ((longer * shorter_side) as f64 / longer_side as f64).round_ties_even() as i64;
        (longer, shorter.min((shorter_side - 1) / 2))
    };
    if height >= width {
        shorter_of(height, width)
    } else {
        let (s_x, s_y) = shorter_of(width, height);
        (s_y, s_x)
    }
}

/// The window at the best centre, rows and columns, after the crop was padded where it is too small for the noise.
fn spans(prepared: &Prepared, position: i64, size: i64) -> (Span, Span) {
    let (crop_height, crop_width) = prepared.crop_size();
    let (crop_height, crop_width) = (crop_height as i64, crop_width as i64);
    let (height, width) = prepared.network();
    let (height, width) = (height as i64, width as i64);
    let (y, x) = prepared.best_center;
    let noise = position + size;
    let at = |center: i64, length: i64, size: i64| Span {
        start: center - length / 2,
        end: center + length - length / 2,
        size,
        padded_before: 0,
    };
    let rows = match prepared.view.angle() {
        Angle::Cc if crop_height < height + 2 * noise => {
            let size = height + 2 * noise;
            Span { start: noise, end: noise + height, size, padded_before: (size - crop_height) / 2 }
        }
        Angle::Mlo if crop_height < height + noise => {
            Span { start: 0, end: height, size: height + noise, padded_before: 0 }
        }
        _ => at(y, height, crop_height),
    };
    let columns = if crop_width < width + noise {
        Span { start: 0, end: width, size: width + noise, padded_before: 0 }
    } else {
        at(x, width, crop_width)
    };
    (rows, columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::View;

    struct Case {
        view: View,
        crop: (usize, usize),
        center: (i64, i64),
        network: (usize, usize),
        still: (i64, i64, i64, i64),
        moved: [(i64, i64, i64, i64); 3],
    }

    /// Computed with numpy 2.4.6 by a separate program, written from the description: its `RandomState(0)`, `round` and slices.
    /// The first two are the reference's first image; then crops with room on all sides; then a window of 512 x 384.
    const CASES: [Case; 5] = [
        Case {
            view: View::LCc,
            crop: (2592, 1263),
            center: (1296, 240),
            network: (2677, 1942),
            still: (-42, 2635, 0, 1942),
            moved: [(-23, 2649, 38, 1994), (18, 2605, 111, 2023), (-101, 2579, 26, 2068)],
        },
        Case {
            view: View::LMlo,
            crop: (2592, 1263),
            center: (1053, 337),
            network: (2974, 1748),
            still: (0, 2974, 0, 1748),
            moved: [(12, 2985, 42, 1793), (23, 2983, 82, 1826), (2, 2976, 77, 1838)],
        },
        Case {
            view: View::RCc,
            crop: (4000, 3000),
            center: (1700, 1990),
            network: (2677, 1942),
            still: (362, 3039, 1019, 2961),
            moved: [(377, 3051, 1034, 2983), (357, 3025, 1054, 2992), (371, 3048, 1048, 2997)],
        },
        Case {
            view: View::RMlo,
            crop: (3500, 2500),
            center: (2012, 1620),
            network: (2974, 1748),
            still: (525, 3499, 746, 2494),
            moved: [(525, 3499, 749, 2497), (514, 3487, 752, 2499), (524, 3498, 750, 2500)],
        },
        Case {
            view: View::LCc,
            crop: (1000, 600),
            center: (500, 120),
            network: (512, 384),
            still: (244, 756, 0, 384),
            moved: [(263, 770, 38, 436), (304, 726, 112, 465), (185, 700, 24, 512)],
        },
    ];

    #[test]
    fn planned_windows_equal_those_of_an_independent_program() {
        for case in CASES {
            let prepared = Prepared::blank(case.view, case.crop, case.center, case.network);
            let windows = |noise, count| plan(&prepared, count, noise).iter().map(CropPlan::window).collect::<Vec<_>>();
            assert_eq!(windows(Noise::None, 1), [case.still], "{} {:?}", case.view, case.crop);
            assert_eq!(windows(Noise::Default, 3), case.moved, "{} {:?}", case.view, case.crop);
        }
    }

    #[test]
    fn more_crops_start_with_the_same_ones() {
        let prepared = Prepared::blank(View::LCc, (3000, 1500), (1500, 400), (2677, 1942));
        let ten = plan(&prepared, 10, Noise::Default);
        assert_eq!(plan(&prepared, 4, Noise::Default), ten[..4]);
        assert_eq!(plan(&prepared, 0, Noise::Default), []);
    }

    #[test]
    fn a_noiseless_window_does_not_move() {
        let prepared = Prepared::blank(View::RMlo, (3000, 1500), (1500, 400), (2974, 1748));
        let windows = plan(&prepared, 5, Noise::None);
        assert!(windows.iter().all(|window| *window == windows[0]));
    }

    #[test]
    fn windows_of_any_size_keep_at_least_one_pixel() {
        for (height, width) in [(1, 1), (2, 1), (1, 2), (3, 200), (200, 3), (201, 2), (2, 201), (64, 64)] {
            for view in View::ALL {
                let prepared = Prepared::blank(view, (900, 700), (450, 350), (height, width));
                for plan in plan(&prepared, 50, Noise::Default) {
                    let (top, bottom, left, right) = plan.window();
                    assert!(top < bottom && left < right, "{height} x {width}: {plan:?}");
                }
            }
        }
    }
}
