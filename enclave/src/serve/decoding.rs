//! From an image's bytes to its pixels: a PNG, whose view the request has to name, or a DICOM file, which says its view itself.

use cloister_dicom::{Finding, Outline, is_dicom};
use cloister_imaging::{DecodeLimits, FileMemory, View, decode};
use ndarray::Array2;

use super::problem::Problem;
use crate::limits;

/// The media type of DICOM files (RFC 3240).
pub(super) const DICOM: &str = "application/dicom";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Dicom,
}

/// An image as it came.
#[derive(Debug)]
pub(super) struct Image {
    bytes: FileMemory,
    format: Format,
    /// As the request named it.
    view: Option<View>,
}

/// An image's pixels, and what else is known of it.
pub(super) struct Decoded {
    pub(super) pixels: Array2<u16>,
    pub(super) view: View,
    pub(super) sop_instance_uid: Option<String>,
    pub(super) findings: Vec<&'static str>,
}

/// What decoding takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Cost {
    pixels: usize,
    /// Bytes at most, beside the file and what is left once it is prepared.
    bytes: usize,
}

impl Image {
    /// An image of that media type, by which it is DICOM even if it does not look so. Nothing of a PNG whose view nobody has named.
    pub(super) fn new(bytes: FileMemory, kind: Option<&str>, view: Option<View>) -> Option<Self> {
        let named =
            kind.and_then(|kind| kind.split(';').next()).is_some_and(|kind| kind.trim().eq_ignore_ascii_case(DICOM));
        let format = if named || is_dicom(&bytes) { Format::Dicom } else { Format::Png };
        (view.is_some() || format == Format::Dicom).then_some(Self { bytes, format, view })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn view(&self) -> Option<View> {
        self.view
    }

    /// What a DICOM file says of itself, which has to be the view that the request named; nothing of a PNG.
    pub(super) fn outline(&self) -> Result<Option<Outline>, Problem> {
        if self.format == Format::Png {
            return Ok(None);
        }
        let outline = cloister_dicom::outline(&self.bytes, &DecodeLimits::default())?;
        self.agrees(outline.view)?;
        Ok(Some(outline))
    }

    pub(super) fn decode(&self) -> Result<Decoded, Problem> {
        match (self.format, self.view) {
            (Format::Png, None) => Err(Problem::Internal("an image has no view")),
            (Format::Png, Some(view)) => {
                let pixels = decode(&self.bytes, &DecodeLimits::default());
                let pixels = pixels.map_err(|error| Problem::Image(None, error))?;
                Ok(Decoded { pixels, view, sop_instance_uid: None, findings: Vec::new() })
            }
            (Format::Dicom, _) => {
                let mammogram = cloister_dicom::read(&self.bytes, &DecodeLimits::default())?;
                self.agrees(mammogram.view)?;
                Ok(Decoded {
                    pixels: mammogram.pixels,
                    view: mammogram.view,
                    sop_instance_uid: Some(mammogram.sop_instance_uid.as_str().to_owned()),
                    findings: mammogram.findings.into_iter().map(Finding::code).collect(),
                })
            }
        }
    }

    fn agrees(&self, found: View) -> Result<(), Problem> {
        match self.view {
            Some(named) if named != found => Err(Problem::OtherView { named, found }),
            _ => Ok(()),
        }
    }

    fn cost(&self) -> Cost {
        const SINGLE: usize = limits::DECODED_BYTES_PER_PIXEL - limits::PREPARED_BYTES_PER_PIXEL;
        match self.format {
            Format::Png => {
                let pixels = png_pixels(&self.bytes);
                Cost { pixels, bytes: pixels * SINGLE }
            }
            Format::Dicom => {
                let cost = cloister_dicom::cost(&self.bytes, &DecodeLimits::default());
                Cost { pixels: cost.pixels, bytes: cost.bytes.max(cost.pixels * SINGLE) }
            }
        }
    }
}

/// What is held of images beside the one that is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Images whose cut-out breasts are held at a time.
    pub(super) prepared: usize,
    /// Bytes of what a network is to see, of all images that are held so at a time.
    pub(super) windows: usize,
}

/// What images take in memory that are decoded one after the other, the next while the last is still at work, as their headers say;
/// what their decoders would refuse as too large takes none.
pub(super) fn decoded_bytes<'a>(images: impl IntoIterator<Item = &'a Image>, held: Held) -> Result<usize, Problem> {
    let most = images.into_iter().map(Image::cost).fold(Cost::default(), |most, cost| Cost {
        pixels: most.pixels.max(cost.pixels),
        bytes: most.bytes.max(cost.bytes),
    });
    let bytes = most.bytes + most.pixels * limits::PREPARED_BYTES_PER_PIXEL * held.prepared + held.windows;
    if bytes <= limits::DECODED_BUDGET_BYTES { Ok(bytes) } else { Err(Problem::DecodedTooLarge) }
}

