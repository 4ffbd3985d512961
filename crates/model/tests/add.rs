//! Classifiers that are not the screening network: packaged with their known answers, or refused with the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;

use cloister_imaging::View;
use cloister_model::{Classifier, Error, Manifest, Numbers, Package, Preprocessing, Resize, add, limits};
use ndarray::Array2;
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto,
};

/// A network, its manifest, and what ONNX Runtime says of [`drawn`] (data/make_onnx.py).
struct Given {
    name: &'static str,
    network: &'static [u8],
    manifest: Manifest,
}

fn lesions() -> Given {
    given("lesions", include_bytes!("data/lesions.onnx"), include_str!("data/lesions.toml"))
}

fn density() -> Given {
    given("density", include_bytes!("data/density.onnx"), include_str!("data/density.toml"))
}

fn given(name: &'static str, network: &'static [u8], manifest: &str) -> Given {
    Given { name, network, manifest: Manifest::from_toml(manifest).unwrap() }
}

impl Given {
    fn with(&self, network: Vec<u8>) -> Result<Package, Error> {
        add(&self.manifest, [(format!("{}.onnx", self.name), network)].into(), 1)
    }

    fn package(&self) -> Result<Package, Error> {
        self.with(self.network.to_vec())
    }

    fn changed(&self, change: impl FnOnce(&mut GraphProto)) -> Result<Package, Error> {
        let mut proto = ModelProto::decode(self.network).unwrap();
        change(proto.graph.as_mut().unwrap());
        self.with(proto.encode_to_vec())
    }

    fn expected(&self) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, BTreeMap<String, f64>> =
            serde_json::from_str(include_str!("data/classifiers.json")).unwrap();
        all.remove(self.name).unwrap()
    }
}

/// The image that the reference was computed for. It has the networks' size, so that scaling leaves it as it is.
fn drawn() -> Array2<u16> {
    Array2::from_shape_fn((32, 24), |(y, x)| ((y * 2011 + x * 977 + 13 * y * x) % 65536) as u16)
}

fn node<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut NodeProto {
    graph.node.iter_mut().find(|node| node.name == name).unwrap()
}

fn refusal(package: Result<Package, Error>) -> Error {
    package.err().expect("to be refused")
}

#[test]
fn scores_are_those_of_another_runtime() {
    for given in [lesions(), density()] {
        let classifier = Classifier::load(&given.package().unwrap(), 2).unwrap();
        let expected = given.expected();
        for view in classifier.views() {
            let scores = classifier.classify(&drawn(), view, 10).unwrap().scores;
            assert!(scores.keys().eq(expected.keys()), "{scores:?}");
            for (label, score) in &scores {
                let difference = score - expected[label];
                assert!(difference.abs() < 1e-5, "{} {view} {label}: {difference:+e} away", given.name);
            }
        }
    }
}

#[test]
fn each_view_gets_a_known_answer_and_the_digest_is_that_of_what_is_written() {
    let package = lesions().package().unwrap();
    let known = &package.manifest().known_answers;
    assert!(known.iter().map(|known| known.view).eq(View::ALL), "{known:?}");
    assert!(known.iter().all(|known| known.scores.len() == 3 && known.crops == 1));
    Classifier::load(&package, 2).unwrap().check_known_answers().unwrap();
    let folder = tempfile::tempdir().unwrap();
    package.write_folder(folder.path()).unwrap();
    let read = Package::open(folder.path()).unwrap();
    assert_eq!((read.digest(), read.manifest()), (package.digest(), package.manifest()));
    assert_eq!(lesions().package().unwrap().digest(), package.digest());
}

