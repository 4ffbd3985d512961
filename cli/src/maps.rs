//! Maps of where a network looked, as pictures in files (docs/maps.md).

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::Failure;
use crate::files::{self, Readers};

/// A map of one image.
#[derive(Args)]
pub struct MapFile {
    /// Write a map of where the network looked into this file: an 8-bit greyscale PNG over the whole image, of 128 pixels at most.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The label that the map is for, malignant by default. Without a file for it, the map is in the JSON, or in the sealed result.
    #[arg(long, value_name = "LABEL")]
    map_label: Option<String>,
}

/// Maps of an exam's images.
#[derive(Args)]
pub struct MapFolder {
    /// Write maps of where the network looked into this folder, as L-CC.png and so on: 8-bit greyscale PNGs over whole images.
    #[arg(long, value_name = "DIR")]
    maps: Option<PathBuf>,
    /// The label that the maps are for, malignant by default. Without a folder for them, they are in the JSON.
    #[arg(long, value_name = "LABEL")]
    map_label: Option<String>,
}

/// What a map is for where only a place for it is named: the screening network's label that is asked after most.
pub const USUAL_LABEL: &str = "malignant";

fn label<'a>(place: Option<&Path>, label: Option<&'a str>) -> Option<&'a str> {
    label.or(place.map(|_| USUAL_LABEL))
}

impl MapFile {
    /// The label, if a map is wanted.
    pub fn label(&self) -> Option<&str> {
        label(self.map.as_deref(), self.map_label.as_deref())
    }

    /// Writes the map, if one is wanted.
    pub fn write(&self, map: Option<Picture<'_>>) -> Result<(), Failure> {
        self.map.as_ref().zip(map).map_or(Ok(()), |(path, map)| map.write(path))
    }
}

impl MapFolder {
    /// The label, if maps are wanted.
    pub fn label(&self) -> Option<&str> {
        label(self.maps.as_deref(), self.map_label.as_deref())
    }

    /// Writes each view's map, if maps are wanted.
    pub fn write<'a>(&self, maps: impl Iterator<Item = (String, Picture<'a>)>) -> Result<(), Failure> {
        let Some(folder) = &self.maps else { return Ok(()) };
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::input(format!("cannot make {}: {error}", folder.display())))?;
        maps.into_iter().try_for_each(|(view, map)| map.write(&folder.join(format!("{view}.png"))))
    }
}

/// A map's values.
pub struct Picture<'a> {
    rows: u32,
    columns: u32,
    values: &'a [u8],
}

impl<'a> From<&'a cloister_client::Map> for Picture<'a> {
    fn from(map: &'a cloister_client::Map) -> Self {
        Self { rows: map.rows, columns: map.columns, values: &map.values }
    }
}

impl<'a> From<&'a cloister_model::Map> for Picture<'a> {
    fn from(map: &'a cloister_model::Map) -> Self {
        Self { rows: map.rows, columns: map.columns, values: &map.values }
    }
}

impl Picture<'_> {
    /// Writes it as a PNG that its owner alone may read.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        files::replace(path, Readers::Owner, |file| {
            let mut encoder = png::Encoder::new(file, self.columns, self.rows);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::Eight);
            let mut writer = encoder.write_header()?;
            writer.write_image_data(self.values)?;
            Ok(writer.finish()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_a_picture_of_its_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.png");
        Picture { rows: 2, columns: 3, values: &[0, 1, 2, 253, 254, 255] }.write(&path).unwrap();
        let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; 6];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, info.color_type), (3, 2, png::ColorType::Grayscale));
        assert_eq!(pixels, [0, 1, 2, 253, 254, 255]);
    }
}
