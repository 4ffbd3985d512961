//! The operations as they are written down, in double precision.

use crate::graph::{Graph, Node, Operation, Shape, Windows};

/// A picture in double precision, with the sum of the magnitudes that went into each number: what rounding is measured against.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) shape: Shape,
    pub(super) numbers: Vec<f64>,
    pub(super) sizes: Vec<f64>,
}

impl Picture {
    fn at(&self, channel: usize, y: isize, x: isize) -> Option<(f64, f64)> {
        let inside = (0..self.shape.height as isize).contains(&y) && (0..self.shape.width as isize).contains(&x);
        let index = (channel * self.shape.height + y as usize % self.shape.height.max(1)) * self.shape.width;
        inside.then(|| (self.numbers[index + x as usize], self.sizes[index + x as usize]))
    }

    fn make(shape: Shape, mut of: impl FnMut(usize, usize, usize) -> (f64, f64)) -> Self {
        let mut picture = Self { shape, numbers: Vec::new(), sizes: Vec::new() };
        for channel in 0..shape.channels {
            for y in 0..shape.height {
                for x in 0..shape.width {
                    let (number, size) = of(channel, y, x);
                    picture.numbers.push(number);
                    picture.sizes.push(size);
                }
            }
        }
        picture
    }
}

/// All nodes' pictures.
pub(super) fn by_definition(graph: &Graph, inputs: &[Vec<f32>]) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = Vec::new();
    let mut inputs = inputs.iter();
    for node in &graph.nodes {
        let from = |at: usize| pictures[node.from[at].0].clone();
        let picture = match &node.operation {
            Operation::Input => {
                let numbers: Vec<f64> = inputs.next().unwrap().iter().copied().map(f64::from).collect();
                Picture { shape: node.shape, sizes: numbers.iter().map(|number| number.abs()).collect(), numbers }
            }
            Operation::Convolution { windows, weights, bias } => {
                convolution(node, &from(0), windows, weights, bias.as_deref())
            }
            Operation::MaxPool { windows } => {
                let input = from(0);
                Picture::make(node.shape, |channel, y, x| {
                    let all = window(windows, y, x).filter_map(|(_, y, x)| input.at(channel, y, x));
                    all.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))).unwrap()
                })
            }
            Operation::Scale { factors, summands } => {
                let input = from(0);
                Picture::make(node.shape, |channel, y, x| {
                    let (number, size) = input.at(channel, y as isize, x as isize).unwrap();
                    let (factor, summand) = (f64::from(factors[channel]), f64::from(summands[channel]));
                    (number * factor + summand, size * factor.abs() + summand.abs())
                })
            }
            Operation::Relu => {
                let input = from(0);
                Picture { numbers: input.numbers.iter().map(|number| number.max(0.0)).collect(), ..input }
            }
            Operation::Add => {
                let (a, b) = (from(0), from(1));
                let sums = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
                Picture { shape: node.shape, numbers: sums(&a.numbers, &b.numbers), sizes: sums(&a.sizes, &b.sizes) }
            }
            Operation::Sum => {
                let input = from(0);
                let plane = input.shape.height * input.shape.width;
                let sums = |numbers: &[f64]| numbers.chunks(plane).map(|plane| plane.iter().sum()).collect();
                Picture { shape: node.shape, numbers: sums(&input.numbers), sizes: sums(&input.sizes) }
            }
        };
        pictures.push(picture);
    }
    pictures
}

fn window(windows: &Windows, y: usize, x: usize) -> impl Iterator<Item = (usize, isize, isize)> + '_ {
    let top = (y * windows.stride.0) as isize - windows.rows.0 as isize;
    let left = (x * windows.stride.1) as isize - windows.columns.0 as isize;
    let (rows, columns) = windows.size;
    (0..rows * columns).map(move |at| (at, top + (at / columns) as isize, left + (at % columns) as isize))
}

fn convolution(node: &Node, input: &Picture, windows: &Windows, weights: &[f32], bias: Option<&[f32]>) -> Picture {
    let (inputs, taps) = (input.shape.channels, windows.size.0 * windows.size.1);
    Picture::make(node.shape, |channel, y, x| {
        let bias = bias.map_or(0.0, |bias| f64::from(bias[channel]));
        let (mut sum, mut size) = (bias, bias.abs());
        for from in 0..inputs {
            for (at, y, x) in window(windows, y, x) {
                let weight = f64::from(weights[(channel * inputs + from) * taps + at]);
                if let Some((number, magnitude)) = input.at(from, y, x) {
                    sum += weight * number;
                    size += weight.abs() * magnitude;
                }
            }
        }
        (sum, size)
    })
}
