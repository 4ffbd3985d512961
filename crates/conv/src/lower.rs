//! From a graph to steps: what only scales and cuts a picture is done where the picture is written, and what is added to a convolution's
//! results is added before they are.

use crate::Options;
use crate::graph::{Graph, Id, Node, Operation, Shape, Windows};
use crate::kernels::{self, Kernel, MAX_SINKS, PHASED, SLIDING, SLIDING_PIXELS};
use crate::layout::Geometry;
use crate::limits;
use crate::weights::{self, Affine, Store, Weights};

/// A picture in memory.
#[derive(Debug, PartialEq)]
pub(crate) struct Value {
    pub(crate) geometry: Geometry,
    /// The step that writes it.
    pub(crate) step: usize,
    /// The steps that read it.
    pub(crate) readers: Vec<usize>,
    /// Whether it is given out.
    pub(crate) is_output: bool,
}

/// What a step computes.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// From planes to blocks.
    Pack {
        input: usize,
    },
    /// A convolution of planes.
    Planar {
        input: usize,
        windows: Windows,
        /// Whether the columns of the max pooling that follows are pooled at once.
        pooled: bool,
        /// Whether columns are transformed by phases.
        phased: bool,
    },
    Direct(Kernel),
    Winograd,
    Pool(Kernel),
    Join,
    RowSum,
}

/// A picture that a step writes, and how it is made of the step's results.
#[derive(Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) value: usize,
    pub(crate) affine: Affine,
    pub(crate) relu: bool,
}

/// One kernel's work on whole pictures.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) from: Option<usize>,
    pub(crate) addend: Option<usize>,
    pub(crate) weights: Option<Weights>,
    /// The results' shape, without padding.
    pub(crate) out: Geometry,
    pub(crate) written: Vec<Written>,
    /// Multiplications and additions of numbers, as the convolution is written down.
    pub(crate) operations: u64,
}

impl Step {
    /// The rows of the input that these rows of the results need.
    pub(crate) fn reads(&self, rows: &std::ops::Range<usize>, height: usize) -> std::ops::Range<usize> {
        let (first, last) = match &self.kind {
            Kind::Direct(kernel) | Kind::Pool(kernel) => {
                let last = kernel.first_row(rows.end.max(1) - 1) + kernel.size.0 as isize;
                (kernel.first_row(rows.start), last)
            }
            Kind::Winograd => (rows.start as isize - 1, rows.end as isize + 1),
            Kind::Pack { .. } | Kind::Planar { .. } => (0, 0),
            Kind::Join | Kind::RowSum => (rows.start as isize, rows.end as isize),
        };
        let within = |row: isize| usize::try_from(row).unwrap_or(0).min(height);
        within(first)..within(last)
    }

    /// The number of rows that it computes at a time, at least.
    pub(crate) fn band(&self) -> usize {
        match self.kind {
            Kind::Winograd => kernels::TILE,
            Kind::Planar { phased: true, .. } => kernels::BAND,
            _ => 1,
        }
    }
}

/// A picture given out, and whether it is a column of sums yet to be summed.
#[derive(Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) value: usize,
    pub(crate) summed: bool,
}

/// All steps, in the order in which they can be computed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Lowered {
    pub(crate) steps: Vec<Step>,
    pub(crate) values: Vec<Value>,
    pub(crate) inputs: Vec<Shape>,
    pub(crate) outputs: Vec<Given>,
}

/// Factors and summands, one of each a channel.
type Numbers = (Vec<f64>, Vec<f64>);

/// A picture as a step's results, scaled and cut.
#[derive(Clone)]
struct View {
    base: usize,
    /// After what the step itself does.
    affine: Option<Numbers>,
    relu: bool,
}

/// A step to be: the node whose value its results are, the nodes it reads.
struct Base {
    node: usize,
    /// The convolution, where it was joined with the sum after it.
    operation: usize,
    addend: Option<Id>,
    is_join: bool,
    /// What is done to all of its results.
    affine: Option<Numbers>,
}

/// Lowers a graph, for kernels that can do so much.
pub(crate) fn lower(graph: &Graph, options: Options, store: &mut Store) -> Lowered {
    let mut analysis = Analysis::of(graph, options);
    analysis.spread();
    analysis.emit(store)
}

