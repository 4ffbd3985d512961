//! The closed lists of codes: views and their modifiers (PS3.16, CID 4014 and CID 4015), SOP classes, transfer syntaxes.

use cloister_imaging::Angle;

/// A modifier of a mammographic view (PS3.16, CID 4015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modifier {
    /// Both breasts' inner parts in one picture.
    Cleavage,
    /// The axillary tail.
    AxillaryTail,
    /// Rolled laterally.
    RolledLateral,
    /// Rolled medially.
    RolledMedial,
    /// Rolled inferiorly.
    RolledInferior,
    /// Rolled superiorly.
    RolledSuperior,
    /// An implant pushed out of the picture.
    ImplantDisplaced,
    /// On a magnification stand.
    Magnification,
    /// A small paddle on one spot.
    SpotCompression,
    /// Along the skin.
    Tangential,
    /// The nipple in profile.
    NippleInProfile,
    /// The front of the breast compressed again.
    AnteriorCompression,
    /// The fold below the breast.
    InfraMammaryFold,
    /// Tissue of the armpit.
    AxillaryTissue,
    /// A code that is not on the list.
    Other,
}

/// SNOMED CT code, SNOMED RT style code (both PS3.16, CID 4015), modifier.
const MODIFIERS: &[(&str, &str, Modifier)] = &[
    ("399161006", "R-102D2", Modifier::Cleavage),
    ("399011000", "R-102D1", Modifier::AxillaryTail),
    ("399197002", "R-102D3", Modifier::RolledLateral),
    ("399226006", "R-102D4", Modifier::RolledMedial),
    ("414493004", "R-102CA", Modifier::RolledInferior),
    ("415670009", "R-102C9", Modifier::RolledSuperior),
    ("399209000", "R-102D5", Modifier::ImplantDisplaced),
    ("399163009", "R-102D6", Modifier::Magnification),
    ("399055006", "R-102D7", Modifier::SpotCompression),
    ("399110001", "R-102C2", Modifier::Tangential),
    ("442581004", "R-40AB3", Modifier::NippleInProfile),
    ("441752004", "P2-00161", Modifier::AnteriorCompression),
    ("442593008", "R-40ABE", Modifier::InfraMammaryFold),
    ("442580003", "R-40AB2", Modifier::AxillaryTissue),
];

impl std::fmt::Display for Modifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cleavage => "cleavage",
            Self::AxillaryTail => "axillary tail",
            Self::RolledLateral => "rolled lateral",
            Self::RolledMedial => "rolled medial",
            Self::RolledInferior => "rolled inferior",
            Self::RolledSuperior => "rolled superior",
            Self::ImplantDisplaced => "implant displaced",
            Self::Magnification => "magnification",
            Self::SpotCompression => "spot compression",
            Self::Tangential => "tangential",
            Self::NippleInProfile => "nipple in profile",
            Self::AnteriorCompression => "anterior compression",
            Self::InfraMammaryFold => "infra-mammary fold",
            Self::AxillaryTissue => "axillary tissue",
            Self::Other => "a modifier that is not in PS3.16, CID 4015",
        })
    }
}

/// What a code of a view means (PS3.16, CID 4014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    Standard(Angle),
    Other(&'static str),
}

/// SNOMED CT code, SNOMED RT style code, the ACR's abbreviation as ViewPosition has it (PS3.3, C.8.11.7), meaning.
const VIEWS: &[(&str, &str, &str, Projection)] = &[
    ("399162004", "R-10242", "CC", Projection::Standard(Angle::Cc)),
    ("399368009", "R-10226", "MLO", Projection::Standard(Angle::Mlo)),
    ("399260004", "R-10224", "ML", Projection::Other("mediolateral")),
    ("399352003", "R-10228", "LM", Projection::Other("lateromedial")),
    ("399099002", "R-10230", "LMO", Projection::Other("lateromedial oblique")),
    ("399196006", "R-10244", "FB", Projection::Other("caudocranial")),
    ("399188001", "R-102D0", "SIO", Projection::Other("superolateral to inferomedial oblique")),
    ("441555000", "R-40AAA", "ISO", Projection::Other("inferomedial to superolateral oblique")),
    ("399192008", "R-1024A", "XCCL", Projection::Other("craniocaudal, exaggerated laterally")),
    ("399101009", "R-1024B", "XCCM", Projection::Other("craniocaudal, exaggerated medially")),
    ("127457009", "G-8310", "SPECIMEN", Projection::Other("a tissue specimen")),
];

/// Whether a designator names SNOMED CT, whose codes are numbers, or the older style (PS3.16, section 8).
fn snomed(scheme: &str) -> Option<bool> {
    match scheme {
        "SCT" => Some(true),
        "SRT" | "SNM3" | "99SDM" => Some(false),
        _ => None,
    }
}

