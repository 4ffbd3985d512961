//! Where a network looked: maps of a score's gradient through the mean over its last picture (docs/maps.md).

mod grid;

use std::sync::Arc;

use cloister_imaging::Placement;
use serde::{Serialize, Serializer};
use tract_onnx::pb::ModelProto;

use self::grid::Grid;
use crate::head::{Head, Reason};
use crate::reader::Reader;
use crate::{ViewNetwork, limits};

/// The brightest value of a map.
const PEAK: f64 = 255.0;

/// Where the networks looked for one label, over the whole of an image as it was given: right breasts are not mirrored.
///
/// Serialised, it is `{"label", "rows", "columns", "values"}`, the last in base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Map {
    /// The label.
    pub label: String,
    /// Rows of cells. Each covers the same part of the image's height.
    pub rows: u32,
    /// Cells in a row. Each covers the same part of the image's width.
    pub columns: u32,
    /// `rows x columns` values, row after row from the top left. The largest is 255, unless all are 0.
    #[serde(serialize_with = "base64")]
    pub values: Vec<u8>,
}

fn base64<S: Serializer>(values: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use base64::Engine;
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(values))
}

/// What a network's maps are made of, apart from its pictures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sight {
    head: Arc<Head>,
    /// Where the picture's cells look, along rows and columns, if the network's layers agree on that.
    grids: Option<[Grid; 2]>,
    window: (usize, usize),
    picture: [usize; 3],
}

/// What one input's score depends on, and where.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heat {
    /// The label's score, computed once more.
    pub(crate) score: f64,
    grids: [Grid; 2],
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Sight {
    /// Finds the mean over a picture that a network's scores are made of.
    pub(crate) fn find(proto: &ModelProto, view: &ViewNetwork, labels: usize) -> Result<Self, Reason> {
        if !view.classes.is_empty() {
            return Err("its labels are some of more classes");
        }
        let graph = proto.graph.as_ref().ok_or("it has no graph")?;
        let reader = Reader::of(graph);
        let output = graph.output.first().ok_or("it has no output")?;
        let own = proto.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
        let operator_set = own.map_or(0, |set| set.version);
        let head = Head::find(&reader, (&output.name, view.output), labels, operator_set)?;
        let given = graph.input.iter().find(|input| !reader.is_constant(&input.name)).ok_or("it has no input")?;
        let grids = grid::of(&reader, &given.name, &head.picture);
        Ok(Self { head: Arc::new(head), grids, window: view.window, picture: [0; 3] })
    }

    /// The name of the picture that the mean is over.
    pub(crate) fn picture(&self) -> &str {
        &self.head.picture
    }

    /// What the scores are made of after the mean.
    pub(crate) fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// The same for a picture of this shape, if it goes with the weights.
    pub(crate) fn of_shape(self, shape: &[usize], outputs: usize) -> Result<Self, Reason> {
        let [1, channels, rows, columns] = *shape else { return Err("the mean is over something else than a picture") };
        let fits = self.head.fits(channels, outputs) && rows > 0 && columns > 0;
        let small = rows.saturating_mul(columns) <= limits::MAX_PICTURE_CELLS
            && channels.saturating_mul(rows * columns) <= limits::MAX_PICTURE_NUMBERS;
        match (fits, small) {
            (true, true) => Ok(Self { picture: [channels, rows, columns], ..self }),
            (false, _) => Err("the layers after the mean do not fit to each other"),
            (true, false) => Err("the picture that the mean is over is too large for maps"),
        }
    }

    /// What a label's score depends on: from the picture, one plane of cells a channel.
    pub(crate) fn heat(&self, picture: &[f32], label: usize) -> Heat {
        let [channels, rows, columns] = self.picture;
        let cells = rows * columns;
        let planes = || picture.chunks_exact(cells).take(channels);
        let mean: Vec<f64> =
            planes().map(|plane| plane.iter().copied().map(f64::from).sum::<f64>() / cells as f64).collect();
        let (score, gradient) = self.head.gradient(&mean, label);
        let mut values = vec![0.0; cells];
        for (plane, slope) in planes().zip(&gradient) {
            values.iter_mut().zip(plane).for_each(|(value, activation)| *value += slope * f64::from(*activation));
        }
        values.iter_mut().for_each(|value| *value = value.max(0.0));
        let even = [Grid::even(rows, self.window.0), Grid::even(columns, self.window.1)];
        Heat { score, grids: self.grids.unwrap_or(even), rows, columns, values }
    }
}

