//! The four standard views of a mammogram.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Error;

/// One of the four standard views: a side, then an angle. Written `L-CC`, `R-CC`, `L-MLO`, `R-MLO` everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum View {
    /// Left breast, craniocaudal.
    #[serde(rename = "L-CC")]
    LCc,
    /// Right breast, craniocaudal.
    #[serde(rename = "R-CC")]
    RCc,
    /// Left breast, mediolateral oblique.
    #[serde(rename = "L-MLO")]
    LMlo,
    /// Right breast, mediolateral oblique.
    #[serde(rename = "R-MLO")]
    RMlo,
}

/// Which breast a view shows. A left breast enters from the image's left edge and points right; a right breast mirrors it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Laterality {
    /// The left breast.
    Left,
    /// The right breast.
    Right,
}

/// The direction that a view is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Angle {
    /// Craniocaudal: from above.
    Cc,
    /// Mediolateral oblique: from the side, with the pectoral muscle in the picture.
    Mlo,
}

impl View {
    /// The four views, in the order in which exams list them.
    pub const ALL: [Self; 4] = [Self::LCc, Self::RCc, Self::LMlo, Self::RMlo];

    /// Which breast this view shows.
    pub fn laterality(self) -> Laterality {
        match self {
            Self::LCc | Self::LMlo => Laterality::Left,
            Self::RCc | Self::RMlo => Laterality::Right,
        }
    }

    /// The direction that this view is taken from.
    pub fn angle(self) -> Angle {
        match self {
            Self::LCc | Self::RCc => Angle::Cc,
            Self::LMlo | Self::RMlo => Angle::Mlo,
        }
    }

    /// The view as it is written: `L-CC`, `R-CC`, `L-MLO` or `R-MLO`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LCc => "L-CC",
            Self::RCc => "R-CC",
            Self::LMlo => "L-MLO",
            Self::RMlo => "R-MLO",
        }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for View {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|view| view.as_str() == text).ok_or_else(|| Error::UnknownView(text.to_owned()))
    }
}

impl Laterality {
    /// The other side.
    pub fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl fmt::Display for Laterality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Left => "left",
            Self::Right => "right",
        })
    }
}

impl fmt::Display for Angle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cc => "CC",
            Self::Mlo => "MLO",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_read_from_the_text_that_it_prints() {
        for (view, text) in View::ALL.into_iter().zip(["L-CC", "R-CC", "L-MLO", "R-MLO"]) {
            assert_eq!(view.to_string(), text);
            assert_eq!(text.parse::<View>().unwrap(), view);
            assert_eq!(serde_json::to_string(&view).unwrap(), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<View>(&format!("\"{text}\"")).unwrap(), view);
        }
    }

    #[test]
    fn a_view_has_a_side_and_an_angle() {
        assert_eq!((View::LCc.laterality(), View::LCc.angle()), (Laterality::Left, Angle::Cc));
        assert_eq!((View::RCc.laterality(), View::RCc.angle()), (Laterality::Right, Angle::Cc));
        assert_eq!((View::LMlo.laterality(), View::LMlo.angle()), (Laterality::Left, Angle::Mlo));
        assert_eq!((View::RMlo.laterality(), View::RMlo.angle()), (Laterality::Right, Angle::Mlo));
    }

    #[test]
    fn other_spellings_of_a_view_are_refused() {
        for text in ["", "LCC", "l-cc", "L-CC ", "L-ML", "CC-L"] {
            assert!(matches!(text.parse::<View>(), Err(Error::UnknownView(given)) if given == text));
        }
    }
}
