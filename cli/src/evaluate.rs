//! `cloister model evaluate`: how well a package's scores tell images apart of which the truth is known.

mod measure;
mod plot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use cloister_imaging::{DecodeLimits, View, decode};
use cloister_model::Classifier;
use serde_json::json;

use self::measure::{Estimate, Measured, measure};
use crate::failure::Failure;
use crate::model::Local;
use crate::{files, model, output};

/// What `cloister model evaluate` takes.
#[derive(Args)]
pub(crate) struct Evaluate {
    #[command(flatten)]
    local: Local,
    /// The images: CSV without quotes, with the columns path, view, and one for each label that is known, 0 or 1. Paths are relative to the list.
    #[arg(long)]
    list: PathBuf,
    /// The score from which on an image counts as positive.
    #[arg(long, default_value_t = 0.5)]
    threshold: f64,
    /// Draw the ROC curves into this SVG.
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// One line of the list.
#[derive(Debug, PartialEq)]
struct Listed {
    path: String,
    view: View,
    /// In the order of the list's labels.
    truth: Vec<bool>,
}

/// Scores every image of the list. Nothing is printed of a single image.
pub(crate) fn run(arguments: &Evaluate) -> Result<(), Failure> {
    let (package, classifier) = arguments.local.load()?;
    let (labels, listed) = read_list(&files::read_text(&arguments.list)?, &package.manifest().labels)
        .map_err(|error| error.about(&arguments.list.display().to_string()))?;
    let folder = arguments.list.parent().unwrap_or(Path::new(""));
    let mut scored: Vec<Vec<(f64, bool)>> = vec![Vec::with_capacity(listed.len()); labels.len()];
    for image in &listed {
        let scores = score(&classifier, &folder.join(&image.path), image.view, arguments.local.crops)?;
        for ((label, truth), scored) in labels.iter().zip(&image.truth).zip(&mut scored) {
            let score = scores.get(label).ok_or_else(|| Failure::input(format!("no score for {label}")))?;
            scored.push((*score, *truth));
        }
    }
    let measured: Vec<(String, Measured)> =
        labels.into_iter().zip(&scored).map(|(label, scored)| (label, measure(scored, arguments.threshold))).collect();
    if let Some(path) = &arguments.plot {
        files::write(path, plot::svg(&measured).as_bytes())?;
    }
    let manifest = package.manifest();
    if arguments.local.json {
        let labels: BTreeMap<_, _> = measured.iter().map(|(label, measured)| (label, measured)).collect();
        return output::json(&json!({
            "model": { "name": manifest.name, "version": manifest.version, "digest": hex::encode(package.digest()) },
            "images": listed.len(), "crops": arguments.local.crops, "threshold": arguments.threshold, "labels": labels,
        }));
    }
    output::line(format_args!("{} version {}, {} images", manifest.name, manifest.version, listed.len()))?;
    measured.iter().try_for_each(|(label, measured)| print(label, measured, arguments.threshold))?;
    output::line(format_args!("intended use: {}", manifest.intended_use))
}

fn score(classifier: &Classifier, path: &Path, view: View, crops: u32) -> Result<BTreeMap<String, f64>, Failure> {
    let named = |error: Failure| error.about(&path.display().to_string());
    let bytes = files::read(path)?;
    let image = decode(&bytes, &DecodeLimits::default()).map_err(|error| named(Failure::input(error)))?;
    let answer = classifier.classify(&image, view, crops).map_err(|error| named(model::failure(error)))?;
    Ok(answer.scores)
}

fn read_list(text: &str, known: &[String]) -> Result<(Vec<String>, Vec<Listed>), Failure> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let head = lines.next().map_or("", |(_, line)| line);
    let columns: Vec<&str> = head.split(',').map(str::trim).collect();
    let [path, view, labels @ ..] = columns.as_slice() else {
        return Err(Failure::input("its first line must be path,view and then labels"));
    };
    if *path != "path" || *view != "view" || labels.is_empty() {
        return Err(Failure::input("its first line must be path,view and then labels"));
    }
    for (at, label) in labels.iter().enumerate() {
        if !known.iter().any(|known| known == label) {
            return Err(Failure::input(format!("the model has no label {label}, but {}", known.join(", "))));
        }
        if labels[..at].contains(label) {
            return Err(Failure::input(format!("it has two columns {label}")));
        }
    }
    let row = |(at, line): (usize, &str)| {
        let wrong = |what: &dyn std::fmt::Display| Failure::input(format!("line {}: {what}", at + 1));
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [path, view, truth @ ..] = fields.as_slice() else { return Err(wrong(&"fields are missing")) };
        if truth.len() != labels.len() {
            return Err(wrong(&format_args!("{} fields, where the first line has {}", fields.len(), columns.len())));
        }
        let yes = |field: &&str| match *field {
            "0" => Ok(false),
            "1" => Ok(true),
            _ => Err(wrong(&"a label is neither 0 nor 1")),
        };
        let view = view.parse::<View>().map_err(|error| wrong(&error))?;
        Ok(Listed { path: (*path).to_owned(), view, truth: truth.iter().map(yes).collect::<Result<_, _>>()? })
    };
    let listed: Vec<Listed> = lines.map(row).collect::<Result<_, _>>()?;
    if listed.is_empty() {
        return Err(Failure::input("it names no images"));
    }
    Ok((labels.iter().map(|label| (*label).to_owned()).collect(), listed))
}