impl Heat {
    /// Between the middles of cells, smoothly: a peak may lie between two of them.
    fn at(&self, y: f64, x: f64) -> f64 {
        let columns = spline(x, self.columns);
        let row = |row: usize| {
            columns.iter().map(|(column, share)| share * self.values[row * self.columns + column]).sum::<f64>()
        };
        spline(y, self.rows).into_iter().map(|(at, share)| share * row(at)).sum()
    }
}

/// The four cells around a place, and the share of each: those of a cubic B-spline. Cells beyond the first and the last are like these.
fn spline(place: f64, cells: usize) -> [(usize, f64); 4] {
    let low = place.floor();
    let (t, u) = (place - low, 1.0 - (place - low));
    let cell = |offset: f64| (low + offset).clamp(0.0, (cells - 1) as f64) as usize;
    let near = |t: f64| (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
    [(cell(-1.0), u * u * u / 6.0), (cell(0.0), near(t)), (cell(1.0), near(u)), (cell(2.0), t * t * t / 6.0)]
}

/// The mean of the windows' heats at the middle of each of a map's cells, as far as windows reach; 0 where none does.
fn mean(heats: &[(Placement, Heat)], image: (usize, usize), (rows, columns): (usize, usize)) -> Vec<f64> {
    let (mut sums, mut counts) = (vec![0.0; rows * columns], vec![0u32; rows * columns]);
    for (placement, heat) in heats {
        let middle = |cell: usize, cells: usize, pixels: usize| (cell as f64 + 0.5) * pixels as f64 / cells as f64;
        let down = |row| Some(heat.grids[0].cell(placement.rows.at(middle(row, rows, image.0))?, heat.rows));
        let across =
            |column| Some(heat.grids[1].cell(placement.columns.at(middle(column, columns, image.1))?, heat.columns));
        let places: Vec<Option<f64>> = (0..columns).map(across).collect();
        for (row, y) in (0..rows).filter_map(|row| Some((row, down(row)?))) {
            for (column, x) in places.iter().enumerate().filter_map(|(column, x)| Some((column, (*x)?))) {
                sums[row * columns + column] += heat.at(y, x);
                counts[row * columns + column] += 1;
            }
        }
    }
    sums.into_iter().zip(counts).map(|(sum, count)| if count == 0 { 0.0 } else { sum / f64::from(count) }).collect()
}

impl Map {
    /// Averages the windows' heats over an image of (rows, columns) pixels.
    pub(crate) fn of(label: &str, image: (usize, usize), heats: &[(Placement, Heat)]) -> Self {
        let (rows, columns) = size(image);
        let values = mean(heats, image, (rows, columns));
        let most = values.iter().copied().fold(0.0, f64::max);
        let scale = |value: f64| if most > 0.0 { (value / most * PEAK).round() as u8 } else { 0 };
        Self {
            label: label.to_owned(),
            rows: rows as u32,
            columns: columns as u32,
            values: values.into_iter().map(scale).collect(),
        }
    }
}

/// A map's rows and columns: as many as there are on the longer side of every map, unless the image has fewer pixels, and on the other as
/// many as keep the image's aspect.
fn size((height, width): (usize, usize)) -> (usize, usize) {
    let longer = height.max(width).max(1);
    let cells = longer.min(limits::MAP_SIDE);
    let side = |pixels: usize| ((pixels * cells + longer / 2) / longer).max(1);
    (side(height), side(width))
}

#[cfg(test)]
mod tests;