struct Analysis<'g> {
    graph: &'g Graph,
    bases: Vec<Base>,
    views: Vec<Option<View>>,
    /// Whether a node's picture has to be in memory.
    needed: Vec<bool>,
    inputs: Vec<usize>,
    /// The convolutions whose columns are pooled when they are computed, because nothing but a pooling reads them.
    pooled: Vec<bool>,
    options: Options,
}

impl<'g> Analysis<'g> {
    fn of(graph: &'g Graph, options: Options) -> Self {
        let count = graph.nodes.len();
        let inputs = (0..count).filter(|node| matches!(graph.nodes[*node].operation, Operation::Input)).collect();
        let mut this = Self {
            graph,
            bases: Vec::new(),
            views: vec![None; count],
            needed: vec![false; count],
            inputs,
            pooled: vec![false; count],
            options,
        };
        let mut uses = vec![0usize; count];
        for id in graph.nodes.iter().flat_map(|node| &node.from).chain(&graph.outputs) {
            uses[id.0] += 1;
        }
        let joined = this.joined(&uses);
        for node in 0..count {
            if let Some(convolution) = this.pools_at_once(node).filter(|convolution| uses[*convolution] == 1) {
                this.pooled[convolution] = true;
            }
        }
        for (node, described) in graph.nodes.iter().enumerate() {
            match &described.operation {
                _ if joined.iter().flatten().any(|convolution| *convolution == node) => {}
                Operation::Add => this.add(node, described, joined[node]),
                Operation::Scale { factors, summands } => this.scale(node, described.from[0], factors, summands),
                Operation::Relu => this.relu(node, described.from[0]),
                Operation::Convolution { .. } => {
                    if !this.is_planar(node) {
                        this.need(described.from[0]);
                    }
                    this.base(node, node, None, false);
                }
                Operation::MaxPool { .. } | Operation::Sum => {
                    this.need(described.from[0]);
                    this.base(node, node, None, false);
                }
                Operation::Input => this.base(node, node, None, false),
            }
        }
        graph.outputs.iter().for_each(|id| this.need(*id));
        this
    }

    /// For each sum of two: the convolution whose results are added to, if nothing else reads these.
    fn joined(&self, uses: &[usize]) -> Vec<Option<usize>> {
        let convolution = |id: &Id| {
            let joins = matches!(self.graph.nodes[id.0].operation, Operation::Convolution { .. });
            (joins && uses[id.0] == 1 && !self.is_planar(id.0)).then_some(id.0)
        };
        let sums = self.graph.nodes.iter().map(|node| match node.operation {
            Operation::Add => node.from.iter().filter_map(convolution).max(),
            _ => None,
        });
        sums.collect()
    }

    /// The convolution whose results a max pooling reads, if its columns can be pooled before they are written.
    fn pools_at_once(&self, node: usize) -> Option<usize> {
        let described = &self.graph.nodes[node];
        let Operation::MaxPool { windows } = &described.operation else { return None };
        let from = described.from[0].0;
        let Operation::Convolution { windows: before, .. } = &self.graph.nodes[from].operation else { return None };
        let columns = (windows.size.1, windows.stride.1, windows.columns) == (3, 2, (0, 0));
        let slides = (before.size.1, before.stride.1) == SLIDING && 2 * described.shape.width + 1 >= SLIDING_PIXELS;
        let fits = self.is_phased(before) || self.options.kernels.slides() && slides;
        (self.is_planar(from) && columns && fits).then_some(from)
    }

    /// Whether a convolution reads an input as it comes.
    fn is_planar(&self, node: usize) -> bool {
        let described = &self.graph.nodes[node];
        let Operation::Convolution { .. } = described.operation else { return false };
        let input = &self.graph.nodes[described.from[0].0];
        matches!(input.operation, Operation::Input) && input.shape.channels < limits::PLANAR_CHANNELS
    }

    /// Whether a convolution of planes is computed by phases.
    fn is_phased(&self, windows: &Windows) -> bool {
        // Rows between windows would be transformed for nothing.
        let close = windows.stride.0 <= windows.size.0;
        self.options.winograd && close && (windows.size.1, windows.stride.1) == PHASED
    }

    fn need(&mut self, id: Id) {
        self.needed[id.0] = true;
    }

    fn base(&mut self, node: usize, operation: usize, addend: Option<Id>, is_join: bool) {
        let affine = match &self.graph.nodes[operation].operation {
            Operation::Convolution { bias: Some(bias), .. } if !is_join => Some((vec![1.0; bias.len()], wide(bias))),
            Operation::Scale { factors, summands } if is_join => Some((wide(factors), wide(summands))),
            _ => None,
        };
        self.views[node] = Some(View { base: self.bases.len(), affine: None, relu: false });
        self.bases.push(Base { node, operation, addend, is_join, affine });
    }

