//! What a network is given: the crops of a prepared mammogram, or the whole image scaled.

use cloister_imaging::{
    Axis as Along, CropPlan, Error as ImageError, Finding, Noise, Placement, Prepared, View, prepare,
};
use ndarray::{Array2, Axis};

use crate::{Error, Generator, Preprocessing, Resize, SyntheticImage};

/// The brightest value of an image.
const WHITE: f32 = 65_535.0;

/// The inputs of one image, rendered one at a time on whatever thread runs the network.
pub(crate) struct Inputs {
    kind: Kind,
    image: (usize, usize),
}

enum Kind {
    Crops(Box<Prepared>, Vec<CropPlan>),
    /// Greys from 0 to 1, and what every channel makes of them.
    Whole {
        greys: Array2<f32>,
        numbers: Resize,
    },
}

impl Inputs {
    /// Prepares an image for a window of (height, width). One crop is the noiseless one.
    pub(crate) fn prepare(
        preprocessing: &Preprocessing,
        image: &Array2<u16>,
        view: View,
        window: (usize, usize),
        crops: u32,
    ) -> Result<Self, Error> {
        let kind = match preprocessing {
            Preprocessing::ScreeningMammogram1(_) => {
                let prepared = prepare(image, view, window)?;
                let noise = if crops == 1 { Noise::None } else { Noise::Default };
                let plans = prepared.crops(crops, noise);
                Kind::Crops(Box::new(prepared), plans)
            }
            Preprocessing::Resize1(numbers) => {
                if image.iter().all(|pixel| *pixel == 0) {
                    return Err(ImageError::AllZero.into());
                }
                Kind::Whole { greys: scale(image, window), numbers: numbers.clone() }
            }
        };
        Ok(Self { kind, image: image.dim() })
    }

    /// The image's size: rows, columns.
    pub(crate) fn image(&self) -> (usize, usize) {
        self.image
    }

    /// Where in the image an input lies. `index` is below [`Inputs::len`].
    pub(crate) fn placement(&self, index: usize) -> Placement {
        match &self.kind {
            Kind::Crops(prepared, plans) => prepared.placement(&plans[index]),
            Kind::Whole { greys, .. } => Placement {
                rows: Along::whole(self.image.0, greys.nrows()),
                columns: Along::whole(self.image.1, greys.ncols()),
            },
        }
    }

    pub(crate) fn len(&self) -> usize {
        match &self.kind {
            Kind::Crops(_, plans) => plans.len(),
            Kind::Whole { .. } => 1,
        }
    }

    /// One input, channel after channel and row after row, into memory of its size. `index` is below [`Inputs::len`].
    pub(crate) fn render(&self, index: usize, channels: usize, buffer: &mut [f32]) -> Result<(), Error> {
        let plane = buffer.len() / channels;
        match &self.kind {
            Kind::Crops(prepared, plans) => {
                prepared.render_into(&plans[index], &mut buffer[..plane])?;
                (1..channels).for_each(|channel| buffer.copy_within(..plane, channel * plane));
            }
            Kind::Whole { greys, numbers } => {
                for (channel, plane) in buffer.chunks_exact_mut(plane).enumerate() {
                    let (mean, deviation) = (numbers.mean.of(channel), numbers.deviation.of(channel));
                    plane.iter_mut().zip(greys).for_each(|(to, grey)| *to = (grey - mean) / deviation);
                }
            }
        }
        Ok(())
    }

    /// Where in the image the network looks: top, bottom, left, right, ends excluded.
    pub(crate) fn window(&self) -> [usize; 4] {
        match &self.kind {
            Kind::Crops(prepared, _) => {
                let window = prepared.window;
                [window.top, window.bottom, window.left, window.right]
            }
            Kind::Whole { .. } => [0, self.image.0, 0, self.image.1],
        }
    }

    /// What a person should look at in the image; nothing of one that is scaled whole, in which no breast was looked for.
    pub(crate) fn findings(&self) -> &[Finding] {
        match &self.kind {
            Kind::Crops(prepared, _) => &prepared.findings,
            Kind::Whole { .. } => &[],
        }
    }

    /// The centre that inputs are cut around: y, x.
    pub(crate) fn best_center(&self) -> [i64; 2] {
        match &self.kind {
            Kind::Crops(prepared, _) => [prepared.best_center.0, prepared.best_center.1],
            Kind::Whole { .. } => [(self.image.0 / 2) as i64, (self.image.1 / 2) as i64],
        }
    }
}

impl SyntheticImage {
    pub(crate) fn draw(&self, view: View) -> Array2<u16> {
        let Generator::Synthetic1 = self.generator;
        let options = cloister_imaging::synthetic::Options {
            height: self.height,
            width: self.width,
            ..cloister_imaging::synthetic::Options::default()
        };
        cloister_imaging::synthetic::generate(self.seed, view, options)
    }
}

/// Greys from 0 to 1: bilinear, half-pixel centres, edges repeated: first the rows, then the columns. Two rows at a time, so that nothing but
/// the window takes memory.
fn scale(image: &Array2<u16>, (height, width): (usize, usize)) -> Array2<f32> {
    let (mut upper, mut lower) = (ScaledRow::of(width), ScaledRow::of(width));
    let mut window = Array2::zeros((height, width));
    for (y, mut to) in window.axis_iter_mut(Axis(0)).enumerate() {
        let (low, high, share) = taps(y, height, image.nrows());
        if lower.row == Some(low) {
            std::mem::swap(&mut upper, &mut lower);
        }
        upper.scale(image, low);
        lower.scale(image, high);
        for ((to, upper), lower) in to.iter_mut().zip(&upper.greys).zip(&lower.greys) {
            *to = (upper * (1.0 - share) + lower * share) / WHITE;
        }
    }
    window
}

