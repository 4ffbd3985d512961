//! A mammogram's file on this machine: PNG or DICOM, by its bytes.

use std::path::Path;

use cloister_dicom::{Finding, is_dicom};
use cloister_imaging::{DecodeLimits, View, decode};
use ndarray::Array2;

use crate::failure::Failure;

/// What is in the file.
pub struct Picture {
    /// Greys, as `[row, column]`.
    pub pixels: Array2<u16>,
    /// What a DICOM file's attributes are findings of, as codes.
    findings: Vec<&'static str>,
    /// The view that a DICOM file says.
    view: Option<View>,
}

impl Picture {
    /// Decodes it.
    pub fn read(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let limits = DecodeLimits::default();
        if is_dicom(bytes) {
            let mammogram = cloister_dicom::read(bytes, &limits).map_err(|error| refused(path, &error))?;
            let findings = mammogram.findings.into_iter().map(Finding::code).collect();
            return Ok(Self { pixels: mammogram.pixels, findings, view: Some(mammogram.view) });
        }
        let pixels = decode(bytes, &limits).map_err(|error| refused(path, &error))?;
        Ok(Self { pixels, findings: Vec::new(), view: None })
    }

    /// What a person should look at before they believe a score: what the file says of itself, and what was found in its pixels.
    pub fn findings(&self, found: &[cloister_imaging::Finding]) -> Vec<&'static str> {
        let found = found.iter().map(|finding| finding.code());
        let mut codes: Vec<_> = self.findings.iter().copied().chain(found).collect();
        codes.sort_unstable();
        codes
    }

    /// Its view, by its own word and the command line's, which must not differ.
    pub fn view(&self, path: &Path, named: Option<View>) -> Result<View, Failure> {
        match (named, self.view) {
            (Some(named), Some(said)) if named != said => {
                Err(refused(path, &format_args!("it is to be {named}, and the file says {said}")))
            }
            (Some(view), _) | (None, Some(view)) => Ok(view),
            (None, None) => Err(no_view()),
        }
    }
}

/// Refuses a file whose view has to be named and is not. A DICOM file says it itself.
pub fn check_named(bytes: &[u8], named: Option<View>) -> Result<(), Failure> {
    if named.is_some() || is_dicom(bytes) { Ok(()) } else { Err(no_view()) }
}

fn no_view() -> Failure {
    Failure::usage("the image is no DICOM file, which would say its view: give --view L-CC, R-CC, L-MLO or R-MLO")
}

fn refused(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::input(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_word_and_the_command_lines_must_not_differ() {
        let view = |said, named| {
            Picture { pixels: Array2::zeros((1, 1)), findings: Vec::new(), view: said }.view(Path::new("f"), named)
        };
        assert_eq!(view(Some(View::LCc), None).unwrap(), View::LCc);
        assert_eq!(view(None, Some(View::RCc)).unwrap(), View::RCc);
        assert_eq!(view(Some(View::LCc), Some(View::LCc)).unwrap(), View::LCc);
        assert_eq!(view(Some(View::LCc), Some(View::RCc)).unwrap_err().code(), 65);
        assert_eq!(view(None, None).unwrap_err().code(), 64);
    }
}
