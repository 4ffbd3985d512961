//! A package's networks on tract, and the average of what they say about an image's crops.

use std::collections::BTreeMap;

use cloister_conv::{Options, Store};
use cloister_imaging::View;
use ndarray::Array2;
use rayon::prelude::*;
use serde::Serialize;

use crate::{Error, KnownAnswer, Package, Preprocessing, input::Inputs, limits, network::Network};

/// A package's networks, ready to run. Shared between threads; requests beyond its own threads wait for one another.
pub struct Classifier {
    labels: Vec<String>,
    preprocessing: Preprocessing,
    known_answers: Vec<KnownAnswer>,
    views: BTreeMap<View, Network>,
    pool: rayon::ThreadPool,
}

/// What a model says about one image.
///
/// Serialised, it is `{"view", "window": [top, bottom, left, right], "best_center": [y, x], …one score per label…, "crops"}`.
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
        let (options, mut store) = (Options::default(), Store::default());
        for (view, described) in &manifest.views {
            let twin = manifest.views.iter().find(|(_, other)| *other == described).map(|(view, _)| *view);
            let network = match twin.and_then(|twin| views.get(&twin)) {
                Some(loaded) => loaded.clone(),
                None => Network::load(package, described, options, &mut store)?,
            };
            views.insert(*view, network);
        }
        Ok(Self {
            labels: manifest.labels.clone(),
            preprocessing: manifest.preprocessing.clone(),
            known_answers: manifest.known_answers.clone(),
            views,
            pool,
        })
    }

    /// Scores one image: prepares it, runs the view's network on each crop, and averages the probabilities.
    ///
    /// One crop is the noiseless one; more are moved and scaled at random, the same way for the same image. `resize/1` has one
    /// input whatever is asked for. At most as many crops as there are threads are in memory at a time.
    ///
    /// # Errors
    /// A view without a network, a number of crops outside of 1 to [`limits::MAX_CROPS`], an image that cannot be prepared, a
    /// network that fails or gives anything but probabilities.
    pub fn classify(&self, image: &Array2<u16>, view: View, crops: u32) -> Result<Classification, Error> {
        if !(1..=limits::MAX_CROPS).contains(&crops) {
            return Err(Error::Crops { given: crops, limit: limits::MAX_CROPS });
        }
        let network = self.views.get(&view).ok_or(Error::ViewNotServed(view))?;
        let inputs = Inputs::prepare(&self.preprocessing, image, view, network.window(), crops)?;
        let run = |index| network.run(inputs.render(index), &self.labels);
        let runs: Result<Vec<Vec<f64>>, Error> =
            self.pool.install(|| (0..inputs.len()).into_par_iter().with_max_len(1).map(run).collect());
        let runs = runs?;
        // Summed in the crops' order, so that the number of threads does not show in the last digits.
        let mean = |label: usize| runs.iter().map(|scores| scores[label]).sum::<f64>() / runs.len() as f64;
        Ok(Classification {
            view,
            window: inputs.window(),
            best_center: inputs.best_center(),
            scores: self.labels.iter().enumerate().map(|(at, label)| (label.clone(), mean(at))).collect(),
            crops: runs.len() as u32,
        })
    }

    /// What is done to an image before a network sees it.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
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
        self.known_answers.iter().enumerate().try_for_each(|(index, known)| self.check_known_answer(index, known))
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

#[cfg(test)]
mod tests;
