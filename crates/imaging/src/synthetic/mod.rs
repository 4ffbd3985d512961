//! Mammograms of nobody: drawn from a seed, for demonstrations and tests.
//!
//! An outline by view and side, fat and glandular tissue of filtered noise, a skin line, the pectoral muscle in oblique views,
//! and lesions when asked for. They look the part and pass every check of [`crate::prepare`], but follow no anatomy: nothing that
//! is measured on them says anything about patients.
//!
//! Model packages keep scores on these images as known answers, under the name `synthetic/1`, which has no lesions: whoever
//! changes what is drawn without them makes a new revision. Lesions may change; figures that were measured on them are then
//! measured anew.

mod lesion;
mod noise;
mod shape;

use ndarray::{Array2, s};

use self::{
    lesion::Lesion,
    noise::{Draws, cloud, grain, noise, ramp, strands},
    shape::Shape,
};
use crate::{Error, Laterality, View};

/// The brightest value drawn.
const WHITE: f32 = 60_000.0;

/// What purpose the draws of textures are for.
const TEXTURE: u64 = 50;

/// What a synthetic mammogram looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns. Below about 600, the breast may be too small to be found by [`crate::prepare`].
    pub width: usize,
    /// Rows. The breast is scaled to them.
    pub height: usize,
    /// How many masses are drawn into the glandular tissue, at most 16.
    pub masses: u32,
    /// How many clusters of calcifications are drawn, at most 16.
    pub calcifications: u32,
}

impl Default for Options {
    /// The size of a common detector, 2560 x 3328, and nothing to find.
    fn default() -> Self {
        Self { width: 2560, height: 3328, masses: 0, calcifications: 0 }
    }
}

/// Draws one view. The same seed, view and options give the same pixels on every machine; the four views of one seed look like
/// one person's. The background is exactly 0, and tissue never is.
pub fn generate(seed: u64, view: View, options: Options) -> Array2<u16> {
    let mut image = Array2::zeros((options.height, options.width));
    if image.is_empty() {
        return image;
    }
    let scale = 1.0 / options.height as f32;
    let shape = Shape::draw(seed, view, options.width as f32 * scale);
    let tissue = Tissue::draw(seed, view, &shape);
    let lesions = lesion::draw(seed, view, &shape, options.masses, options.calcifications);
    let mut bright = vec![0f32; options.width];
    for (row, mut pixels) in image.rows_mut().into_iter().enumerate() {
        let y = (row as f32 + 0.5) * scale;
        let (edge, slope) = (shape.edge(y), shape.slope(y));
        // Distances from the skin are measured across it, not along the row.
        let across = 1.0 / (1.0 + slope * slope).sqrt();
        let line = &mut bright[..((edge / scale) as usize).min(options.width)];
        for (column, bright) in line.iter_mut().enumerate() {
            let x = (column as f32 + 0.5) * scale;
            *bright = tissue.at(x, y, (edge - x) * across) + 0.012 * grain(tissue.seeds[0], column, row);
        }
        for lesion in &lesions {
            add_lesion(line, lesion, y, scale);
        }
        for (pixel, bright) in pixels.iter_mut().zip(line) {
            *pixel = (bright.clamp(0.0, 1.0) * WHITE) as u16 + 1;
        }
    }
    match view.laterality() {
        Laterality::Left => image,
        Laterality::Right => image.slice(s![.., ..;-1]).as_standard_layout().into_owned(),
    }
}

/// A mass that [`generate`] drew into a view.
pub struct Mass {
    lesion: Lesion,
    scale: f32,
    /// Columns of the image, where it is a right breast's, which is mirrored.
    mirrored: Option<usize>,
}

impl Mass {
    /// Whether it brightens a point of the image: rows and columns of edges, so that the first pixel reaches from 0 to 1.
    pub fn covers(&self, row: f64, column: f64) -> bool {
        let (row, column) = (row as f32, column as f32);
        let column = self.mirrored.map_or(column, |width| width as f32 - column);
        self.lesion.at(column * self.scale, row * self.scale) > 0.0
    }
}

/// The masses that [`generate`] draws for the same arguments.
pub fn masses(seed: u64, view: View, options: Options) -> Vec<Mass> {
    let scale = 1.0 / options.height as f32;
    let shape = Shape::draw(seed, view, options.width as f32 * scale);
    let mirrored = (view.laterality() == Laterality::Right).then_some(options.width);
    // Masses are drawn before calcifications.
    let lesions = lesion::draw(seed, view, &shape, options.masses, 0);
    lesions.into_iter().map(|lesion| Mass { lesion, scale, mirrored }).collect()
}