/// As a PNG's header says (PNG, third edition, section 11.2.1).
fn png_pixels(image: &[u8]) -> usize {
    let side = |at: usize| image.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    let (Some(width), Some(height)) = (side(16), side(20)) else { return 0 };
    let pixels = u64::from(width) * u64::from(height);
    usize::try_from(pixels).ok().filter(|&pixels| pixels <= DecodeLimits::default().pixels).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Held = Held { prepared: 1, windows: 0 };

    fn png(width: u32, height: u32) -> Image {
        let bytes = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), &width.to_be_bytes(), &height.to_be_bytes()].concat();
        Image::new(bytes.into(), Some("image/png"), Some(View::LCc)).unwrap()
    }

    /// A DICOM file's head, as far as its memory is told by it (PS3.5, 7.1.2).
    fn dicom(syntax: &str, rows: u16, columns: u16) -> Image {
        let element = |group: u16, element: u16, kind: &str, value: &[u8]| {
            let length = u16::try_from(value.len()).unwrap().to_le_bytes();
            [&group.to_le_bytes(), &element.to_le_bytes(), kind.as_bytes(), &length, value].concat()
        };
        let number = |at, value: u16| element(0x28, at, "US", &value.to_le_bytes());
        let syntax = if syntax.len().is_multiple_of(2) { syntax.to_owned() } else { format!("{syntax}\0") };
        let parts = [
            vec![0; 128],
            b"DICM".to_vec(),
            element(2, 0x10, "UI", syntax.as_bytes()),
            number(2, 1),
            number(0x10, rows),
            number(0x11, columns),
            number(0x100, 16),
            number(0x101, 16),
            number(0x102, 15),
            number(0x103, 0),
        ];
        Image::new(parts.concat().into(), None, None).unwrap()
    }

    const EXPLICIT: &str = "1.2.840.10008.1.2.1";
    const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
    const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

    #[test]
    fn an_image_counts_as_its_header_says_and_what_will_be_refused_counts_as_nothing() {
        assert_eq!(decoded_bytes([&png(1000, 2000)], ONE).unwrap(), 16_000_000);
        assert_eq!(
            decoded_bytes([&png(1000, 2000)], Held { prepared: 2, windows: 0 }).unwrap(),
            16_000_000 + 4_000_000
        );
        assert_eq!(decoded_bytes([&png(u32::MAX, u32::MAX)], ONE).unwrap(), 0);
        let short = Image::new(b"\x89PNG".to_vec().into(), None, Some(View::LCc)).unwrap();
        assert_eq!(decoded_bytes([&short], ONE).unwrap(), 0);
        assert_eq!(decoded_bytes([&dicom(EXPLICIT, 1000, 2000)], ONE).unwrap(), 16_000_000);
        assert_eq!(decoded_bytes([&dicom(EXPLICIT, u16::MAX, u16::MAX)], ONE).unwrap(), 0);
    }

    #[test]
    fn a_compressed_image_counts_as_what_its_decoder_takes() {
        let jpeg_2000 = dicom(JPEG_2000, 1000, 2000);
        assert_eq!(decoded_bytes([&jpeg_2000], ONE).unwrap(), 17 * 2_000_000 + jpeg_2000.bytes.len());
        let deflated = decoded_bytes([&dicom(DEFLATED, 1, 1)], ONE).unwrap();
        assert_eq!(deflated, 256 << 20, "nothing is known of it before it is inflated");
    }

    #[test]
    fn the_largest_detectors_image_fits_in_any_form_and_what_does_not_is_refused() {
        assert!(decoded_bytes([&dicom(JPEG_2000, 5928, 4728)], ONE).is_ok());
        assert!(matches!(decoded_bytes([&dicom(JPEG_2000, 5792, 5792)], ONE), Err(Problem::DecodedTooLarge)));
    }

    #[test]
    fn an_exam_counts_as_its_dearest_image_and_what_is_left_of_its_largest() {
        let images = [png(2000, 2000), dicom(JPEG_2000, 1000, 1000)];
        assert_eq!(decoded_bytes(&images, ONE).unwrap(), 24_000_000 + 8_000_000);
    }

    #[test]
    fn windows_count_beside_the_images_and_are_refused_where_they_leave_no_room() {
        let held = |windows| Held { prepared: 1, windows };
        assert_eq!(decoded_bytes([&png(1000, 2000)], held(5_000_000)).unwrap(), 16_000_000 + 5_000_000);
        let room = limits::DECODED_BUDGET_BYTES - 16_000_000;
        assert!(decoded_bytes([&png(1000, 2000)], held(room)).is_ok());
        assert!(matches!(decoded_bytes([&png(1000, 2000)], held(room + 1)), Err(Problem::DecodedTooLarge)));
    }

    #[test]
    fn a_view_is_named_for_a_png_and_need_not_be_for_dicom() {
        assert!(Image::new(b"\x89PNG".to_vec().into(), Some("image/png"), None).is_none());
        let said = Image::new(b"no DICOM".to_vec().into(), Some("Application/DICOM; x=y"), None).unwrap();
        assert!(matches!(said.decode(), Err(Problem::Dicom { refusal: cloister_dicom::Refusal::NotDicom, .. })));
    }
}
