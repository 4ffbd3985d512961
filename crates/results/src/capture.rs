//! Secondary Capture (PS3.3, A.8.1): where the network looked, in colour over the image.

use cloister_imaging::{Laterality, View};

use crate::attribute::Attribute;
use crate::code::Code;
use crate::content::reference;
use crate::dataset::DataSet;
use crate::exam::{Exam, Identity, Scored, Source};
use crate::object::describe;
use crate::sentences::{self, NOTICE};
use crate::{Error, Result, limits};

pub(crate) const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.7";

/// A grey image and a map of the same size, row by row from the top left.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    /// Which view they are of.
    pub view: View,
    /// The label that the map is for.
    pub label: &'a str,
    /// Rows of both.
    pub rows: u16,
    /// Columns of both.
    pub columns: u16,
    /// The image as it is to be seen: 0 is black.
    pub grey: &'a [u8],
    /// The map: 0 draws nothing, 255 the most.
    pub map: &'a [u8],
}

/// A Secondary Capture file, in true colour, of one view with its map drawn over it.
///
/// Nothing is written into the pixels but the map, so that BurnedInAnnotation is the source's, where that says it.
///
/// # Errors
/// An [`Error`] where the exam is none or has no such view, pixels do not fill the image, or a value does not fit its attribute.
pub fn secondary_capture(exam: &Exam, overlay: &Overlay<'_>, identity: &Identity) -> Result<Vec<u8>> {
    exam.check(identity)?;
    let scored = exam.views.iter().find(|scored| scored.source.view == overlay.view);
    let scored = scored.ok_or(Error::NoSuchView(overlay.view))?;
    if !scored.scores.contains_key(overlay.label) {
        return Err(Error::Label(overlay.view));
    }
    let source = &scored.source;
    let pixels = overlay.drawn()?;
    let mut data =
        describe(exam, source, identity, SOP_CLASS, "OT", "Cloister: where a network looked, not for clinical use")?;
    data.required(Attribute::CONVERSION_TYPE, "WSD")?;
    describe_image(exam, scored, overlay.label, &mut data)?;
    derive(source, overlay, &mut data)?;
    overlay.describe_pixels(&mut data)?;
    data.bytes(Attribute::PIXEL_DATA, pixels);
    data.file(SOP_CLASS, &identity.instance)
}

/// The General Image Module (PS3.3, C.7.6.1), and which view it shows.
fn describe_image(exam: &Exam, scored: &Scored, label: &str, data: &mut DataSet) -> Result<()> {
    let source = &scored.source;
    data.texts(Attribute::IMAGE_TYPE, &["DERIVED", "SECONDARY"])?;
    match &source.orientation {
        Some([row, column]) => data.texts(Attribute::PATIENT_ORIENTATION, &[row, column])?,
        None => data.text(Attribute::PATIENT_ORIENTATION, "")?,
    }
    let side = match source.view.laterality() {
        Laterality::Left => "L",
        Laterality::Right => "R",
    };
    data.required(Attribute::BODY_PART, "BREAST")?;
    data.required(Attribute::IMAGE_LATERALITY, side)?;
    data.items(Attribute::VIEW_CODE, vec![Code::view(source.view.angle()).item()?]);
    let comments = [vec![NOTICE.to_owned()], sentences::map(exam, scored, label), sentences::provenance(exam).to_vec()];
    let comments = comments.concat();
    data.required(Attribute::IMAGE_COMMENTS, &comments.join("\r\n"))
}

/// What the image was made from, and what was lost before (PS3.3, C.7.6.1.1.3 to C.7.6.1.1.5).
fn derive(source: &Source, overlay: &Overlay<'_>, data: &mut DataSet) -> Result<()> {
    let same_places = overlay.rows == source.rows && overlay.columns == source.columns;
    let mut origin = reference(&source.sop_class_uid, &source.sop_instance_uid);
    origin.items(Attribute::PURPOSE, vec![Code::SOURCE_IMAGE.item()?]);
    origin.required(Attribute::LOCATIONS_PRESERVED, if same_places { "YES" } else { "NO" })?;
    data.items(Attribute::SOURCE_IMAGE, vec![origin]);
    data.required(
        Attribute::DERIVATION_DESCRIPTION,
        &format!(
            "Greys in 8 bits, with a map of where a network looked for {} drawn over them from dark red to yellow. It marks no lesions.",
            overlay.label
        ),
    )?;
    if let Some(burned_in) = source.burned_in_annotation {
        data.required(Attribute::BURNED_IN, if burned_in { "YES" } else { "NO" })?;
    }
    if source.lossy {
        data.required(Attribute::LOSSY, "01")?;
    }
    Ok(())
}

impl Overlay<'_> {
    /// The pixels in red, green and blue.
    fn drawn(&self) -> Result<Vec<u8>> {
        let count = usize::from(self.rows) * usize::from(self.columns);
        let full = self.grey.len() == count && self.map.len() == count;
        if !full || !(1..=limits::PIXELS).contains(&count) {
            return Err(Error::Pixels { rows: self.rows, columns: self.columns });
        }
        Ok(self.grey.iter().zip(self.map).flat_map(|(grey, map)| blend(*grey, *map)).collect())
    }

    /// The Image Pixel Module (PS3.3, C.7.6.3) but for the pixels.
    fn describe_pixels(&self, data: &mut DataSet) -> Result<()> {
        data.required(Attribute::PHOTOMETRIC, "RGB")?;
        for (attribute, number) in [
            (Attribute::SAMPLES_PER_PIXEL, 3),
            (Attribute::PLANAR_CONFIGURATION, 0),
            (Attribute::ROWS, self.rows),
            (Attribute::COLUMNS, self.columns),
            (Attribute::BITS_ALLOCATED, 8),
            (Attribute::BITS_STORED, 8),
            (Attribute::HIGH_BIT, 7),
            (Attribute::PIXEL_REPRESENTATION, 0),
        ] {
            data.short(attribute, number);
        }
        Ok(())
    }
}

/// The map's colour over the grey, as opaque as the map is strong, and never more than half: what is below has to be seen.
fn blend(grey: u8, map: u8) -> [u8; 3] {
    const WHOLE: u32 = 510;
    let over = u32::from(map);
    [u8::MAX, map, 0].map(|colour| {
        let mixed = u32::from(grey) * (WHOLE - over) + u32::from(colour) * over;
        u8::try_from(mixed / WHOLE).unwrap_or(u8::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_nothing_leaves_greys_and_a_strong_one_shows_half_of_them() {
        for grey in [0, 1, 128, 255] {
            assert_eq!(blend(grey, 0), [grey; 3]);
        }
        assert_eq!(blend(0, 255), [127, 127, 0]);
        assert_eq!(blend(255, 255), [255, 255, 127]);
        assert_eq!(blend(100, 128), [138, 107, 74]);
    }
}
