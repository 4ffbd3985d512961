//! `cloister model`: convert, add, inspect, run, evaluate and seal model packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use cloister_imaging::{Angle, View};
use cloister_model::{
    CC_WINDOW, Classification, Classifier, ConvertOptions, Error, Layer, MLO_WINDOW, Package, convert,
    convert_checkpoint, demo_options, kernels, limits, random_checkpoint, random_exam_checkpoint,
};
use serde::Serialize;
use serde_json::json;

use crate::failure::Failure;
use crate::maps::MapFile;
use crate::output::Explained;
use crate::picture::Picture;
use crate::{add, evaluate, exam, files, output, reseal, seal};

/// The verbs of `cloister model`.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a package of a PyTorch checkpoint of the four-view screening network, of either family.
    Convert(Convert),
    /// Make a package of an ONNX image classifier and a manifest that describes it.
    Add(add::Add),
    /// Say what a package is, and its digest.
    Inspect(Inspect),
    /// Make a package of random weights, for demonstrations.
    Demo(Demo),
    /// Score one image on this machine.
    Run(Run),
    /// Score the four views of one exam on this machine.
    Exam(exam::Exam),
    /// Measure a package on images of which the truth is known: area under the ROC curve, sensitivity, specificity, calibration.
    Evaluate(evaluate::Evaluate),
    /// Seal a package under a KMS key that opens for one measured enclave image.
    Seal(seal::Seal),
    /// Seal anew what an older public workflow sealed: a checkpoint, or a package, as a Fernet token under a key that KMS wrapped.
    Reseal(Box<reseal::Reseal>),
}

/// What `cloister model convert` takes.
#[derive(Args)]
pub(crate) struct Convert {
    /// The checkpoint, as torch.save wrote it. Its pickle is read, not run.
    #[arg(long)]
    checkpoint: PathBuf,
    /// The package's folder, which must be empty if it is there.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    described: Described,
}

/// What a checkpoint does not say about its model.
#[derive(Args)]
pub(crate) struct Described {
    /// The model's name: lower-case letters, digits and '-'.
    #[arg(long, default_value = "screening-mammogram")]
    name: String,
    /// The model's version, a number that only grows.
    #[arg(long, default_value_t = 1)]
    version: u32,
    /// For whom and for what the scores are meant.
    #[arg(long)]
    intended_use: Option<String>,
    /// Input of the CC networks, HEIGHTxWIDTH.
    #[arg(long, value_parser = window, default_value = "2677x1942")]
    cc_window: (usize, usize),
    /// Input of the MLO networks, HEIGHTxWIDTH.
    #[arg(long, value_parser = window, default_value = "2974x1748")]
    mlo_window: (usize, usize),
    /// Do not run the networks to store known answers.
    #[arg(long)]
    no_known_answers: bool,
    /// Have 3 x 3 convolutions computed as they are written down, not by Winograd's transformation: half as fast, and rounded less.
    #[arg(long)]
    no_winograd: bool,
}

/// What `cloister model inspect` takes.
#[derive(Args)]
pub(crate) struct Inspect {
    /// The package's folder.
    package: PathBuf,
    /// Run the known answers too, and fail if one is missed.
    #[arg(long)]
    check: bool,
    /// Run each network once on one thread, and print what is computed how, and what each layer takes.
    #[arg(long)]
    plan: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What `cloister model demo` takes.
#[derive(Args)]
pub(crate) struct Demo {
    /// The package's folder, which must be empty if it is there.
    #[arg(long)]
    out: PathBuf,
    /// The same number gives the same weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Filters of the first stage; the published network has 16.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    width: u16,
    /// Input of the networks, HEIGHTxWIDTH.
    #[arg(long, value_parser = window, default_value = "320x256")]
    window: (usize, usize),
    /// Make networks that look at both breasts at once, and score exams as a whole.
    #[arg(long)]
    exam: bool,
}

/// What `cloister model run` takes.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    local: Local,
    /// The image: a greyscale PNG, or a DICOM file.
    #[arg(long)]
    image: PathBuf,
    /// The image's view: L-CC, R-CC, L-MLO or R-MLO. A DICOM file says it itself, and must not say another.
    #[arg(long)]
    view: Option<View>,
    #[command(flatten)]
    map: MapFile,
}

