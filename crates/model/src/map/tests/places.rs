//! Where a map has what was seen.

use cloister_imaging::Axis;
use ndarray::s;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::ScreeningMammogram;

/// A network whose heat is how bright each square of eight pixels is.
fn brightness(window: (usize, usize)) -> Vec<u8> {
    let mut graph = Graph::default();
    let weight = graph.constant("squares.weight", &[1, 1, 8, 8], &[1.0 / 64.0; 64]);
    let value = graph.node("Conv", "squares", &["image", &weight], vec![("strides", Ints(vec![8; 2]))]);
    let value = graph.node("Relu", "picture", &[&value], vec![]);
    let value = graph.node("GlobalAveragePool", "mean", &[&value], vec![]);
    let value = graph.node("Flatten", "features", &[&value], vec![]);
    let weight = graph.constant("weight", &[1, 2], &[1.0, -1.0]);
    let value = graph.node("MatMul", "sums", &[&value, &weight], vec![]);
    graph.finish("test", ("image", &[1, 1, window.0, window.1]), (&value, &[1, 2]))
}

fn peak(map: &Map) -> (usize, usize) {
    let at = map.values.iter().position(|value| *value == u8::MAX).unwrap();
    (at / map.columns as usize, at % map.columns as usize)
}

#[test]
fn a_bright_spot_is_the_peak_of_the_map_where_it_lies_in_the_image_in_all_views() {
    let window = (452, 355);
    let numbers = ScreeningMammogram::default();
    let manifest = manifest(Output::Sigmoid, Preprocessing::ScreeningMammogram1(numbers), window, &View::ALL);
    let package = Package::new(&manifest, [("n.onnx".to_owned(), brightness(window))].into()).unwrap();
    let classifier = Classifier::load(&package, 2).unwrap();
    let (height, width) = (832, 640);
    for view in View::ALL {
        let chest = |column: usize| if matches!(view, View::LCc | View::LMlo) { column } else { width - column };
        // In the middle of the breast, and at the image's edge.
        for (row, column) in [(400, 150), (430, 20)] {
            let (row, column) = (row, chest(column));
            let mut image =
                synthetic::generate(3, view, synthetic::Options { width, height, ..Default::default() }) / 16;
            image.slice_mut(s![row - 8..row + 8, column - 8..column + 8]).fill(u16::MAX);
            for crops in [1, 10] {
                let asked = classifier.prepare(&image, view, crops).unwrap().with_map("first").unwrap();
                let map = asked.score().unwrap().map.unwrap();
                assert_eq!((map.label.as_str(), map.rows, map.columns), ("first", 128, 98));
                let (y, x) = peak(&map);
                let (y, x) = ((y as f64 + 0.5) * 6.5, (x as f64 + 0.5) * 640.0 / 98.0);
                let apart = ((y - row as f64).abs(), (x - column as f64).abs());
                assert!(apart.0 <= 8.0 && apart.1 <= 8.0, "{view}, {crops} crops: {y} {x} for {row} {column}");
                // Nothing is hot far away from it.
                let warm = map.values.iter().filter(|value| **value > 128).count();
                assert!(warm < 60, "{view}, {crops} crops: {warm} cells");
            }
        }
        // What lowers a score leaves the map dark.
        let image = synthetic::generate(3, view, synthetic::Options { width, height, ..Default::default() });
        let dark = classifier.prepare(&image, view, 1).unwrap().with_map("second").unwrap().score().unwrap();
        assert!(dark.map.unwrap().values.iter().all(|value| *value == 0), "{view}");
    }
}

#[test]
fn cells_look_where_padding_and_strides_put_them() {
    let grids = |build: &dyn Fn(&mut Graph) -> String| {
        let mut graph = Graph::default();
        let value = build(&mut graph);
        let bytes = finish(graph, &value, &[1, 1, 1, 1]);
        let proto = ModelProto::decode(bytes.as_slice()).unwrap();
        grid::of(&Reader::of(proto.graph.as_ref().unwrap()), "image", &value)
    };
    let windows = |size: i64, stride: i64, pad: i64| {
        vec![("kernel_shape", Ints(vec![size; 2])), ("strides", Ints(vec![stride; 2])), ("pads", Ints(vec![pad; 4]))]
    };
    // The published network's beginning: cells of the pooled picture look at pixels 5, 9, 13.
    let stem = |graph: &mut Graph| {
        let value = graph.node("Conv", "first", &["image", "w"], windows(7, 2, 0));
        graph.node("MaxPool", "pool", &[&value], windows(3, 2, 0))
    };
    assert_eq!(grids(&stem), Some([Grid { first: 5.5, step: 4.0 }; 2]));
    // A block with a stride, whose two ways agree.
    let block = |graph: &mut Graph| {
        let value = stem(graph);
        let inner = graph.node("Conv", "inner", &[&value, "w"], windows(3, 2, 1));
        let past = graph.node("Conv", "past", &[&value, "w"], windows(1, 2, 0));
        graph.node("Add", "sum", &[&inner, &past], vec![])
    };
    assert_eq!(grids(&block), Some([Grid { first: 5.5, step: 8.0 }; 2]));
    // Two ways that do not.
    let torn = |graph: &mut Graph| {
        let inner = graph.node("Conv", "inner", &["image", "w"], windows(3, 2, 1));
        let past = graph.node("Conv", "past", &["image", "w"], windows(2, 2, 0));
        graph.node("Add", "sum", &[&inner, &past], vec![])
    };
    assert_eq!(grids(&torn), None);
    assert_eq!(grids(&|graph: &mut Graph| graph.node("Resize", "larger", &["image"], vec![])), None);
}