/// One row of an image, as wide as the window.
struct ScaledRow {
    row: Option<usize>,
    greys: Vec<f32>,
}

impl ScaledRow {
    fn of(width: usize) -> Self {
        Self { row: None, greys: vec![0.0; width] }
    }

    /// Nothing where it is that row already.
    fn scale(&mut self, image: &Array2<u16>, row: usize) {
        if self.row == Some(row) {
            return;
        }
        let width = self.greys.len();
        for (x, grey) in self.greys.iter_mut().enumerate() {
            let (low, high, share) = taps(x, width, image.ncols());
            *grey = f32::from(image[[row, low]]) * (1.0 - share) + f32::from(image[[row, high]]) * share;
        }
        self.row = Some(row);
    }
}

/// The two pixels that an output pixel lies between, and the share of the second.
fn taps(at: usize, outputs: usize, inputs: usize) -> (usize, usize, f32) {
    let place = ((at as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5).clamp(0.0, (inputs - 1) as f64);
    let low = place as usize;
    (low, (low + 1).min(inputs - 1), (place - low as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Numbers, ScreeningMammogram};

    fn whole(image: &Array2<u16>, window: (usize, usize)) -> Array2<f32> {
        scale(image, window) * WHITE
    }

    /// The same with all of the image's rows scaled first.
    fn scale_at_once(image: &Array2<u16>, (height, width): (usize, usize)) -> Array2<f32> {
        let mut columns = Array2::zeros((image.nrows(), width));
        for (from, mut to) in image.axis_iter(Axis(0)).zip(columns.axis_iter_mut(Axis(0))) {
            for (x, value) in to.iter_mut().enumerate() {
                let (low, high, share) = taps(x, width, image.ncols());
                *value = f32::from(from[low]) * (1.0 - share) + f32::from(from[high]) * share;
            }
        }
        Array2::from_shape_fn((height, width), |(y, x)| {
            let (low, high, share) = taps(y, height, image.nrows());
            (columns[[low, x]] * (1.0 - share) + columns[[high, x]] * share) / WHITE
        })
    }

    #[test]
    fn scaling_row_by_row_gives_the_bits_that_scaling_all_rows_first_gives() {
        for (rows, columns) in [(1, 1), (2, 7), (37, 23), (64, 5)] {
            let image =
                Array2::from_shape_fn((rows, columns), |(y, x)| ((y * 40_503 + x * 30_011 + 17) % 65_536) as u16);
            for window in [(1, 1), (3, 2), (37, 23), (50, 64), (97, 11)] {
                let bits = |greys: Array2<f32>| greys.iter().map(|grey| grey.to_bits()).collect::<Vec<_>>();
                let expected = bits(scale_at_once(&image, window));
                assert_eq!(bits(scale(&image, window)), expected, "{rows} x {columns} to {window:?}");
            }
        }
    }

    #[test]
    fn an_image_of_the_windows_size_stays_as_it_is() {
        let image = Array2::from_shape_fn((3, 5), |(y, x)| (y * 1000 + x * 7) as u16);
        assert!(whole(&image, (3, 5)).iter().zip(&image).all(|(out, pixel)| (out - f32::from(*pixel)).abs() < 0.01));
    }

    #[test]
    fn half_the_size_takes_the_middle_of_each_pair() {
        let image = Array2::from_shape_vec((1, 4), vec![0, 100, 200, 600]).unwrap();
        let small = whole(&image, (1, 2));
        assert!((small[[0, 0]] - 50.0).abs() < 0.01 && (small[[0, 1]] - 400.0).abs() < 0.01, "{small}");
    }

    #[test]
    fn twice_the_size_repeats_edges_and_mixes_by_quarters() {
        let image = Array2::from_shape_vec((2, 1), vec![100, 200]).unwrap();
        let large = whole(&image, (4, 1));
        for (value, expected) in large.iter().zip([100.0, 125.0, 175.0, 200.0]) {
            assert!((value - expected).abs() < 0.01, "{large}");
        }
    }

    #[test]
    fn mean_and_deviation_are_of_greys_from_0_to_1_and_of_each_channel() {
        let image = Array2::from_elem((2, 2), 65_535);
        let render = |mean, deviation, channels| {
            let numbers = Preprocessing::Resize1(Resize { mean, deviation });
            let mut out = vec![0.0; channels];
            Inputs::prepare(&numbers, &image, View::LCc, (1, 1), 1).unwrap().render(0, channels, &mut out).unwrap();
            out
        };
        assert_eq!(render(Numbers::All(0.5), Numbers::All(0.25), 1), [2.0]);
        assert_eq!(
            render(Numbers::Each(vec![0.5, 0.25, 0.0]), Numbers::Each(vec![0.25, 0.5, 1.0]), 3),
            [2.0, 1.5, 1.0]
        );
        assert_eq!(render(Numbers::All(0.5), Numbers::All(0.5), 3), [1.0; 3]);
    }

    #[test]
    fn every_channel_shows_the_same_crop() {
        let options = cloister_imaging::synthetic::Options { width: 700, height: 900, ..Default::default() };
        let image = cloister_imaging::synthetic::generate(3, View::LCc, options);
        let numbers = Preprocessing::ScreeningMammogram1(ScreeningMammogram::default());
        let inputs = Inputs::prepare(&numbers, &image, View::LCc, (160, 128), 1).unwrap();
        let (mut grey, mut colour) = (vec![0.0; 160 * 128], vec![0.0; 3 * 160 * 128]);
        inputs.render(0, 1, &mut grey).unwrap();
        inputs.render(0, 3, &mut colour).unwrap();
        assert_eq!(colour, grey.repeat(3));
    }
}