#[test]
fn known_answers_of_the_owners_are_kept_and_must_be_met() {
    let mut given = lesions();
    let computed = given.package().unwrap().manifest().known_answers.clone();
    given.manifest.known_answers = vec![computed[2].clone()];
    let package = given.package().unwrap();
    let views: Vec<View> = package.manifest().known_answers.iter().map(|known| known.view).collect();
    assert_eq!(views, [View::LMlo, View::LCc, View::RCc, View::RMlo]);
    let mass = given.manifest.known_answers[0].scores.get_mut("mass").unwrap();
    *mass = 1.0 - *mass;
    assert!(matches!(refusal(given.package()), Error::KnownAnswer { index: 0, view: View::LMlo, .. }));
}

#[test]
fn what_is_not_onnx_is_said_to_be_none() {
    let given = lesions();
    let truncated = given.network[..given.network.len() - 1].to_vec();
    for bytes in [vec![], b"\x89PNG\r\n\x1a\n".to_vec(), b"a pickle".to_vec(), truncated] {
        assert!(matches!(refusal(given.with(bytes)), Error::NotOnnx { .. }));
    }
    let nothing_makes = |change: &dyn Fn(&mut GraphProto)| {
        let said = refusal(given.changed(change)).to_string();
        assert!(said.contains("nothing in it makes the value \"absent\""), "{said}");
    };
    nothing_makes(&|graph| graph.output[0].name = "absent".to_owned());
    nothing_makes(&|graph| node(graph, "swish").input[1] = "absent".to_owned());
    let no_input = refusal(given.changed(|graph| node(graph, "relu").input.clear())).to_string();
    assert!(no_input.contains("Relu (node \"relu\") has no input"), "{no_input}");
}

#[test]
fn operators_that_are_not_computed_here_are_named() {
    let operator = |change: &dyn Fn(&mut NodeProto)| match refusal(lesions().changed(|g| change(node(g, "relu")))) {
        Error::UnsupportedOperator { operator, node, .. } => (operator, node),
        other => panic!("{other}"),
    };
    let renamed = |name: &'static str| move |node: &mut NodeProto| node.op_type = name.to_owned();
    assert_eq!(operator(&renamed("Teleport")), ("Teleport".to_owned(), "relu".to_owned()));
    assert_eq!(operator(&renamed("RandomNormalLike")).0, "RandomNormalLike");
    assert_eq!(operator(&|node| node.domain = "com.example".to_owned()).0, "com.example.Relu");
    let nested = |node: &mut NodeProto| {
        node.attribute.push(AttributeProto {
            name: "then_branch".to_owned(),
            r#type: AttributeType::Graph.into(),
            g: Some(GraphProto::default()),
            ..AttributeProto::default()
        });
    };
    assert_eq!(operator(&nested).0, "Relu");
}

/// Adds zeros to the scores that an operator makes of these whole numbers, and of `scores`' shape where there are none.
fn with_zeros(graph: &mut GraphProto, operator: &str, sizes: Option<&[i64]>) {
    let output = graph.output[0].name.clone();
    let last = graph.node.iter_mut().find(|node| node.output.contains(&output)).unwrap();
    last.output = vec!["added.before".to_owned()];
    let node = |operator: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: operator.to_owned(),
        name: output.to_owned(),
        input: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    };
    match sizes {
        Some(sizes) => graph.initializer.push(TensorProto {
            name: "added.sizes".to_owned(),
            dims: vec![sizes.len() as i64],
            data_type: tensor_proto::DataType::Int64.into(),
            int64_data: sizes.to_vec(),
            ..TensorProto::default()
        }),
        None => graph.node.push(node("Shape", &["added.before"], "added.sizes")),
    }
    let zero = TensorProto {
        name: "added.zero".to_owned(),
        dims: vec![1],
        data_type: tensor_proto::DataType::Float.into(),
        float_data: vec![0.0],
        ..TensorProto::default()
    };
    let mut made = node(operator, &["added.zero", "added.sizes"], "added.zeros");
    if operator == "ConstantOfShape" {
        made.input.remove(0);
        made.attribute.push(AttributeProto {
            name: "value".to_owned(),
            r#type: AttributeType::Tensor.into(),
            t: Some(zero.clone()),
            ..AttributeProto::default()
        });
    }
    graph.initializer.push(zero);
    graph.node.push(made);
    graph.node.push(node("Add", &["added.before", "added.zeros"], &output));
}