fn print(label: &str, measured: &Measured, threshold: f64) -> Result<(), Failure> {
    output::line(format_args!("\n{label}: {} with it, {} without", measured.positive, measured.negative))?;
    let estimate = |name: &str, estimate: &Option<Estimate>| match estimate {
        Some(Estimate { value, low, high }) => {
            output::line(format_args!("  {name:22} {value:.3}  (95 %: {low:.3} to {high:.3})"))
        }
        None => output::line(format_args!("  {name:22} none: the images are all with it, or all without")),
    };
    estimate("area under the ROC", &measured.auc)?;
    estimate(&format!("sensitivity from {threshold}"), &measured.sensitivity)?;
    estimate(&format!("specificity from {threshold}"), &measured.specificity)?;
    output::line(format_args!("  {:22} {:.3}", "Brier score", measured.brier))?;
    output::line(format_args!("  scores       images  mean score  share with it"))?;
    for bin in &measured.calibration {
        let (from, to) = (bin.from, bin.to);
        output::line(format_args!(
            "  {from:.1} to {to:.1}  {:>7}  {:>10.3}  {:>13.3}",
            bin.images, bin.mean_score, bin.positive_share
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<String> {
        ["benign", "malignant"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_list_names_images_views_and_what_is_true_of_them() {
        let text = "path,view,malignant\na.png,L-CC,1\n\nsub/b.png, R-MLO ,0\n";
        let (labels, listed) = read_list(text, &known()).unwrap();
        assert_eq!(labels, ["malignant"]);
        let row = |path: &str, view, truth| Listed { path: path.to_owned(), view, truth: vec![truth] };
        assert_eq!(listed, [row("a.png", View::LCc, true), row("sub/b.png", View::RMlo, false)]);
    }

    #[test]
    fn what_is_no_list_is_refused_and_where_is_said() {
        for (text, words) in [
            ("", "first line"),
            ("path,view\na,L-CC\n", "first line"),
            ("view,path,benign\n", "first line"),
            ("path,view,cancer\na,L-CC,1\n", "no label cancer"),
            ("path,view,benign,benign\na,L-CC,1,0\n", "two columns"),
            ("path,view,benign\n", "no images"),
            ("path,view,benign\na,L-CC\n", "line 2"),
            ("path,view,benign\na,L-CC,1\nb,L-CC,yes\n", "line 3"),
            ("path,view,benign\na,X-CC,1\n", "line 2"),
        ] {
            let said = read_list(text, &known()).unwrap_err().to_string();
            assert!(said.contains(words), "{text:?}: {said}");
        }
    }
}
