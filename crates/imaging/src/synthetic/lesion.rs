//! Masses and calcifications.

use super::{
    noise::{Draws, noise, ramp},
    shape::Shape,
};
use crate::View;

/// What purpose the draws of lesions are for.
const LESIONS: u64 = 100;

/// Most lesions of a kind that are drawn: more would cover the breast.
const MOST: u32 = 16;

/// Radii of masses, as parts of the image's height. At the 233 mm of a common detector they make masses of 9 to 22 mm across, as
/// large as most that screening finds; the rim is soft, and fades a sixth of a radius further out.
const MASS_RADII: (f32, f32) = (0.020, 0.048);

/// How far masses stay from the skin along a row: there the breast is thin, and has hardly any glandular tissue.
const UNDER_SKIN: f32 = 0.02;

/// A blob, brighter than what surrounds it.
pub(super) struct Lesion {
    x: f32,
    y: f32,
    radius: f32,
    brightness: f32,
    /// How uneven the rim is, as a part of the radius.
    uneven: f32,
    seed: u64,
}

/// The lesions of one view: the same number, at the same distance from the nipple, in both views of a breast.
pub(super) fn draw(seed: u64, view: View, shape: &Shape, masses: u32, clusters: u32) -> Vec<Lesion> {
    let mut breast = Draws::new(seed, LESIONS + view.laterality() as u64);
    let mut own = Draws::new(seed, LESIONS + 10 + view as u64);
    let mut lesions = Vec::new();
    for _ in 0..masses.min(MOST) {
        let (x, y) = place(&mut breast, &mut own, shape);
        let (radius, uneven) = (breast.between(MASS_RADII.0, MASS_RADII.1), breast.between(0.1, 0.45));
        let brightness = breast.between(0.18, 0.32);
        let mut mass = Lesion { x, y, radius, brightness, uneven, seed: own.seed() };
        mass.keep_inside(shape);
        lesions.push(mass);
    }
    for _ in 0..clusters.min(MOST) {
        let (x, y) = place(&mut breast, &mut own, shape);
        for _ in 0..breast.between(7.0, 18.0) as u32 {
            let (x, y) = (x + own.between(-0.014, 0.014), y + own.between(-0.014, 0.014));
            let (radius, brightness) = (own.between(0.0006, 0.0016), own.between(0.3, 0.6));
            lesions.push(Lesion { x, y, radius, brightness, uneven: 0.3, seed: own.seed() });
        }
    }
    lesions
}

/// A point in the glandular tissue. How far in it lies belongs to the breast, how far up or down to the view.
fn place(breast: &mut Draws, own: &mut Draws, shape: &Shape) -> (f32, f32) {
    let x = shape.depth * breast.between(0.30, 0.75);
    (x, shape.nipple_y + own.between(-0.13, 0.13))
}

impl Lesion {
    /// Moves a mass away from the skin, as far as it has to be for all of it to lie in the tissue.
    fn keep_inside(&mut self, shape: &Shape) {
        let (top, bottom, left, right) = self.bounds();
        let edge = shape.edge(top).min(shape.edge(self.y)).min(shape.edge(bottom));
        self.x = self.x.min(edge - (right - left) / 2.0 - UNDER_SKIN);
    }

    /// The rows and columns that the lesion may touch: `(top, bottom, left, right)`.
    pub(super) fn bounds(&self) -> (f32, f32, f32, f32) {
        let reach = 1.6 * self.radius;
        (self.y - reach, self.y + reach, self.x - reach, self.x + reach)
    }

    /// How much brighter a point is.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = ((x - self.x) / self.radius, (y - self.y) / self.radius);
        let rim = 1.0 + self.uneven * noise(self.seed, 1.7 * dx + 100.0, 1.7 * dy);
        self.brightness * ramp(rim - (dx * dx + dy * dy).sqrt(), -0.15, 0.6)
    }
}