fn add_lesion(line: &mut [f32], lesion: &Lesion, y: f32, scale: f32) {
    let (top, bottom, left, right) = lesion.bounds();
    if y < top || y > bottom {
        return;
    }
    let first = (left.max(0.0) / scale) as usize;
    let last = (right.max(0.0) / scale) as usize + 1;
    for (column, bright) in line.iter_mut().enumerate().take(last).skip(first) {
        *bright += lesion.at((column as f32 + 0.5) * scale, y);
    }
}

/// How bright tissue is, 0 to 1.
struct Tissue<'a> {
    shape: &'a Shape,
    seeds: [u64; 8],
    /// How much of the breast is glandular: about -0.3 (almost none) to 0.3 (almost all).
    density: f32,
}

impl<'a> Tissue<'a> {
    fn draw(seed: u64, view: View, shape: &'a Shape) -> Self {
        let density = Draws::new(seed, TEXTURE).between(-0.28, 0.22);
        let mut own = Draws::new(seed, TEXTURE + 1 + view as u64);
        Self { shape, seeds: std::array::from_fn(|_| own.seed()), density }
    }

    /// The brightness of a point that lies `deep` under the skin.
    fn at(&self, x: f32, y: f32, deep: f32) -> f32 {
        let [_, fat, gland, fine, duct, web, vessel, fold] = self.seeds;
        let (dx, dy) = (self.shape.depth - x, y - self.shape.nipple_y);
        // Ducts run towards the nipple: noise over the direction from it, and over the distance.
        let distance = (dx * dx + dy * dy).sqrt();
        let direction = dy / (dx.max(0.0) + 0.12);
        let ducts = strands(duct, 9.0 * direction, 3.5 * distance);
        let bend = 0.05 * cloud(fold, 6.0 * x, 6.0 * y, 3);
        let (along, across) = (x + bend, y - bend);
        // Threads between the lobes: some places have many, some none.
        let many = ramp(noise(vessel, 5.0 * x + 9.0, 5.0 * y), -0.35, 0.7);
        let webs =
            many * strands(web, 30.0 * along, 30.0 * across) + 0.6 * strands(vessel, 11.0 * along, 17.0 * across);
        let glandular = self.glandular(x, y, deep, cloud(gland, 9.0 * along, 9.0 * across, 6));
        let texture = cloud(fine, 60.0 * x, 60.0 * y, 4);

        let fatty = 0.15 + 0.06 * cloud(fat, 6.0 * x, 6.0 * y, 5) + 0.06 * webs + 0.04 * texture;
        let dense = 0.46 + 0.22 * texture + 0.06 * ducts + 0.12 * webs;
        let mut bright = fatty + (dense - fatty) * glandular + 0.06 * ducts * ramp(0.28 - distance, 0.0, 0.25);
        let muscle = self.shape.muscle_at(x, y);
        let fibres = noise(fold, 3.0 * x + 14.0 * y, 5.0 * x - 3.0 * y);
        bright += (0.46 + 0.05 * fibres + 0.05 * texture - bright) * (0.9 * muscle);
        // The compressed breast thins towards the skin, which itself shows as a line.
        let skin = ramp(0.0075 - deep, 0.0, 0.004) * ramp(deep, -0.001, 0.002);
        bright * (0.55 + 0.45 * ramp(deep, 0.0, 0.05)) + 0.26 * skin
    }

    /// How glandular a point is, 0 to 1: most behind the nipple, none under the skin, little at the chest.
    fn glandular(&self, x: f32, y: f32, deep: f32, cloud: f32) -> f32 {
        let across = (y - self.shape.nipple_y) / 0.32;
        let along = (x - 0.50 * self.shape.depth) / (0.60 * self.shape.depth);
        let central = 1.0 - (across * across + along * along);
        ramp(cloud + 0.70 * central + self.density - 0.25, -0.15, 0.50) * ramp(deep, 0.012, 0.05)
    }
}

/// A 16-bit greyscale PNG of an image, compressed for speed.
///
/// # Errors
/// An image without pixels, or with a side of more than 2^31 - 1.
pub fn encode_png(image: &Array2<u16>) -> Result<Vec<u8>, Error> {
    let unusable = |reason: &dyn std::fmt::Display| Error::Encode(reason.to_string());
    let side = |length: usize| u32::try_from(length).map_err(|error| unusable(&error));
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, side(image.ncols())?, side(image.nrows())?);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(|error| unusable(&error))?;
    let bytes: Vec<u8> = image.iter().flat_map(|value| value.to_be_bytes()).collect();
    writer.write_image_data(&bytes).map_err(|error| unusable(&error))?;
    writer.finish().map_err(|error| unusable(&error))?;
    Ok(file)
}
