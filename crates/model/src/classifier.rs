//! A package's networks on tract, and the average of what they say about an image's crops.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloister_conv::{Options, Store};
use cloister_imaging::{Angle, Finding, View};
use ndarray::Array2;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Error, KnownAnswer, KnownExam, Layer, Package, Preprocessing,
    input::Inputs,
    limits,
    map::Map,
    network::{Buffers, Network, Run},
};

/// How many a pair's network looks at: left, then right.
pub(crate) const BREASTS: usize = 2;

/// A package's networks, ready to run. Shared between threads; requests beyond its own threads wait for one another.
pub struct Classifier {
    pub(crate) labels: Vec<String>,
    pub(crate) preprocessing: Preprocessing,
    known_answers: Vec<KnownAnswer>,
    known_exams: Vec<KnownExam>,
    views: BTreeMap<View, Network>,
    pub(crate) pairs: BTreeMap<Angle, Network>,
    buffers: Buffers,
    pool: rayon::ThreadPool,
    /// Inputs that are being computed.
    busy: AtomicUsize,
}

/// An image that was prepared for its view's network.
pub struct ToScore<'a> {
    classifier: &'a Classifier,
    view: View,
    network: &'a Network,
    inputs: Inputs,
    /// The number of the label that a map is wanted for.
    map: Option<usize>,
}

impl ToScore<'_> {
    /// What a person should look at in the image before they believe its scores.
    pub fn findings(&self) -> &[Finding] {
        self.inputs.findings()
    }

    /// Asks for a map of where the network looks for a label. The scores stay the same, to the bit.
    ///
    /// # Errors
    /// As [`Classifier::check_map`].
    pub fn with_map(self, label: &str) -> Result<Self, Error> {
        let map = Some(self.classifier.label(label)?);
        self.network.check_map()?;
        Ok(Self { map, ..self })
    }

    /// Runs the network on each crop, and averages the probabilities, and where it looked.
    ///
    /// # Errors
    /// A network that fails or gives anything but probabilities.
    pub fn score(self) -> Result<Classification, Error> {
        let Self { classifier, view, network, inputs, map } = self;
        let render = |index, buffer: &mut [f32]| inputs.render(index, network.channels(), buffer);
        let runs = classifier.run(network, (&classifier.labels, map), inputs.len(), render)?;
        // Summed in the crops' order, so that the number of threads does not show in the last digits.
        let mean = |label: usize| runs.iter().map(|run| run.scores[label]).sum::<f64>() / runs.len() as f64;
        Ok(Classification {
            view,
            window: inputs.window(),
            best_center: inputs.best_center(),
            scores: classifier.labels.iter().enumerate().map(|(at, label)| (label.clone(), mean(at))).collect(),
            crops: runs.len() as u32,
            map: map.map(|label| {
                let heats = runs.into_iter().enumerate();
                let heats: Vec<_> = heats.filter_map(|(at, run)| Some((inputs.placement(at), run.heat?))).collect();
                Map::of(&classifier.labels[label], inputs.image(), &heats)
            }),
        })
    }
}

/// What a model says about one image.
///
/// Serialised, it is `{"view", "window": [top, bottom, left, right], "best_center": [y, x], …one score per label…, "crops"}`, and
/// `"map"` where there is one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classification {
    /// The view that the image was taken for.
    pub view: View,
    /// The part of the image that holds the breast: top, bottom, left, right in pixels, ends excluded.
    pub window: [usize; 4],
    /// The centre of the network's window: y, x in pixels of that part, which is mirrored for right breasts.
    pub best_center: [i64; 2],
    /// The mean probability of each label over the crops.
    #[serde(flatten)]
    pub scores: BTreeMap<String, f64>,
    /// How many crops were averaged.
    pub crops: u32,
    /// Where the network looked, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<Map>,
}

