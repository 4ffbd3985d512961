//! The outline of a breast and of the muscle behind it.
//!
//! Lengths are parts of the image's height. The chest is the left edge; a right breast is mirrored at the end.

use super::noise::{Draws, ramp};
use crate::{Angle, View};

/// One breast as one view shows it.
pub(super) struct Shape {
    /// Height of the nipple.
    pub(super) nipple_y: f32,
    /// How far the nipple is from the chest.
    pub(super) depth: f32,
    /// How far the breast reaches up and down from the nipple.
    above: f32,
    below: f32,
    /// The armpit's fold, in an oblique view: how far it reaches at the top edge, and how far down.
    axilla: Option<(f32, f32)>,
    /// The muscle, in an oblique view: how far it reaches at the top edge, and how far down.
    muscle: Option<(f32, f32)>,
}

/// What purpose the draws of a breast and of a view are for.
const BREAST: u64 = 1;
const VIEW: u64 = 10;

impl Shape {
    /// A shape for an image of `width` times its height.
    pub(super) fn draw(seed: u64, view: View, width: f32) -> Self {
        // Both breasts of a person, and both views of a breast, are of about one size.
        let mut person = Draws::new(seed, BREAST);
        let depth = person.between(0.42, 0.66) * width;
        let reach = person.between(0.33, 0.40);
        let mut own = Draws::new(seed, VIEW + view as u64);
        let depth = depth * own.between(0.96, 1.04);
        let (above, below) = (reach * own.between(0.95, 1.05), reach * own.between(0.95, 1.05));
        match view.angle() {
            Angle::Cc => {
                let nipple_y = 0.5 + own.between(-0.03, 0.03);
                Self { nipple_y, depth, above, below, axilla: None, muscle: None }
            }
            Angle::Mlo => {
                let axilla = (own.between(0.70, 0.85) * depth, own.between(0.55, 0.70));
                let muscle = (own.between(0.42, 0.56) * depth, own.between(0.55, 0.72));
                let nipple_y = 0.57 + own.between(-0.02, 0.02);
                Self { nipple_y, depth, above, below, axilla: Some(axilla), muscle: Some(muscle) }
            }
        }
    }

    /// How far the breast reaches from the chest in row `y`; 0 or less where there is none.
    pub(super) fn edge(&self, y: f32) -> f32 {
        let up = (self.nipple_y - y) / if y < self.nipple_y { self.above } else { self.below };
        // Between an ellipse and a parabola, which is pointed: breasts are both.
        let square = 1.0 - up * up;
        let round = if square > 0.0 { 0.55 * square.sqrt() + 0.45 * square } else { 0.0 };
        let from_tip = (y - self.nipple_y) / 0.022;
        let tip = (1.0 - from_tip * from_tip).max(0.0);
        let breast = self.depth * round + 0.008 * tip * tip;
        let Some((reach, down)) = self.axilla else { return breast };
        let fold = reach * (1.0 - 0.6 * y / down);
        smooth_max(breast, fold, 0.18) * ramp(self.nipple_y + 0.97 * self.below - y, -0.01, 0.06)
    }

    /// How steep the edge is in row `y`: its change in columns for each row.
    pub(super) fn slope(&self, y: f32) -> f32 {
        let step = 0.002;
        (self.edge(y + step) - self.edge(y - step)) / (2.0 * step)
    }

    /// How much muscle lies at a point: 0 to 1.
    pub(super) fn muscle_at(&self, x: f32, y: f32) -> f32 {
        let Some((reach, down)) = self.muscle else { return 0.0 };
        let part = 1.0 - y / down;
        // Slightly convex towards the breast.
        let edge = reach * part * (1.0 + 0.35 * (1.0 - part).max(0.0));
        ramp(edge - x, -0.01, 0.02)
    }
}

/// The larger of two lengths, rounded over `radius` where they are equal.
fn smooth_max(one: f32, other: f32, radius: f32) -> f32 {
    let near = (radius - (one - other).abs()).max(0.0) / radius;
    one.max(other) + 0.25 * near * near * radius
}