#[test]
fn windows_are_averaged_where_they_overlap_and_nothing_is_where_there_is_none() {
    let flat = |value: f64, length: usize| {
        let grids = [Grid::even(1, length); 2];
        Heat { score: 0.0, grids, rows: 1, columns: 1, values: vec![value] }
    };
    let placed = |rows: usize, value: f64| {
        (Placement { rows: Axis::whole(rows, 10), columns: Axis::whole(6, 10) }, flat(value, 10))
    };
    // The upper four rows of six, and the upper two.
    let heats = [placed(4, 1.0), placed(2, 4.0)];
    let map = Map::of("first", (6, 8), &heats);
    assert_eq!((map.rows, map.columns), (6, 8));
    let rows: Vec<&[u8]> = map.values.chunks(8).collect();
    // 2.5 is the peak, and 1 of it is 102.
    let of = |value: u8| [[value; 6].as_slice(), &[0; 2]].concat();
    assert_eq!(rows, [of(255), of(255), of(102), of(102), of(0), of(0)]);
    assert!(Map::of("first", (6, 8), &[placed(4, 0.0)]).values.iter().all(|value| *value == 0));
}

#[test]
fn a_heat_is_spread_between_the_middles_of_its_cells() {
    let grid = Grid { first: 2.0, step: 4.0 };
    let heat = Heat { score: 0.0, grids: [grid; 2], rows: 2, columns: 2, values: vec![0.0, 1.0, 2.0, 5.0] };
    let at = |y: f64, x: f64| heat.at(grid.cell(y, 2), grid.cell(x, 2));
    let close = |given: f64, expected: f64| assert!((given - expected).abs() < 1e-12, "{given}, {expected}");
    // In the first cell's middle it has four parts of six and, standing for its neighbour outside, one more.
    close(at(2.0, 2.0), (5.0 / 6.0) * (1.0 / 6.0) + (1.0 / 6.0) * (2.5));
    close(at(4.0, 4.0), 2.0);
    close(at(2.0, 4.0), (5.0 / 6.0) * 0.5 + (1.0 / 6.0) * 3.5);
    close(at(0.0, 0.0), at(2.0, 2.0));
    close(at(9.0, 9.0), at(6.0, 6.0));
}

#[test]
fn a_peak_lies_nearer_to_the_warmer_one_of_two_neighbours() {
    let heat = Heat { score: 0.0, grids: [Grid::even(1, 1); 2], rows: 1, columns: 4, values: vec![0.0, 3.0, 2.0, 0.0] };
    let hottest = (0..=300).max_by(|one, other| {
        let at = |place: &i32| heat.at(0.0, f64::from(*place) / 100.0);
        at(one).total_cmp(&at(other))
    });
    // Where (4 - 6 t² + 3 t³) 3 + (4 - 6 u² + 3 u³) 2 is largest, u = 1 - t.
    assert_eq!(hottest, Some(128));
}

proptest! {
    #[test]
    fn a_map_has_the_images_aspect_and_no_size_of_its_own(height in 1usize..12_000, width in 1usize..12_000) {
        let (rows, columns) = size((height, width));
        prop_assert_eq!(rows.max(columns), height.max(width).min(limits::MAP_SIDE));
        let (longer, cells) = (height.max(width) as f64, rows.max(columns) as f64);
        let exact = height.min(width) as f64 * cells / longer;
        prop_assert!((rows.min(columns) as f64 - exact.max(1.0)).abs() <= 0.5);
    }
}

#[test]
fn a_map_is_written_as_it_is_documented() {
    let map = Map { label: "malignant".to_owned(), rows: 1, columns: 3, values: vec![0, 255, 16] };
    let expected = serde_json::json!({"label": "malignant", "rows": 1, "columns": 3, "values": "AP8Q"});
    assert_eq!(serde_json::to_value(map).unwrap(), expected);
}