impl Classifier {
    /// Reads, checks and prepares every network, and starts `threads` threads (at least 1). The package may be dropped after.
    ///
    /// # Errors
    /// Networks that tract cannot read or whose input or output does not fit the manifest; threads that do not start.
    pub fn load(package: &Package, threads: usize) -> Result<Self, Error> {
        let threads = threads.clamp(1, limits::MAX_THREADS);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("crop-{number}"))
            .build()
            .map_err(|error| Error::Threads { threads, reason: error.to_string() })?;
        let manifest = package.manifest();
        let mut views: BTreeMap<View, Network> = BTreeMap::new();
        let options = Options { winograd: manifest.winograd, ..Options::default() };
        let mut store = Store::default();
        for (view, described) in &manifest.views {
            let twin = manifest.views.iter().find(|(_, other)| *other == described).map(|(view, _)| *view);
            let network = match twin.and_then(|twin| views.get(&twin)) {
                Some(loaded) => loaded.clone(),
                None => Network::load(package, described, 1, options, &mut store)?,
            };
            views.insert(*view, network);
        }
        let mut pairs = BTreeMap::new();
        for (angle, described) in &manifest.pairs {
            pairs.insert(*angle, Network::load(package, described, BREASTS, options, &mut store)?);
        }
        Ok(Self {
            labels: manifest.labels.clone(),
            preprocessing: manifest.preprocessing.clone(),
            known_answers: manifest.known_answers.clone(),
            known_exams: manifest.known_exams.clone(),
            views,
            pairs,
            buffers: Buffers::default(),
            pool,
            busy: AtomicUsize::new(0),
        })
    }

    /// Scores one image: prepares it, runs the view's network on each crop, and averages the probabilities.
    ///
    /// One crop is the noiseless one; more are moved and scaled at random, the same way for the same image. `resize/1` has one
    /// input whatever is asked for. As many crops as there are threads are in memory at
    /// a time, and less than twice as many where requests meet.
    ///
    /// # Errors
    /// A view without a network, a number of crops outside of 1 to [`limits::MAX_CROPS`], an image that cannot be prepared, a
    /// network that fails or gives anything but probabilities.
    pub fn classify(&self, image: &Array2<u16>, view: View, crops: u32) -> Result<Classification, Error> {
        self.prepare(image, view, crops)?.score()
    }

    /// The first part of [`Classifier::classify`]: what the networks are to see of an image. The image itself may be dropped then.
    ///
    /// # Errors
    /// As [`Classifier::classify`], but for the network's.
    pub fn prepare(&self, image: &Array2<u16>, view: View, crops: u32) -> Result<ToScore<'_>, Error> {
        if !(1..=limits::MAX_CROPS).contains(&crops) {
            return Err(Error::Crops { given: crops, limit: limits::MAX_CROPS });
        }
        if self.needs_exam() {
            return Err(Error::NeedsExam);
        }
        let network = self.views.get(&view).ok_or(Error::ViewNotServed(view))?;
        let inputs = Inputs::prepare(&self.preprocessing, image, view, network.window(), crops)?;
        Ok(ToScore { classifier: self, view, network, inputs, map: None })
    }

    /// Whether there can be maps for a label, of images of these views.
    ///
    /// # Errors
    /// [`Error::MapLabel`], or [`Error::NoMap`] for a network whose scores are not made of a mean over a picture. A view without a network
    /// is no error here.
    pub fn check_map(&self, label: &str, views: &[View]) -> Result<(), Error> {
        self.label(label)?;
        views.iter().filter_map(|view| self.views.get(view)).chain(self.pairs.values()).try_for_each(Network::check_map)
    }

    /// A label's number.
    fn label(&self, label: &str) -> Result<usize, Error> {
        let found = self.labels.iter().position(|known| known == label);
        found.ok_or_else(|| Error::MapLabel(self.labels.join(", ")))
    }

    /// What came of each of `count` inputs. As many inputs at a time as there are threads, and the last ones, where they are fewer, on several
    /// threads each.
    pub(crate) fn run(
        &self,
        network: &Network,
        (labels, map): (&[String], Option<usize>),
        count: usize,
        render: impl Fn(usize, &mut [f32]) -> Result<(), Error> + Sync,
    ) -> Result<Vec<Run>, Error> {
        let threads = self.pool.current_num_threads();
        let last = count % threads;
        let one = |index: usize, share: usize| {
            let others = self.busy.fetch_add(1, Ordering::Relaxed);
            let _busy = Busy(&self.busy);
            // Of threads that other requests use nothing is to be had.
            let share = share.min(threads.saturating_sub(others)).max(1);
            network.run(&self.buffers, share, (labels, map), |buffer| render(index, buffer))
        };
        let many = |runs: &mut [Option<Run>], first: usize, share: usize| -> Result<(), Error> {
            runs.par_iter_mut().with_max_len(1).enumerate().try_for_each(|(index, run)| {
                *run = Some(one(first + index, share)?);
                Ok(())
            })
        };
        let mut runs: Vec<Option<Run>> = (0..count).map(|_| None).collect();
        self.pool.install(|| {
            let (whole, rest) = runs.split_at_mut(count - last);
            many(whole, 0, 1)?;
            match threads.checked_div(last) {
                Some(share) => many(rest, count - last, share),
                None => Ok(()),
            }
        })?;
        Ok(runs.into_iter().flatten().collect())
    }

    /// What each layer of the network that looks at a view costs on this machine.
    ///
    /// # Errors
    /// A view without a network, a network that fails.
    pub fn layers(&self, view: View) -> Result<Vec<Layer>, Error> {
        self.network_of(view)?.layers()
    }

    fn network_of(&self, view: View) -> Result<&Network, Error> {
        self.views.get(&view).or_else(|| self.pairs.get(&view.angle())).ok_or(Error::ViewNotServed(view))
    }

    /// How long a view's network takes for one input alone, on so many of this classifier's threads: for measuring.
    ///
    /// # Errors
    /// A view without a network, a network that fails.
    pub fn time_network(&self, view: View, threads: usize) -> Result<Duration, Error> {
        let network = self.network_of(view)?;
        let labels = if self.needs_exam() { self.labels_of_pairs() } else { self.labels.clone() };
        self.pool.install(|| {
            let mut start = Instant::now();
            network.run(&self.buffers, threads, (&labels, None), |buffer| {
                buffer.iter_mut().zip((0..7).cycle()).for_each(|(to, n)| *to = n as f32 / 3.0 - 1.0);
                start = Instant::now();
                Ok(())
            })?;
            Ok(start.elapsed())
        })
    }

    /// What is done to an image before a network sees it.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Bytes that a prepared image takes at most beside its own pixels: of `resize/1` the largest window, in single precision. Crops are
    /// cut of the pixels when a network is to see them.
    pub fn prepared_bytes(&self) -> usize {
        let networks = self.views.values().chain(self.pairs.values());
        let pixels = networks.map(Network::window).map(|(height, width)| height * width).max().unwrap_or_default();
        match self.preprocessing {
            Preprocessing::ScreeningMammogram1(_) => 0,
            Preprocessing::Resize1(_) => size_of::<f32>() * pixels,
        }
    }

    /// The views that the model has a network for.
    pub fn views(&self) -> impl Iterator<Item = View> {
        self.views.keys().copied()
    }

    /// Runs the manifest's known answers.
    ///
    /// # Errors
    /// The first one that is missed; whatever [`Classifier::classify`] fails with.
    pub fn check_known_answers(&self) -> Result<(), Error> {
        self.known_answers.iter().enumerate().try_for_each(|(index, known)| self.check_known_answer(index, known))?;
        self.known_exams.iter().enumerate().try_for_each(|(index, known)| self.check_known_exam(index, known))
    }

    fn check_known_answer(&self, index: usize, known: &KnownAnswer) -> Result<(), Error> {
        let scores = self.classify(&known.image.draw(known.view), known.view, known.crops)?.scores;
        for (label, expected) in &known.scores {
            let difference = scores.get(label).map_or(f64::INFINITY, |score| (score - expected).abs());
            if difference > known.tolerance {
                let (view, label, tolerance) = (known.view, label.clone(), known.tolerance);
                return Err(Error::KnownAnswer { index, view, label, difference, tolerance });
            }
        }
        Ok(())
    }
}

/// An input that is being computed.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