/// How a package is run on this machine.
#[derive(Args)]
pub(crate) struct Local {
    /// The package's folder.
    #[arg(long)]
    pub(crate) package: PathBuf,
    /// How many crops are averaged; 1 is the noiseless crop.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::MAX_CROPS)))]
    pub(crate) crops: u32,
    /// Threads; all cores if not given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Local {
    /// The package, and its networks ready to run.
    pub(crate) fn load(&self) -> Result<(Package, Classifier), Failure> {
        let package = Package::open(&self.package).map_err(failure)?;
        let classifier = Classifier::load(&package, self.threads.map_or_else(cores, usize::from)).map_err(failure)?;
        Ok((package, classifier))
    }
}

/// Runs one verb.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Convert(arguments) => convert_checkpoint_file(&arguments),
        Command::Add(arguments) => add::run(&arguments),
        Command::Inspect(arguments) => inspect(&arguments),
        Command::Demo(arguments) => demo(&arguments),
        Command::Run(arguments) => run_image(&arguments),
        Command::Exam(arguments) => exam::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Seal(seal) => seal::run(&seal),
        Command::Reseal(reseal) => reseal::run(&reseal),
    }
}

fn convert_checkpoint_file(arguments: &Convert) -> Result<(), Failure> {
    let package = convert(&arguments.checkpoint, &arguments.out, &arguments.described.options()).map_err(failure)?;
    wrote(&package, &arguments.out)
}

impl Described {
    pub(crate) fn options(&self) -> ConvertOptions {
        let defaults = ConvertOptions::default();
        ConvertOptions {
            name: self.name.clone(),
            version: self.version,
            intended_use: self.intended_use.clone().unwrap_or(defaults.intended_use),
            cc_window: self.cc_window,
            mlo_window: self.mlo_window,
            known_answers: !self.no_known_answers,
            winograd: !self.no_winograd,
            threads: cores(),
        }
    }
}

fn demo(arguments: &Demo) -> Result<(), Failure> {
    let random = if arguments.exam { random_exam_checkpoint } else { random_checkpoint };
    let checkpoint = random(arguments.seed, arguments.width.into());
    let package = convert_checkpoint(&checkpoint, &demo_options(arguments.window, cores())).map_err(failure)?;
    package.write_folder(&arguments.out).map_err(failure)?;
    wrote(&package, &arguments.out)?;
    output::line("its weights are random numbers: its scores mean nothing")
}

pub(crate) fn wrote(package: &Package, out: &Path) -> Result<(), Failure> {
    let manifest = package.manifest();
    let digest = hex::encode(package.digest());
    output::line(format_args!("wrote {} version {} to {}", manifest.name, manifest.version, out.display()))?;
    output::line(format_args!("digest {digest}"))
}

fn inspect(arguments: &Inspect) -> Result<(), Failure> {
    let package = Package::open(&arguments.package).map_err(failure)?;
    if arguments.check {
        Classifier::load(&package, cores()).and_then(|model| model.check_known_answers()).map_err(failure)?;
    }
    let (manifest, digest) = (package.manifest(), hex::encode(package.digest()));
    let plans = if arguments.plan { plans(&package)? } else { BTreeMap::new() };
    if arguments.json {
        let files: Vec<_> =
            package.files().map(|(name, bytes)| json!({ "name": name, "bytes": bytes.len() })).collect();
        let mut described = json!({ "digest": digest, "manifest": manifest, "files": files });
        if arguments.plan {
            described["kernels"] = json!(kernels());
            described["plans"] = json!(plans);
        }
        return output::json(&described);
    }
    output::line(format_args!("{} version {}", manifest.name, manifest.version))?;
    output::line(format_args!("digest         {digest}"))?;
    output::line(format_args!("intended use   {}", manifest.intended_use))?;
    output::line(format_args!("labels         {}", manifest.labels.join(", ")))?;
    output::line(format_args!("preprocessing  {}", manifest.preprocessing.revision()))?;
    let views = manifest.views.iter().map(|(view, network)| (view.as_str(), network));
    let pairs = manifest.pairs.iter().map(|(angle, network)| (pair_name(*angle), network));
    for (name, network) in views.chain(pairs) {
        let (height, width) = network.window;
        let megabytes = package.file(&network.network).map_or(0.0, |bytes| bytes.len() as f64 / 1e6);
        let file = &network.network;
        let channels = if network.channels == 1 { String::new() } else { format!("{} x ", network.channels) };
        output::line(format_args!("{name:14} {file}, {megabytes:.1} MB, input {channels}{height} x {width}"))?;
    }
    let checked = if arguments.check { ", all met on this machine" } else { "" };
    let known = manifest.known_answers.len() + manifest.known_exams.len();
    output::line(format_args!("known answers  {known}{checked}"))?;
    plans.iter().try_for_each(|(network, layers)| print_plan(network, layers))
}

