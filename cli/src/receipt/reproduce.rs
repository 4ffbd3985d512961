//! `cloister receipt reproduce`: whether the model gives what the receipt says, for whoever holds model and images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use cloister_imaging::{Laterality, View};
use cloister_model::{Classification, Classifier, Package, kernels};
use cloister_receipt::{Receipt, map_sha256};
use serde::Serialize;

use super::{Image, without};
use crate::failure::Failure;
use crate::{files, output, policy};

/// How far a score may be from one that other kernels computed. The most that was measured is 3e-6 (docs/receipts.md).
const ACROSS_KERNELS: f64 = 1e-5;

/// What `cloister receipt reproduce` takes.
#[derive(Args)]
pub struct Reproduce {
    /// The receipt.
    file: PathBuf,
    /// The model package's folder.
    #[arg(long)]
    package: PathBuf,
    /// An image that the receipt is about; once for each view that is to be computed again.
    #[arg(long = "image", value_name = "FILE", required = true)]
    images: Vec<PathBuf>,
    /// Verify the receipt first, under this policy.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Processors to use; all by default.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// One line of JSON in place of text.
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Serialize)]
struct Outcome {
    /// Whether the receipt itself was verified.
    verified: bool,
    /// Whether every score that was computed has the same bits.
    identical: bool,
    /// Whether these kernels are those that the receipt names.
    same_kernels: bool,
    kernels: String,
    kernels_of_receipt: String,
    scores: Vec<Compared>,
    /// The maps that the receipt signs, of the same views.
    maps: Vec<ComparedMap>,
    /// The views that no image was given for.
    not_computed: Vec<String>,
}

/// One score of a view, or of a breast once all views were computed.
#[derive(Serialize)]
struct Compared {
    view: String,
    label: String,
    signed: f64,
    computed: f64,
    difference: f64,
}

/// One view's map.
#[derive(Serialize)]
struct ComparedMap {
    view: String,
    label: String,
    signed_sha256: String,
    computed_sha256: String,
}

impl ComparedMap {
    fn is_same(&self) -> bool {
        self.signed_sha256 == self.computed_sha256
    }
}

impl Compared {
    fn new(view: &str, label: &str, signed: f64, computed: f64) -> Self {
        let difference = (signed - computed).abs();
        Self { view: view.to_owned(), label: label.to_owned(), signed, computed, difference }
    }
}

/// Runs the verb.
pub(super) fn run(arguments: &Reproduce) -> Result<(), Failure> {
    let receipt = match &arguments.policy {
        Some(path) => super::verified(&arguments.file, &policy::read(path)?)?.claims,
        None => super::parse(&arguments.file, &files::read(&arguments.file)?)?.claims().clone(),
    };
    let package = Package::open(&arguments.package).map_err(Failure::input)?;
    check_model(&package, &receipt)?;
    let threads = if arguments.threads == 0 {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        arguments.threads
    };
    let classifier = Classifier::load(&package, threads).map_err(Failure::input)?;
    let preprocessing = classifier.preprocessing();
    if preprocessing.revision() != receipt.preprocessing
        || preprocessing.seed(receipt.crops.count) != receipt.crops.seed
    {
        return Err(Failure::not_verified("the package prepares images otherwise than the receipt says"));
    }
    check_signed(&package.manifest().labels, classifier.needs_exam(), &receipt)?;
    let (scores, maps, not_computed) = if classifier.needs_exam() {
        (together(&classifier, &receipt, &arguments.images)?, Vec::new(), Vec::new())
    } else {
        one_by_one(&classifier, &receipt, &arguments.images)?
    };
    let outcome = Outcome {
        verified: arguments.policy.is_some(),
        identical: scores.iter().all(|score| score.signed.to_bits() == score.computed.to_bits())
            && maps.iter().all(ComparedMap::is_same),
        same_kernels: kernels() == receipt.kernels,
        kernels: kernels(),
        kernels_of_receipt: receipt.kernels,
        scores,
        maps,
        not_computed,
    };
    outcome.print(arguments.json)?;
    outcome.judge()
}