    fn add(&mut self, node: usize, described: &Node, joined: Option<usize>) {
        let [a, b] = [described.from[0], described.from[1]];
        if let Some(convolution) = joined {
            let addend = if a.0 == convolution { b } else { a };
            self.need(addend);
            self.need(self.graph.nodes[convolution].from[0]);
            self.base(node, convolution, Some(addend), false);
        } else {
            self.need(a);
            self.need(b);
            self.base(node, node, Some(b), true);
        }
    }

    fn scale(&mut self, node: usize, from: Id, factors: &[f32], summands: &[f32]) {
        let Some(mut view) = self.views[from.0].clone().filter(|view| !view.relu) else {
            self.need(from);
            return self.base(node, node, None, true);
        };
        view.affine = Some(after(view.affine.as_ref(), &(wide(factors), wide(summands))));
        self.views[node] = Some(view);
    }

    fn relu(&mut self, node: usize, from: Id) {
        if let Some(view) = self.views[from.0].clone() {
            self.views[node] = Some(View { relu: true, ..view });
        }
    }

    /// Gives steps of their own to pictures past those that a step can write.
    fn spread(&mut self) {
        for base in 0..self.bases.len() {
            let of = |views: &[Option<View>], node: usize| views[node].as_ref().is_some_and(|view| view.base == base);
            let raw = self.bases[base].node;
            let mut pictures: Vec<usize> =
                (0..self.views.len()).filter(|node| self.needed[*node] && of(&self.views, *node)).collect();
            if pictures.len() <= MAX_SINKS {
                continue;
            }
            self.needed[raw] = true;
            pictures.retain(|node| *node != raw);
            for node in pictures.drain(MAX_SINKS - 1..) {
                let added = self.bases.len();
                self.bases.push(Base { node, operation: raw, addend: None, is_join: true, affine: None });
                if let Some(view) = &mut self.views[node] {
                    view.base = added;
                }
            }
        }
    }

    fn emit(self, store: &mut Store) -> Lowered {
        let mut lowered = Lowered {
            inputs: self.inputs.iter().map(|node| self.graph.nodes[*node].shape).collect(),
            ..Lowered::default()
        };
        let mut value_of = vec![None; self.graph.nodes.len()];
        let mut order: Vec<usize> = (0..self.bases.len()).collect();
        // A step that was added reads one that comes before it, and its node comes after that one's.
        order.sort_by_key(|base| self.bases[*base].node);
        for base in order {
            let pictures: Vec<usize> = (0..self.views.len())
                .filter(|node| self.needed[*node])
                .filter(|node| self.views[*node].as_ref().is_some_and(|view| view.base == base))
                .collect();
            let described = &self.bases[base];
            if pictures.is_empty() {
                continue;
            }
            let mut step = self.step(described, &value_of, store);
            let number = lowered.steps.len();
            for node in pictures {
                let Some(view) = &self.views[node] else { continue };
                let channels = step.out.channels;
                let nothing = (vec![1.0; channels], vec![0.0; channels]);
                let then = view.affine.as_ref().unwrap_or(&nothing);
                let (factors, summands) = after(described.affine.as_ref(), then);
                let affine = weights::affine(&factors, &summands);
                value_of[node] = Some(lowered.values.len());
                step.written.push(Written { value: lowered.values.len(), affine, relu: view.relu });
                lowered.values.push(Value { geometry: step.out, step: number, readers: vec![], is_output: false });
            }
            for value in step.from.into_iter().chain(step.addend) {
                lowered.values[value].readers.push(number);
            }
            lowered.steps.push(step);
        }
        for output in &self.graph.outputs {
            if let Some(value) = value_of[output.0] {
                lowered.values[value].is_output = true;
                let summed = matches!(self.graph.nodes[output.0].operation, Operation::Sum);
                lowered.outputs.push(Given { value, summed });
            }
        }
        pad(&mut lowered);
        lowered
    }

