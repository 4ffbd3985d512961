//! A writer of small DICOM files (PS3.10): explicit VR little endian, pixels without compression.

use std::collections::BTreeMap;

use cloister_imaging::View;

/// The patient's name in every file. Nothing may repeat it.
pub const PATIENT_NAME: &str = "Zq7canary^Petra";

/// A mammogram for presentation, element by element.
#[derive(Clone)]
pub struct Dicom {
    elements: BTreeMap<u32, (&'static str, Vec<u8>)>,
}

impl Dicom {
    /// The pixels of a greyscale PNG as that view of one patient and study, with identifiers that end in its number.
    pub fn of(view: View, png: &[u8], number: u32) -> Self {
        let pixels = ::image::load_from_memory(png).expect("a PNG").into_luma16();
        let side = |side: u32| u16::try_from(side).expect("a small image");
        let (columns, rows) = (side(pixels.width()), side(pixels.height()));
        let (side, position) = view.as_str().split_once('-').expect("a side and a direction");
        let file = Self { elements: BTreeMap::new() }
            .with(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.1.2")
            .with(0x0008_0018, "UI", &format!("1.2.826.0.1.3680043.8.1.{number}"))
            .with(0x0008_0060, "CS", "MG")
            .with(0x0008_0068, "CS", "FOR PRESENTATION")
            .with(0x0010_0010, "PN", PATIENT_NAME)
            .with(0x0010_0020, "LO", "zq7canary-4711")
            .with(0x0018_5101, "CS", position)
            .with(0x0020_000D, "UI", "1.2.826.0.1.3680043.8.2.77777")
            .with(0x0020_000E, "UI", "1.2.826.0.1.3680043.8.3.88888")
            .with(0x0020_0062, "CS", side)
            .with(0x0028_0004, "CS", "MONOCHROME2");
        let numbers = [(0x02, 1), (0x10, rows), (0x11, columns), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)];
        let file = numbers.into_iter().fold(file, |file, (element, number)| {
            file.with_bytes(0x0028_0000 | element, "US", number.to_le_bytes().to_vec())
        });
        let cells = pixels.into_raw().into_iter().flat_map(u16::to_le_bytes).collect();
        file.with_bytes(0x7FE0_0010, "OW", cells)
    }

    /// Sets an attribute of text, group and element in one number.
    #[must_use]
    pub fn with(self, tag: u32, vr: &'static str, value: &str) -> Self {
        let mut value = value.as_bytes().to_vec();
        if !value.len().is_multiple_of(2) {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        self.with_bytes(tag, vr, value)
    }

    fn with_bytes(mut self, tag: u32, vr: &'static str, value: Vec<u8>) -> Self {
        self.elements.insert(tag, (vr, value));
        self
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = [vec![0; 128], b"DICM".to_vec()].concat();
        write(&mut file, 0x0002_0010, "UI", b"1.2.840.10008.1.2.1\0");
        for (tag, (vr, value)) in &self.elements {
            write(&mut file, *tag, vr, value);
        }
        file
    }
}

/// One element (PS3.5, 7.1.2).
fn write(file: &mut Vec<u8>, tag: u32, vr: &str, value: &[u8]) {
    let [a, b, c, d] = tag.to_le_bytes();
    file.extend([c, d, a, b]);
    file.extend(vr.as_bytes());
    if vr == "OW" {
        file.extend([0, 0]);
        file.extend(u32::try_from(value.len()).expect("a small image").to_le_bytes());
    } else {
        file.extend(u16::try_from(value.len()).expect("a short value").to_le_bytes());
    }
    file.extend(value);
}