/// Refuses a receipt that signs other scores than a model with these labels gives: what a model does not give cannot be compared, and would pass.
fn check_signed(labels: &[String], whole: bool, receipt: &Receipt) -> Result<(), Failure> {
    let mut labels: Vec<&String> = labels.iter().collect();
    labels.sort();
    let all = |scores: &cloister_receipt::Scores| scores.keys().eq(labels.iter().copied());
    let of_views = |view: &cloister_receipt::View| match whole {
        true => view.scores.is_empty() && view.map.is_none(),
        false => all(&view.scores),
    };
    let breasts = receipt.breasts.values().all(all) && (!whole || receipt.breasts.len() == 2);
    if breasts && receipt.views.iter().all(of_views) {
        return Ok(());
    }
    Err(Failure::not_verified("the receipt signs other scores than this model gives: no enclave signs that for it"))
}

fn check_model(package: &Package, receipt: &Receipt) -> Result<(), Failure> {
    if package.digest() == receipt.model.digest {
        return Ok(());
    }
    Err(Failure::not_verified(format!(
        "the package is another model than the receipt's: its digest is {}, the receipt's {}",
        hex::encode(package.digest()),
        hex::encode(receipt.model.digest)
    )))
}

/// What was compared: scores, maps, and the views that there was no image of.
type Comparison = (Vec<Compared>, Vec<ComparedMap>, Vec<String>);

/// Each view that there is an image of, and the breasts where there are all.
fn one_by_one(classifier: &Classifier, receipt: &Receipt, images: &[PathBuf]) -> Result<Comparison, Failure> {
    let (mut scores, mut maps) = (Vec::new(), Vec::new());
    for path in images {
        let image = Image::read(path)?;
        for matched in image.matched(receipt)? {
            let (compared, map) = compute(classifier, receipt, &image, &matched.view)?;
            scores.extend(compared);
            maps.extend(map);
        }
    }
    let views: Vec<_> = scores.iter().map(|score: &Compared| score.view.clone()).collect();
    let not_computed: Vec<_> = without(receipt, &views).into_iter().map(str::to_owned).collect();
    if not_computed.is_empty() {
        let breasts = breasts(receipt, &scores);
        scores.extend(breasts);
    }
    Ok((scores, maps, not_computed))
}

/// The breasts, by networks that look at both of them.
fn together(classifier: &Classifier, receipt: &Receipt, paths: &[PathBuf]) -> Result<Vec<Compared>, Failure> {
    let mut images = BTreeMap::new();
    for path in paths {
        let image = Image::read(path)?;
        for matched in image.matched(receipt)? {
            images.insert(matched.view.parse::<View>().map_err(Failure::input)?, image.pixels.clone());
        }
    }
    let exam = classifier.classify_exam(&images, receipt.crops.count).map_err(Failure::input)?;
    let mut scores = Vec::new();
    for (side, computed) in [(Laterality::Left, "left"), (Laterality::Right, "right")]
        .into_iter()
        .filter_map(|(side, name)| Some((name, exam.breasts.get(&side)?)))
    {
        for (label, signed) in receipt.breasts.get(side).into_iter().flatten() {
            let computed = computed.get(label).copied();
            let computed = computed.ok_or_else(|| not_scored(label))?;
            scores.push(Compared::new(side, label, *signed, computed));
        }
    }
    Ok(scores)
}

fn not_scored(label: &str) -> Failure {
    Failure::not_verified(format!("the package scores no {label:?}, which the receipt does"))
}

fn compute(
    classifier: &Classifier,
    receipt: &Receipt,
    image: &Image<'_>,
    name: &str,
) -> Result<(Vec<Compared>, Option<ComparedMap>), Failure> {
    let view: View = name.parse().map_err(Failure::input)?;
    let claim = receipt.views.iter().find(|claim| claim.view == name);
    let signed_map = claim.and_then(|claim| claim.map.as_ref());
    let prepared = classifier.prepare(&image.pixels, view, receipt.crops.count);
    let answer = prepared.and_then(|prepared| match signed_map {
        Some(map) => prepared.with_map(&map.label)?.score(),
        None => prepared.score(),
    });
    let Classification { scores: computed, map, .. } = answer.map_err(Failure::input)?;
    let map = signed_map.zip(map).map(|(signed, map)| ComparedMap {
        view: name.to_owned(),
        label: signed.label.clone(),
        signed_sha256: hex::encode(signed.sha256),
        computed_sha256: hex::encode(map_sha256(&map.label, map.rows, map.columns, &map.values)),
    });
    let signed = claim.map(|claim| &claim.scores).into_iter().flatten();
    let compare = |(label, &signed): (&String, &f64)| {
        let computed = computed.get(label).copied();
        let computed = computed.ok_or_else(|| not_scored(label))?;
        Ok(Compared::new(name, label, signed, computed))
    };
    Ok((signed.map(compare).collect::<Result<_, _>>()?, map))
}