    fn step(&self, base: &Base, value_of: &[Option<usize>], store: &mut Store) -> Step {
        let node = &self.graph.nodes[base.operation];
        let shape = self.graph.nodes[base.node].shape;
        let mut out =
            Geometry { channels: shape.channels, height: shape.height, width: shape.width, left: 0, right: 0 };
        let mut from = node.from.first().copied();
        let mut operations = 0;
        let mut packed = None;
        let kind = match &node.operation {
            _ if base.is_join => {
                // A step that was added reads the picture itself, another what its operation reads.
                if base.operation != base.node {
                    from = Some(Id(base.operation));
                }
                Kind::Join
            }
            Operation::Input => Kind::Pack { input: self.input(base.node) },
            Operation::Convolution { windows, weights, .. } => {
                let inputs = self.graph.shape(node.from[0]).channels;
                let each = inputs * windows.size.0 * windows.size.1;
                operations = 2 * (each as u64) * (shape.numbers() as u64);
                if self.is_planar(base.operation) {
                    let phased = self.is_phased(windows);
                    packed = Some(if phased {
                        store.phased(weights, shape.channels, inputs * windows.size.0)
                    } else {
                        store.planar(weights, shape.channels, each)
                    });
                    let pooled = self.pooled[base.operation];
                    if pooled {
                        out.width = (shape.width - 3) / 2 + 1;
                    }
                    Kind::Planar { input: self.input(node.from[0].0), windows: *windows, pooled, phased }
                } else if self.options.winograd && gains_by_tiles(windows, inputs, shape.channels) {
                    packed = Some(store.transformed(weights, shape.channels, inputs));
                    Kind::Winograd
                } else {
                    packed = Some(store.direct(weights, shape.channels, inputs, windows.size));
                    Kind::Direct(kernel(windows))
                }
            }
            Operation::MaxPool { windows } if self.pooled[node.from[0].0] => {
                let kernel = kernel(windows);
                let (size, stride) = ((kernel.size.0, 1), (kernel.stride.0, 1));
                Kind::Pool(Kernel { size, stride, padding: (kernel.padding.0, 0) })
            }
            Operation::MaxPool { windows } => Kind::Pool(kernel(windows)),
            Operation::Sum => {
                out.height = self.graph.shape(node.from[0]).height;
                Kind::RowSum
            }
            Operation::Scale { .. } | Operation::Relu | Operation::Add => Kind::Join,
        };
        if matches!(kind, Kind::Pack { .. } | Kind::Planar { .. }) {
            from = None;
        }
        Step {
            name: node.name.clone(),
            kind,
            from: from.and_then(|id| value_of[id.0]),
            addend: base.addend.and_then(|id| value_of[id.0]),
            weights: packed,
            out,
            written: Vec::new(),
            operations,
        }
    }

    fn input(&self, node: usize) -> usize {
        self.inputs.iter().take_while(|input| **input != node).count()
    }
}

fn wide(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

/// What `first` and then `second` do.
fn after(first: Option<&Numbers>, second: &Numbers) -> Numbers {
    let Some((factors, summands)) = first else { return second.clone() };
    let product = factors.iter().zip(&second.0).map(|(a, b)| a * b).collect();
    let sum = summands.iter().zip(&second.0).zip(&second.1).map(|((a, b), c)| a * b + c).collect();
    (product, sum)
}

fn kernel(windows: &Windows) -> Kernel {
    Kernel { size: windows.size, stride: windows.stride, padding: (windows.rows.0, windows.columns.0) }
}

fn gains_by_tiles(windows: &Windows, inputs: usize, outputs: usize) -> bool {
    let around = (1, 1);
    (windows.size, windows.stride, windows.rows, windows.columns) == ((3, 3), (1, 1), around, around)
        && inputs.min(outputs) >= limits::WINOGRAD_CHANNELS
}

/// Gives each picture the padding that its readers reach into.
fn pad(lowered: &mut Lowered) {
    for step in &lowered.steps {
        let Some(from) = step.from else { continue };
        let width = lowered.values[from].geometry.width;
        let (left, reach) = match &step.kind {
            Kind::Direct(kernel) => {
                let reach = (step.out.width - 1) * kernel.stride.1 + kernel.size.1;
                (kernel.padding.1, reach.saturating_sub(kernel.padding.1))
            }
            Kind::Winograd => (1, step.out.width.div_ceil(kernels::TILE) * kernels::TILE + 1),
            _ => (0, 0),
        };
        let geometry = &mut lowered.values[from].geometry;
        geometry.left = geometry.left.max(left);
        geometry.right = geometry.right.max(reach.saturating_sub(width));
    }
}