/// What a code in ViewCodeSequence means; nothing if it is not on the list.
pub(crate) fn view(scheme: &str, code: &str) -> Option<Projection> {
    let numbers = snomed(scheme)?;
    VIEWS.iter().find(|row| if numbers { row.0 == code } else { row.1 == code }).map(|row| row.3)
}

/// What a value of ViewPosition means; nothing if it is not on the list.
pub(crate) fn view_position(value: &str) -> Option<Projection> {
    VIEWS.iter().find(|row| row.2 == value).map(|row| row.3)
}

/// What a code in ViewModifierCodeSequence means.
pub(crate) fn modifier(scheme: &str, code: &str) -> Modifier {
    let known = snomed(scheme).and_then(|numbers| {
        MODIFIERS.iter().find(|row| if numbers { row.0 == code } else { row.1 == code }).map(|row| row.2)
    });
    known.unwrap_or(Modifier::Other)
}

/// The SOP classes that hold mammograms of one image (PS3.4, B.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SopClass {
    Mammography,
    ComputedRadiography,
    SecondaryCapture,
}

impl SopClass {
    pub(crate) fn uid(self) -> &'static str {
        match self {
            Self::Mammography => "1.2.840.10008.5.1.4.1.1.1.2",
            Self::ComputedRadiography => "1.2.840.10008.5.1.4.1.1.1",
            Self::SecondaryCapture => "1.2.840.10008.5.1.4.1.1.7",
        }
    }
}

/// Which SOP class a UID names, or a word for what it is instead.
pub(crate) fn sop_class(uid: &str) -> Result<SopClass, &'static str> {
    const READ: [SopClass; 3] = [SopClass::Mammography, SopClass::ComputedRadiography, SopClass::SecondaryCapture];
    if let Some(class) = READ.into_iter().find(|class| class.uid() == uid) {
        return Ok(class);
    }
    match uid {
        "1.2.840.10008.5.1.4.1.1.1.2.1" => Err("a mammogram for processing"),
        "1.2.840.10008.5.1.4.1.1.13.1.3" | "1.2.840.10008.5.1.4.1.1.13.1.4" | "1.2.840.10008.5.1.4.1.1.13.1.5" => {
            Err("tomosynthesis")
        }
        "1.2.840.10008.5.1.4.1.1.104.1" | "1.2.840.10008.5.1.4.1.1.104.2" | "1.2.840.10008.5.1.4.1.1.104.3" => {
            Err("an encapsulated document")
        }
        uid if uid.starts_with("1.2.840.10008.5.1.4.1.1.7.") => Err("several frames of a secondary capture"),
        _ => Err("another kind of object"),
    }
}

/// How a file stores its data set and its pixels (PS3.5, annex A; PS3.6, annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Implicit,
    Explicit,
    Deflated,
    JpegLossless,
    Jpeg2000,
    Rle,
}

impl Syntax {
    /// Its name in PS3.6, annex A, as far as it matters here.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Implicit => "implicit VR little endian",
            Self::Explicit => "explicit VR little endian",
            Self::Deflated => "deflated explicit VR little endian",
            Self::JpegLossless => "JPEG lossless",
            Self::Jpeg2000 => "JPEG 2000",
            Self::Rle => "RLE",
        }
    }
}

/// Which transfer syntax a UID names, or a word for one that is not read.
pub(crate) fn syntax(uid: &str) -> Result<Syntax, &'static str> {
    match uid {
        "1.2.840.10008.1.2" => Ok(Syntax::Implicit),
        "1.2.840.10008.1.2.1" => Ok(Syntax::Explicit),
        "1.2.840.10008.1.2.1.99" => Ok(Syntax::Deflated),
        "1.2.840.10008.1.2.4.57" | "1.2.840.10008.1.2.4.70" => Ok(Syntax::JpegLossless),
        "1.2.840.10008.1.2.4.90" | "1.2.840.10008.1.2.4.91" => Ok(Syntax::Jpeg2000),
        "1.2.840.10008.1.2.5" => Ok(Syntax::Rle),
        "1.2.840.10008.1.2.2" => Err("explicit VR big endian"),
        "1.2.840.10008.1.2.4.50" => Err("JPEG baseline"),
        "1.2.840.10008.1.2.4.51" => Err("JPEG extended"),
        "1.2.840.10008.1.2.4.80" | "1.2.840.10008.1.2.4.81" => Err("JPEG-LS"),
        "1.2.840.10008.1.2.4.92" | "1.2.840.10008.1.2.4.93" => Err("JPEG 2000 part 2"),
        "1.2.840.10008.1.2.4.110" | "1.2.840.10008.1.2.4.111" | "1.2.840.10008.1.2.4.112" => Err("JPEG XL"),
        "1.2.840.10008.1.2.4.201" | "1.2.840.10008.1.2.4.202" | "1.2.840.10008.1.2.4.203" => {
            Err("high-throughput JPEG 2000")
        }
        _ => Err("another transfer syntax"),
    }
}
