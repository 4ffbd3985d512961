//! `cloister synthetic`: draw a mammogram of nobody, for tests and demonstrations.

use std::path::PathBuf;

use clap::Args;
use cloister_imaging::{View, limits, synthetic};

use crate::failure::Failure;
use crate::files;

/// What `cloister synthetic` takes.
#[derive(Args)]
pub struct Synthetic {
    /// The view to draw: L-CC, R-CC, L-MLO or R-MLO.
    #[arg(long)]
    pub view: View,
    /// The person to draw: the same number gives the same pixels, and its four views belong together.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Columns.
    #[arg(long, default_value_t = 2560)]
    pub width: usize,
    /// Rows.
    #[arg(long, default_value_t = 3328)]
    pub height: usize,
    /// How many masses to draw.
    #[arg(long, default_value_t = 0)]
    pub masses: u32,
    /// How many clusters of calcifications to draw.
    #[arg(long, default_value_t = 0)]
    pub calcifications: u32,
    /// Where to write the 16-bit PNG.
    #[arg(long)]
    pub out: PathBuf,
}

/// Draws one view.
pub fn run(synthetic: &Synthetic) -> Result<(), Failure> {
    let &Synthetic { view, seed, width, height, masses, calcifications, ref out } = synthetic;
    let pixels = width.saturating_mul(height);
    if pixels == 0 || pixels > limits::MAX_PIXELS || width.max(height) > limits::MAX_SIDE {
        let (most, side) = (limits::MAX_PIXELS, limits::MAX_SIDE);
        return Err(Failure::usage(format!(
            "an image of {width} x {height} cannot be drawn: between 1 and {most} pixels, and no side longer than {side}"
        )));
    }
    let image = synthetic::generate(seed, view, synthetic::Options { width, height, masses, calcifications });
    files::write(out, &synthetic::encode_png(&image).map_err(Failure::input)?)
}