#[test]
fn many_numbers_of_few_constants_are_refused_before_they_are_made() {
    let made = |operator: &str, sizes: Option<&[i64]>| lesions().changed(|graph| with_zeros(graph, operator, sizes));
    for operator in ["ConstantOfShape", "Expand", "Tile"] {
        let few = made(operator, Some(&[3])).map(|package| package.manifest().known_answers[0].scores.len());
        assert!(matches!(few, Ok(3)), "{operator}: {few:?}");
    }
    let all = ["ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "OneHot"];
    for (operator, sizes) in all.into_iter().flat_map(|operator| [(operator, Some(&[1 << 40][..])), (operator, None)]) {
        match refusal(made(operator, sizes)) {
            Error::ManyConstants { operator: named, node, .. } => {
                assert_eq!((&*named, &*node), (operator, "added.zeros"))
            }
            other => panic!("{operator}: {other}"),
        }
    }
    let edge = [1 << 10, (1 << 10) + 1];
    assert!(matches!(refusal(made("ConstantOfShape", Some(&edge))), Error::ManyConstants { .. }));
    for wrapping in [&[1 << 32, 1 << 32][..], &[-1], &[1; 9]] {
        assert!(matches!(refusal(made("Tile", Some(wrapping))), Error::ManyConstants { .. }), "{wrapping:?}");
    }
}

#[test]
fn operators_that_wait_for_one_another_and_values_that_are_made_twice_are_refused() {
    let circle = lesions().changed(|graph| {
        let output = node(graph, "relu").output[0].clone();
        *node(graph, "relu") =
            NodeProto { op_type: "Sum".to_owned(), input: vec![output.clone(); 10_000], ..node(graph, "relu").clone() };
    });
    let said = refusal(circle).to_string();
    assert!(said.contains("wait for one another"), "{said}");
    let twice = lesions().changed(|graph| {
        let again = node(graph, "relu").clone();
        graph.node.push(again);
    });
    let said = refusal(twice).to_string();
    assert!(said.contains("is made twice"), "{said}");
}

#[test]
fn numbers_in_other_files_are_refused() {
    let elsewhere = lesions().changed(|graph| graph.initializer[0].data_location = Some(1));
    match refusal(elsewhere) {
        Error::NumbersElsewhere { network, tensor } => {
            assert_eq!((network.as_str(), tensor.as_str()), ("lesions.onnx", "first.weight"));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn labels_have_to_be_the_networks_outputs_or_some_of_them() {
    let mut given = lesions();
    given.manifest.labels.pop();
    assert!(matches!(refusal(given.package()), Error::Outputs { outputs: 3, labels: 2, .. }));
    let classes = |given: &mut Given, classes: &[usize]| {
        given.manifest.views.values_mut().for_each(|view| view.classes = classes.to_vec());
    };
    classes(&mut given, &[0, 3]);
    assert!(matches!(refusal(given.package()), Error::Outputs { outputs: 3, .. }));
    classes(&mut given, &[2, 0]);
    let classifier = Classifier::load(&given.package().unwrap(), 1).unwrap();
    let (scores, expected) = (classifier.classify(&drawn(), View::RCc, 1).unwrap().scores, lesions().expected());
    assert!((scores["mass"] - expected["distortion"]).abs() < 1e-5, "{scores:?}");
    assert!((scores["calcification"] - expected["mass"]).abs() < 1e-5, "{scores:?}");
    for wrong in [&[1][..], &[1, 1], &[0, limits::MAX_OUTPUTS]] {
        classes(&mut given, wrong);
        assert!(matches!(refusal(given.package()), Error::ManifestValue { .. }), "{wrong:?}");
    }
}

#[test]
fn another_input_than_the_manifests_is_refused_with_both_shapes() {
    let mut given = lesions();
    given.manifest.preprocessing =
        Preprocessing::Resize1(Resize { mean: Numbers::All(0.5), deviation: Numbers::All(0.5) });
    given.manifest.views.values_mut().for_each(|view| view.channels = 1);
    match refusal(given.package()) {
        Error::NetworkShape { what, actual, expected, .. } => {
            assert_eq!((what, actual, expected), ("an input", vec![0, 3, 32, 24], vec![1, 1, 32, 24]));
        }
        other => panic!("{other}"),
    }
    let mut two = lesions();
    two.manifest.views.values_mut().for_each(|view| view.channels = 2);
    assert!(matches!(refusal(two.package()), Error::ManifestValue { .. }));
    let mut grey = lesions();
    grey.manifest.views.values_mut().for_each(|view| view.channels = 1);
    assert!(refusal(grey.package()).to_string().contains("for each of 1 channels"));
}

#[test]
fn a_second_input_or_output_is_refused() {
    let second = |graph: &mut GraphProto| {
        let input = ValueInfoProto { name: "age".to_owned(), ..graph.input[0].clone() };
        graph.input.push(input);
    };
    assert!(refusal(lesions().changed(second)).to_string().contains("2 inputs"));
    let second = |graph: &mut GraphProto| {
        let output = ValueInfoProto { name: "g".to_owned(), ..graph.output[0].clone() };
        graph.output.push(output);
    };
    assert!(refusal(lesions().changed(second)).to_string().contains("2 outputs"));
}

#[test]
fn a_size_that_the_input_decides_is_refused() {
    let counted = density().changed(|graph| {
        let last = node(graph, "logarithms");
        last.op_type = "NonZero".to_owned();
        last.attribute.clear();
    });
    let said = refusal(counted).to_string();
    assert!(said.contains("density.onnx"), "{said}");
}

#[test]
fn a_network_that_takes_too_much_is_refused_before_it_runs() {
    let chain = |graph: &mut GraphProto| {
        let relu = node(graph, "relu").clone();
        graph.node.extend(std::iter::repeat_n(relu, limits::MAX_OPERATORS));
    };
    assert!(matches!(refusal(lesions().changed(chain)), Error::NetworkTooLarge { what: "operators", .. }));
    let mut large = lesions();
    large.manifest.views.values_mut().for_each(|view| view.window = (8192, 8192));
    let every_pixel = |graph: &mut GraphProto| {
        use tract_onnx::pb::tensor_shape_proto::dimension::Value;
        let Some(tract_onnx::pb::type_proto::Value::TensorType(input)) =
            &mut graph.input[0].r#type.as_mut().unwrap().value
        else {
            panic!()
        };
        for dimension in &mut input.shape.as_mut().unwrap().dim[2..] {
            dimension.value = Some(Value::DimValue(8192));
        }
        let first = node(graph, "first");
        first.attribute.iter_mut().find(|attribute| attribute.name == "strides").unwrap().ints = vec![1, 1];
    };
    match refusal(large.changed(every_pixel)) {
        Error::NetworkTooLarge { what: "bytes at a time", needed, limit, .. } => assert!(needed > limit),
        other => panic!("{other}"),
    }
}

#[test]
fn scores_that_are_not_numbers_are_refused() {
    let broken = lesions().changed(|graph| {
        let bias = graph.initializer.iter_mut().find(|tensor| tensor.name == "last.bias").unwrap();
        bias.raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    assert!(matches!(refusal(broken), Error::NotAProbability { label, .. } if label == "mass"));
}

#[test]
fn files_are_those_that_the_manifest_names() {
    let given = lesions();
    let named = |names: &[&str]| {
        let networks = names.iter().map(|name| ((*name).to_owned(), given.network.to_vec())).collect();
        refusal(add(&given.manifest, networks, 1))
    };
    assert!(matches!(named(&["other.onnx"]), Error::MissingFile(name) if name == "lesions.onnx"));
    assert!(matches!(named(&["lesions.onnx", "other.onnx"]), Error::UnknownFile(name) if name == "other.onnx"));
}