/// Each breast's mean, in the order in which an enclave adds its views.
fn breasts(receipt: &Receipt, scores: &[Compared]) -> Vec<Compared> {
    let mean = |side: &str, label: &str| {
        let views = receipt.views.iter().filter(|view| view.laterality() == Some(side));
        let computed = |view: &cloister_receipt::View| {
            scores.iter().find(|score| score.view == view.view && score.label == label).map(|score| score.computed)
        };
        let of_side: Vec<f64> = views.filter_map(computed).collect();
        #[expect(clippy::cast_precision_loss, reason = "two views")]
        let mean = of_side.iter().sum::<f64>() / of_side.len() as f64;
        mean
    };
    let signed = receipt.breasts.iter().flat_map(|(breast, scores)| scores.iter().map(move |score| (breast, score)));
    let compare = |(breast, (label, signed)): (&String, (&String, &f64))| {
        let side = if breast == "left" { "L" } else { "R" };
        Compared::new(breast, label, *signed, mean(side, label))
    };
    signed.map(compare).collect()
}

impl Outcome {
    fn within(&self) -> bool {
        self.scores.iter().all(|score| score.difference <= ACROSS_KERNELS)
    }

    fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            return output::json(self);
        }
        if !self.verified {
            output::line("the receipt itself was NOT verified: give --policy to have it verified first")?;
        }
        for Compared { view, label, signed, computed, difference } in &self.scores {
            output::line(format_args!(
                "{view:<6} {label:<12} receipt {signed:.9}  here {computed:.9}  apart {difference:.1e}"
            ))?;
        }
        for map in &self.maps {
            let ComparedMap { view, label, signed_sha256, .. } = map;
            let same = if map.is_same() { "the same" } else { "another" };
            output::line(format_args!("{view:<6} {label:<12} map SHA-256 {signed_sha256}, here {same}"))?;
        }
        output::line(match (self.identical, self.same_kernels, self.within()) {
            (true, ..) => "REPRODUCED: every score of these images has the same bits, and every map",
            (false, true, _) => "NOT reproduced, on the same kernels",
            (false, false, true) => "REPRODUCED within 0.00001: the kernels differ, and the last digits with them",
            (false, false, false) => "NOT reproduced: further apart than other kernels explain",
        })?;
        if !self.not_computed.is_empty() {
            output::line(format_args!("NOT computed, for want of an image: {}", self.not_computed.join(", ")))?;
        }
        if !self.same_kernels {
            output::line(format_args!("receipt  {}\nhere     {}", self.kernels_of_receipt, self.kernels))?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), Failure> {
        if self.identical || (!self.same_kernels && self.within()) {
            return Ok(());
        }
        if self.scores.iter().all(|score| score.difference == 0.0) {
            return Err(Failure::not_verified("a map is not that of the receipt, under the same kernels"));
        }
        let most = self.scores.iter().map(|score| score.difference).fold(0.0, f64::max);
        let allowed = if self.same_kernels { "not a bit" } else { "0.00001" };
        Err(Failure::not_verified(format!(
            "the scores are not those of the receipt: they are up to {most:.1e} apart, and {allowed} is allowed between these kernels"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_that_signs_other_scores_than_the_model_gives_is_not_reproduced() {
        let signed = cloister_test_data::receipt();
        let labels: Vec<String> = signed.views[0].scores.keys().cloned().collect();
        assert!(check_signed(&labels, false, &signed).is_ok());
        assert_eq!(
            check_signed(&labels, true, &signed).unwrap_err().code(),
            77,
            "a view's scores of a model of whole exams"
        );
        let mut unscored = signed.clone();
        unscored.views[0].scores.clear();
        assert_eq!(check_signed(&labels, false, &unscored).unwrap_err().code(), 77, "nothing would be compared");
        assert_eq!(check_signed(&labels, true, &unscored).unwrap_err().code(), 77, "no breast either");
        unscored.breasts = ["left", "right"].map(|side| (side.to_owned(), signed.views[0].scores.clone())).into();
        assert!(check_signed(&labels, true, &unscored).is_ok());
        let mut more = signed;
        more.views[0].scores.insert("more".to_owned(), 0.5);
        assert_eq!(check_signed(&labels, false, &more).unwrap_err().code(), 77);
    }
}
