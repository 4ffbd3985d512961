//! All of an exam's results at once.

use cloister_imaging::View;

use crate::pictures::{Picture, draw};
use crate::{Error, Exam, Identity, Result, Uid, basic_text_sr, mammography_cad_sr, secondary_capture};

/// Series numbers of results: beyond what modalities count up to, so that viewers list them last.
const CAD_SERIES: u32 = 9001;
const TEXT_SERIES: u32 = 9002;
const CAPTURE_SERIES: u32 = 9003;

/// What kind of object a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`mammography_cad_sr`].
    CadSr,
    /// [`basic_text_sr`].
    TextSr,
    /// [`secondary_capture`], of a view.
    SecondaryCapture(View),
}

impl Kind {
    /// Its name for programs, and in files' names: `cad-sr`, `text-sr`, `secondary-capture`.
    pub fn code(self) -> &'static str {
        match self {
            Self::CadSr => "cad-sr",
            Self::TextSr => "text-sr",
            Self::SecondaryCapture(_) => "secondary-capture",
        }
    }

    /// A file's name, unlike those of the exam's other results.
    pub fn file_name(self) -> String {
        match self {
            Self::SecondaryCapture(view) => format!("{}-{view}.dcm", self.code()),
            _ => format!("{}.dcm", self.code()),
        }
    }
}

/// A result, ready to be stored.
#[derive(Clone)]
pub struct File {
    /// What it is.
    pub kind: Kind,
    /// Its SOP Instance UID.
    pub instance: Uid,
    /// Its SOP Class UID.
    pub class: &'static str,
    /// The file (PS3.10).
    pub bytes: Vec<u8>,
}

/// The CAD SR, the text SR, and a Secondary Capture for each picture; `random` gives 16 random bytes for each new identifier.
///
/// # Errors
/// An [`Error`] where a value does not fit its attribute, an overlay its view, or a map its size.
pub fn files(exam: &Exam, pictures: &[Picture<'_>], mut random: impl FnMut() -> [u8; 16]) -> Result<Vec<File>> {
    let mut identity = |series: &Uid, series_number, instance_number| Identity {
        series: series.clone(),
        series_number,
        instance: Uid::random(random()),
        instance_number,
    };
    // Series are random too: their first bytes come from identities that are thrown away.
    let nothing = Uid::random([0; 16]);
    let [cad_series, text_series, capture_series] = [0; 3].map(|number| identity(&nothing, number, 0).instance);
    let cad = identity(&cad_series, CAD_SERIES, 1);
    let text = identity(&text_series, TEXT_SERIES, 1);
    let mut files = vec![
        File {
            kind: Kind::CadSr,
            bytes: mammography_cad_sr(exam, &cad)?,
            instance: cad.instance,
            class: crate::cad::SOP_CLASS,
        },
        File {
            kind: Kind::TextSr,
            bytes: basic_text_sr(exam, &text)?,
            instance: text.instance,
            class: crate::text::SOP_CLASS,
        },
    ];
    for (number, picture) in (1..).zip(pictures) {
        let drawn = draw(picture).ok_or(Error::Map(picture.view))?;
        let capture = identity(&capture_series, CAPTURE_SERIES, number);
        files.push(File {
            kind: Kind::SecondaryCapture(picture.view),
            bytes: secondary_capture(exam, &drawn.overlay(), &capture)?,
            instance: capture.instance,
            class: crate::capture::SOP_CLASS,
        });
    }
    Ok(files)
}
