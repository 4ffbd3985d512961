//! Graphs that would take more than their files do.

use std::time::{Duration, Instant};

use prost::Message;

use super::*;
use crate::onnx::OPERATOR_SET;
use crate::reader::Reader;

const LONGEST: Duration = Duration::from_secs(30);

fn graph(graph: Graph, output: &str) -> ModelProto {
    ModelProto::decode(&*finish(graph, output, &[1, 2])).unwrap()
}

fn grids(model: &ModelProto, picture: &str) -> Option<[Grid; 2]> {
    grid::of(&Reader::of(model.graph.as_ref().unwrap()), "image", picture)
}

#[test]
fn a_sum_of_itself_many_times_has_no_grid_and_takes_no_time() {
    let mut circle = Graph::default();
    let mut inputs = vec!["image"; 9_999];
    inputs.push("circle");
    circle.node("Sum", "circle", &inputs, vec![]);
    circle.node("Sum", "only", &["only"; 10_000], vec![]);
    let circle = graph(circle, "circle");
    let begun = Instant::now();
    assert_eq!(grids(&circle, "circle"), None);
    assert_eq!(grids(&circle, "only"), None);
    assert!(begun.elapsed() < LONGEST);
}

#[test]
fn a_long_chain_of_wide_sums_has_a_grid() {
    let mut chain = Graph::default();
    let mut value = chain.node("Identity", "start", &["image"], vec![]);
    for at in 0..1_000 {
        value = chain.node("Sum", &format!("sum{at}"), &[value.as_str(); 1_000], vec![]);
    }
    let chain = graph(chain, &value);
    let begun = Instant::now();
    let pixels = Grid { first: 0.5, step: 1.0 };
    assert_eq!(grids(&chain, &value), Some([pixels; 2]));
    assert!(begun.elapsed() < LONGEST);
}

/// A head of so many square layers of this width, which all have the same weights.
fn deep(layers: usize, width: usize) -> Result<Head, Reason> {
    let mut graph = Graph::default();
    let wide = graph.constant("wide", &[width, width], &vec![0.0; width * width]);
    let last = graph.constant("last", &[width, 2], &vec![0.0; 2 * width]);
    let mut value = graph.node("GlobalAveragePool", "mean", &["image"], vec![]);
    for layer in 0..layers {
        value = graph.node("MatMul", &format!("layer{layer}"), &[&value, &wide], vec![]);
    }
    let value = graph.node("MatMul", "scores", &[&value, &last], vec![]);
    let model = ModelProto::decode(&*finish(graph, &value, &[1, 2])).unwrap();
    Head::find(&Reader::of(model.graph.as_ref().unwrap()), ("scores", Output::Sigmoid), 2, OPERATOR_SET)
}

#[test]
fn layers_count_each_time_they_are_used_and_too_many_numbers_make_no_map() {
    assert!(deep(3, 1024).is_ok());
    assert_eq!(deep(4, 1024), Err("the layers after the mean are too large for maps"));
}

#[test]
fn a_layer_of_no_numbers_that_says_to_take_many_makes_no_map() {
    let mut graph = Graph::default();
    let one = graph.constant("one", &[1], &[1.0]);
    let much = graph.constant("much", &[1 << 60, 0], &[]);
    let none = graph.constant("none", &[0, 2], &[]);
    let value = graph.node("GlobalAveragePool", "mean", &["image"], vec![]);
    let value = graph.node("Add", "sum", &[&value, &one], vec![]);
    let value = graph.node("MatMul", "much.product", &[&value, &much], vec![]);
    let value = graph.node("MatMul", "scores", &[&value, &none], vec![]);
    let model = ModelProto::decode(&*finish(graph, &value, &[1, 2])).unwrap();
    let head = Head::find(&Reader::of(model.graph.as_ref().unwrap()), ("scores", Output::Sigmoid), 2, OPERATOR_SET);
    assert_eq!(head, Err("the layers after the mean are too large for maps"));
}
