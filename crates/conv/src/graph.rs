//! What is to be computed: pictures of `channels x height x width` numbers, and operations on them.

use crate::kernels::MAX_KERNEL;
use crate::{Error, limits};

/// A picture in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub(crate) usize);

/// Channels, rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Shape {
    /// Numbers of a picture.
    pub fn numbers(self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }
}

/// Windows that go over a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows and columns of a window.
    pub size: (usize, usize),
    /// From one window to the next one, down and across.
    pub stride: (usize, usize),
    /// Rows above and below the picture that windows cover.
    pub rows: (usize, usize),
    /// Columns before and after the picture that windows cover.
    pub columns: (usize, usize),
}

impl Windows {
    /// Whether they can go over a picture of that shape.
    pub fn fit(self, shape: Shape) -> bool {
        self.outputs(shape).is_some()
    }

    fn outputs(self, shape: Shape) -> Option<(usize, usize)> {
        let along = |length: usize, size: usize, stride: usize, padding: (usize, usize)| {
            let padded = length.checked_add(padding.0)?.checked_add(padding.1)?;
            let fits = (1..=MAX_KERNEL).contains(&size) && stride > 0 && padding.0 < size && padding.1 < size;
            fits.then(|| padded.checked_sub(size)).flatten().map(|rest| rest / stride + 1)
        };
        let height = along(shape.height, self.size.0, self.stride.0, self.rows)?;
        let width = along(shape.width, self.size.1, self.stride.1, self.columns)?;
        Some((height, width))
    }
}

/// What makes a picture.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Input,
    Convolution {
        windows: Windows,
        weights: Vec<f32>,
        bias: Option<Vec<f32>>,
    },
    MaxPool {
        windows: Windows,
    },
    Scale {
        factors: Vec<f32>,
        summands: Vec<f32>,
    },
    Relu,
    Add,
    /// Over rows and columns: one number a channel.
    Sum,
}

impl Operation {
    fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Convolution { .. } => "convolution",
            Self::MaxPool { .. } => "max pooling",
            Self::Scale { .. } => "scale",
            Self::Relu => "relu",
            Self::Add => "sum of two",
            Self::Sum => "sum over a picture",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) operation: Operation,
    pub(crate) from: Vec<Id>,
    pub(crate) shape: Shape,
    pub(crate) name: String,
}

/// Pictures, each made of earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outputs: Vec<Id>,
    name: String,
}

impl Graph {
    /// Names what is added from here on, for errors and plans.
    pub fn name(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }

    /// A picture's shape.
    pub fn shape(&self, id: Id) -> Shape {
        self.nodes[id.0].shape
    }

    /// The program gives this picture out: after the earlier outputs, in planes of channels.
    pub fn output(&mut self, id: Id) {
        self.outputs.push(id);
    }

    /// A picture from outside, in planes of channels.
    ///
    /// # Errors
    /// A shape without numbers.
    pub fn input(&mut self, shape: Shape) -> Result<Id, Error> {
        self.add(Operation::Input, vec![], shape)
    }

    /// A convolution (in fact a cross-correlation, as ONNX has it): `weights` are `channels x input's channels x rows x columns`, with a
    /// number to add to each channel.
    ///
    /// # Errors
    /// Weights that are not as many, windows that do not fit.
    pub fn convolution(
        &mut self,
        from: Id,
        channels: usize,
        windows: Windows,
        weights: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> Result<Id, Error> {
        let input = self.shape(from);
        let expected = Shape { channels, height: input.channels, width: windows.size.0.saturating_mul(windows.size.1) };
        let bias_fits = bias.as_ref().is_none_or(|bias| bias.len() == channels);
        let given = weights.len();
        let operation = Operation::Convolution { windows, weights, bias };
        if given != expected.numbers() || !bias_fits {
            let problem =
                format!("{given} weights for {channels} channels of {} and {:?}", input.channels, windows.size);
            return Err(self.error(&operation, problem));
        }
        let (height, width) = self.windows(&operation, windows, input)?;
        self.add(operation, vec![from], Shape { channels, height, width })
    }

    /// The largest of each window. What is outside of the picture does not count.
    ///
    /// # Errors
    /// Windows that do not fit.
    pub fn max_pool(&mut self, from: Id, windows: Windows) -> Result<Id, Error> {
        let input = self.shape(from);
        let operation = Operation::MaxPool { windows };
        let (height, width) = self.windows(&operation, windows, input)?;
        self.add(operation, vec![from], Shape { channels: input.channels, height, width })
    }

    /// Each channel times its factor, plus its summand.
    ///
    /// # Errors
    /// Other than one factor and one summand a channel.
    pub fn scale(&mut self, from: Id, factors: Vec<f32>, summands: Vec<f32>) -> Result<Id, Error> {
        let shape = self.shape(from);
        let counts = (factors.len(), summands.len());
        let operation = Operation::Scale { factors, summands };
        if counts != (shape.channels, shape.channels) {
            return Err(self.error(&operation, format!("{counts:?} numbers for {} channels", shape.channels)));
        }
        self.add(operation, vec![from], shape)
    }

    /// What is below zero becomes zero.
    ///
    /// # Errors
    /// None so far.
    pub fn relu(&mut self, from: Id) -> Result<Id, Error> {
        self.add(Operation::Relu, vec![from], self.shape(from))
    }

    /// The sum of two pictures.
    ///
    /// # Errors
    /// Pictures of two shapes.
    pub fn sum(&mut self, a: Id, b: Id) -> Result<Id, Error> {
        let (shape, other) = (self.shape(a), self.shape(b));
        if shape != other {
            return Err(self.error(&Operation::Add, format!("{shape:?} and {other:?}")));
        }
        self.add(Operation::Add, vec![a, b], shape)
    }

    /// The sum over a picture's rows and columns: one number a channel. It can only be given out.
    ///
    /// # Errors
    /// None so far.
    pub fn sum_over_picture(&mut self, from: Id) -> Result<Id, Error> {
        let shape = Shape { height: 1, width: 1, ..self.shape(from) };
        self.add(Operation::Sum, vec![from], shape)
    }

    fn windows(&self, operation: &Operation, windows: Windows, input: Shape) -> Result<(usize, usize), Error> {
        windows.outputs(input).ok_or_else(|| self.error(operation, format!("{windows:?} on {input:?}")))
    }

    fn add(&mut self, operation: Operation, from: Vec<Id>, shape: Shape) -> Result<Id, Error> {
        let sides = [shape.channels, shape.height, shape.width];
        if sides.iter().any(|side| !(1..=limits::MAX_SIDE).contains(side)) || shape.numbers() > limits::MAX_NUMBERS {
            return Err(self.error(&operation, format!("{shape:?} is empty or too large")));
        }
        if let Some(sum) = from.iter().find(|id| matches!(self.nodes[id.0].operation, Operation::Sum)) {
            let problem = format!("made of the sum over a picture of number {}", sum.0);
            return Err(self.error(&operation, problem));
        }
        self.nodes.push(Node { operation, from, shape, name: self.name.clone() });
        Ok(Id(self.nodes.len() - 1))
    }

    fn error(&self, operation: &Operation, problem: String) -> Error {
        Error::Node { node: format!("{} {} {}", operation.name(), self.nodes.len(), self.name), problem }
    }
}
