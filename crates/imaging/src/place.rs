//! Where a point of an image lies in a network's window, and so which point of an image a network's answer is about.

use crate::{CropPlan, Laterality, prepare::Prepared};

/// A network's window in an image. Coordinates are of edges: the image's first pixel reaches from 0 to 1, and so does the window's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placement {
    /// Along the columns of pixels, from the top.
    pub rows: Axis,
    /// Along the rows of pixels, from the left of the image as it was given.
    pub columns: Axis,
}

/// One direction of a [`Placement`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// Where in the image the window begins: at its end, where it is mirrored.
    start: f64,
    /// How far in the image it reaches from there: below zero where it is mirrored.
    reach: f64,
    /// The window's own length.
    length: f64,
}

impl Axis {
    /// A window of `length` that shows all of an image's `pixels`.
    pub fn whole(pixels: usize, length: usize) -> Self {
        Self { start: 0.0, reach: pixels as f64, length: length as f64 }
    }

    /// The place in the window of a place in the image; none outside of the window.
    pub fn at(&self, place: f64) -> Option<f64> {
        let share = (place - self.start) / self.reach;
        (0.0..=1.0).contains(&share).then_some(share * self.length)
    }
}

impl Prepared {
    /// Where a planned window lies in the image as it was given, which is not mirrored.
    pub fn placement(&self, plan: &CropPlan) -> Placement {
        let (height, width) = self.network();
        let rows = Axis {
            start: self.window.top as f64 + plan.top as f64,
            reach: (plan.bottom - plan.top) as f64,
            length: height as f64,
        };
        let (left, reach) = (plan.left as f64, (plan.right - plan.left) as f64);
        let (start, reach) = match self.view.laterality() {
            Laterality::Left => (self.window.left as f64 + left, reach),
            Laterality::Right => (self.window.right as f64 - left, -reach),
        };
        Placement { rows, columns: Axis { start, reach, length: width as f64 } }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;
    use crate::{Noise, View, prepare, synthetic};

    /// The window in which a square of the image is the brightest, and the middle of that square in it.
    #[test]
    fn a_bright_square_is_where_each_window_shows_it() {
        for (view, column) in [(View::LCc, 150), (View::LMlo, 150), (View::RCc, 480), (View::RMlo, 480)] {
            let options = synthetic::Options { width: 640, height: 832, ..synthetic::Options::default() };
            let mut image = synthetic::generate(3, view, options) / 16;
            image.slice_mut(s![400..410, column..column + 10]).fill(u16::MAX);
            let prepared = prepare(&image, view, (448, 352)).unwrap();
            let mut seen = 0;
            for plan in prepared.crops(10, Noise::Default) {
                let placement = prepared.placement(&plan);
                let expected = placement.rows.at(405.0).zip(placement.columns.at(column as f64 + 5.0));
                let Some((y, x)) = expected else { continue };
                let (found_y, found_x) = middle(&prepared.render(&plan));
                assert!(
                    (found_y - y).abs() < 0.75 && (found_x - x).abs() < 0.75,
                    "{view}: {y} {x}, {found_y} {found_x}"
                );
                seen += 1;
            }
            assert!(seen >= 5, "{view}: in {seen} windows");
        }
    }

    /// The mean place of the brightest pixels.
    fn middle(window: &Array2<f32>) -> (f64, f64) {
        let most = window.iter().copied().fold(f32::MIN, f32::max);
        let bright: Vec<_> =
            window.indexed_iter().filter(|(_, pixel)| **pixel > 0.7 * most).map(|(at, _)| at).collect();
        let mean = |along: fn(&(usize, usize)) -> usize| {
            bright.iter().map(|at| along(at) as f64 + 0.5).sum::<f64>() / bright.len() as f64
        };
        (mean(|at| at.0), mean(|at| at.1))
    }

    #[test]
    fn what_lies_outside_of_a_window_is_nowhere_in_it() {
        let axis = Axis { start: 10.0, reach: -20.0, length: 5.0 };
        assert_eq!([10.0, 0.0, -10.0].map(|place| axis.at(place)), [Some(0.0), Some(2.5), Some(5.0)]);
        assert_eq!([10.5, -10.5].map(|place| axis.at(place)), [None, None]);
        assert_eq!(Axis::whole(100, 10).at(25.0), Some(2.5));
    }
}