fn pair_name(angle: Angle) -> &'static str {
    match angle {
        Angle::Cc => "both CC",
        Angle::Mlo => "both MLO",
    }
}

/// The layers of each network of the package, with what they take here.
fn plans(package: &Package) -> Result<BTreeMap<String, Vec<Layer>>, Failure> {
    let classifier = Classifier::load(package, 1).map_err(failure)?;
    let mut plans = BTreeMap::new();
    let manifest = package.manifest();
    let views = manifest.views.iter().map(|(view, described)| (*view, described));
    let pairs = View::ALL.into_iter().filter_map(|view| Some((view, manifest.pairs.get(&view.angle())?)));
    for (view, described) in views.chain(pairs) {
        if !plans.contains_key(&described.network) {
            plans.insert(described.network.clone(), classifier.layers(view).map_err(failure)?);
        }
    }
    Ok(plans)
}

fn print_plan(network: &str, layers: &[Layer]) -> Result<(), Failure> {
    let total: f64 = layers.iter().map(|layer| layer.milliseconds).sum();
    output::line(format_args!("\n{network} on {}", kernels()))?;
    output::line(format_args!("group  how                    result                 GFLOP  weights      time  layer"))?;
    for layer in layers {
        let group = layer.group.map_or("-".to_owned(), |group| group.to_string());
        let shape = layer.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ");
        let Layer { name, how, gflop, weights_mb, milliseconds, .. } = layer;
        output::line(format_args!(
            "{group:>5}  {how:21}  {shape:21} {gflop:6.2} {weights_mb:5.2} MB {milliseconds:6.2} ms  {name}"
        ))?;
    }
    output::line(format_args!("{:>72.2} ms  in all, on one thread", total))
}

/// One view's scores, and what was found in its picture.
#[derive(Serialize)]
pub(crate) struct Viewed {
    #[serde(flatten)]
    pub(crate) classification: Classification,
    /// What a person should look at before they believe the score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<&'static str>,
}

fn run_image(arguments: &Run) -> Result<(), Failure> {
    let bytes = files::read(&arguments.image)?;
    let unusable = |error| Failure::input(format!("{}: {error}", arguments.image.display()));
    let picture = Picture::read(&arguments.image, &bytes)?;
    let view = picture.view(&arguments.image, arguments.view)?;
    let (package, classifier) = arguments.local.load()?;
    let answer = classifier
        .prepare(&picture.pixels, view, arguments.local.crops)
        .and_then(|prepared| match arguments.map.label() {
            Some(label) => prepared.with_map(label),
            None => Ok(prepared),
        })
        .and_then(|prepared| {
            let findings = picture.findings(prepared.findings());
            Ok(Viewed { classification: prepared.score()?, findings })
        });
    let answer = answer.map_err(|error| match error {
        Error::Image(error) => unusable(error),
        other => failure(other),
    })?;
    arguments.map.write(answer.classification.map.as_ref().map(Into::into))?;
    if arguments.local.json {
        return output::json(&Explained::new(&answer, &answer.findings));
    }
    print(&answer.classification)?;
    output::findings("", &answer.findings)?;
    output::line(format_args!("intended use: {}", package.manifest().intended_use))
}

fn print(answer: &Classification) -> Result<(), Failure> {
    let plural = if answer.crops == 1 { "crop" } else { "crops" };
    output::line(format_args!("{}, {} {plural}", answer.view, answer.crops))?;
    for (label, score) in &answer.scores {
        output::line(format_args!("  {label:14} {score:.4}"))?;
    }
    let [top, bottom, left, right] = answer.window;
    output::line(format_args!("breast: rows {top} to {bottom}, columns {left} to {right}"))?;
    let [y, x] = answer.best_center;
    output::line(format_args!("centre: row {y}, column {x} of these, the breast turned to point right"))
}

/// A height and a width, as `2677x1942`.
fn window(text: &str) -> Result<(usize, usize), String> {
    let sides = text.split_once('x').and_then(|(height, width)| height.parse().ok().zip(width.parse().ok()));
    sides.ok_or_else(|| {
        format!(
            "give HEIGHTxWIDTH in pixels, such as {}x{} or {}x{}",
            CC_WINDOW.0, CC_WINDOW.1, MLO_WINDOW.0, MLO_WINDOW.1
        )
    })
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::KnownAnswer { .. } => Failure::not_verified(error),
        Error::Threads { .. } => Failure::unavailable(error),
        _ => Failure::input(error),
    }
}
