//! A network of random weights, for demonstrations: everything works, and the scores mean nothing.

use cloister_imaging::View;

use crate::{
    ConvertOptions,
    checkpoint::{Checkpoint, Tensor},
    classifier::BREASTS,
};

/// Stages of the trunk, each with twice the filters of the one before it.
const STAGES: u32 = 5;

/// How strongly the last layer's weights are drawn, so that scores differ visibly between images.
const LAST_LAYER_GAIN: f32 = 4.0;

/// Options for a package that says what it is.
pub fn demo_options(window: (usize, usize), threads: usize) -> ConvertOptions {
    ConvertOptions {
        name: "demo-random".to_owned(),
        intended_use: "Demonstration only. The weights are random numbers: the scores mean nothing.".to_owned(),
        cc_window: window,
        mlo_window: window,
        threads,
        ..ConvertOptions::default()
    }
}

/// A checkpoint of random weights in the published architecture, with `width` filters in its first stage (16 are published)
/// and sixteen times as many in its last. The same seed gives the same numbers on every machine.
pub fn random_checkpoint(seed: u64, width: usize) -> Checkpoint {
    let (mut weights, features) = Weights::of_trunks(seed, width);
    for view in View::ALL {
        let view = view.as_str().to_ascii_lowercase().replace('-', "");
        weights.linear(&format!("fc1_{view}"), features, features, 1.0);
        weights.linear(&format!("output_layer_{view}.fc_layer"), 4, features, LAST_LAYER_GAIN);
    }
    Checkpoint::from_tensors(weights.tensors)
}

/// The same for networks that look at both breasts of an angle.
pub fn random_exam_checkpoint(seed: u64, width: usize) -> Checkpoint {
    let (mut weights, features) = Weights::of_trunks(seed, width);
    let features = features * BREASTS;
    for angle in ["cc", "mlo"] {
        weights.linear(&format!("fc1_{angle}"), features, features, 1.0);
        weights.linear(&format!("output_layer_{angle}.fc_layer"), 8, features, LAST_LAYER_GAIN);
    }
    Checkpoint::from_tensors(weights.tensors)
}

struct Weights {
    state: u64,
    tensors: Vec<(String, Tensor)>,
}

impl Weights {
    /// The trunks of both angles, and how many features each gives.
    fn of_trunks(seed: u64, width: usize) -> (Self, usize) {
        let mut weights = Self { state: seed, tensors: vec![] };
        for angle in ["cc", "mlo"] {
            weights.trunk(&format!("four_view_resnet.{angle}"), width);
        }
        (weights, width << (STAGES - 1))
    }

    fn trunk(&mut self, name: &str, width: usize) {
        self.drawn(&format!("{name}.first_conv.weight"), &[width, 1, 7, 7], 1.0);
        let mut channels = width;
        for stage in 0..STAGES {
            let filters = width << stage;
            for block in 0..2 {
                let name = format!("{name}.layer_list.{stage}.{block}");
                self.normalisation(&format!("{name}.bn1"), channels);
                self.drawn(&format!("{name}.conv1.weight"), &[filters, channels, 3, 3], 1.0);
                self.normalisation(&format!("{name}.bn2"), filters);
                self.drawn(&format!("{name}.conv2.weight"), &[filters, filters, 3, 3], 0.5);
                if block == 0 {
                    self.drawn(&format!("{name}.downsample.0.weight"), &[filters, channels, 1, 1], 1.0);
                }
                channels = filters;
            }
        }
        self.normalisation(&format!("{name}.final_bn"), channels);
    }

    fn linear(&mut self, name: &str, rows: usize, columns: usize, gain: f32) {
        self.drawn(&format!("{name}.weight"), &[rows, columns], gain);
        self.constant(&format!("{name}.bias"), rows, 0.0);
    }

    fn normalisation(&mut self, name: &str, channels: usize) {
        for (part, value) in [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)] {
            self.constant(&format!("{name}.{part}"), channels, value);
        }
    }

    fn constant(&mut self, name: &str, count: usize, value: f32) {
        self.tensors.push((name.to_owned(), Tensor { shape: vec![count], values: vec![value; count] }));
    }

    /// Evenly drawn with the variance 2 / inputs, which keeps the size of what passes through relus (He et al., ICCV 2015).
    fn drawn(&mut self, name: &str, shape: &[usize], gain: f32) {
        let inputs: usize = shape[1..].iter().product();
        let bound = gain * (6.0 / inputs as f32).sqrt();
        let count = shape.iter().product();
        let values = (0..count).map(|_| (self.next() * 2.0 - 1.0) * bound).collect();
        self.tensors.push((name.to_owned(), Tensor { shape: shape.to_vec(), values }));
    }

    /// SplitMix64's next output, as a number from 0 to 1.
    fn next(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((bits ^ (bits >> 31)) >> 40) as f32) / (1_u32 << 24) as f32
    }
}
