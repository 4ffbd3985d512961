//! The coded concepts that are written (PS3.16). Meanings are those of the context groups that the templates name.

use cloister_imaging::{Angle, Laterality};

use crate::Result;
use crate::attribute::Attribute;
use crate::dataset::DataSet;

/// A coded concept (PS3.3, 8.8): value, scheme, meaning.
#[derive(Clone, Copy)]
pub(crate) struct Code(&'static str, &'static str, &'static str);

macro_rules! codes {
    ($($name:ident, $value:literal, $scheme:literal, $meaning:literal;)*) => {
        impl Code {
            $(pub(crate) const $name: Self = Self($value, $scheme, $meaning);)*
        }
    };
}

codes! {
    // The document and its language.
    CAD_REPORT, "111036", "DCM", "Mammography CAD Report";
    LANGUAGE, "121049", "DCM", "Language of Content Item and Descendants";
    // Of RFC 5646 since CID 5000 names it; ISO 639 before.
    ENGLISH, "en", "RFC5646", "English";

    // The library of images: TID 4020.
    IMAGE_LIBRARY, "111028", "DCM", "Image Library";
    LATERALITY, "111027", "DCM", "Image Laterality";
    VIEW, "111031", "DCM", "Image View";
    ROW_ORIENTATION, "111044", "DCM", "Patient Orientation Row";
    COLUMN_ORIENTATION, "111043", "DCM", "Patient Orientation Column";
    STUDY_DATE, "111060", "DCM", "Study Date";
    STUDY_TIME, "111061", "DCM", "Study Time";
    HORIZONTAL_SPACING, "111026", "DCM", "Horizontal Pixel Spacing";
    VERTICAL_SPACING, "111066", "DCM", "Vertical Pixel Spacing";
    MILLIMETER, "mm", "UCUM", "millimeter";

    // What was looked for, and by what: TID 4001, 4002, 4016, 4018, 4019.
    SUMMARY, "111017", "DCM", "CAD Processing and Findings Summary";
    SUCCEEDED_WITHOUT_FINDINGS, "111241", "DCM", "All algorithms succeeded; without findings";
    IMPRESSION, "111033", "DCM", "Impression Description";
    DETECTIONS, "111064", "DCM", "Summary of Detections";
    ANALYSES, "111065", "DCM", "Summary of Analyses";
    SUCCEEDED, "111222", "DCM", "Succeeded";
    NOT_ATTEMPTED, "111225", "DCM", "Not Attempted";
    SUCCESSFUL_ANALYSES, "111062", "DCM", "Successful Analyses";
    ANALYSIS, "111004", "DCM", "Analysis Performed";
    OVERALL_ANALYSIS, "111234", "DCM", "Overall Impression/Recommendation Analysis";
    ALGORITHM_NAME, "111001", "DCM", "Algorithm Name";
    ALGORITHM_VERSION, "111003", "DCM", "Algorithm Version";
    ALGORITHM_PARAMETERS, "111002", "DCM", "Algorithm Parameters";

    // Who observed: TID 1002, 1004.
    OBSERVER_TYPE, "121005", "DCM", "Observer Type";
    DEVICE, "121007", "DCM", "Device";
    DEVICE_UID, "121012", "DCM", "Device Observer UID";
    DEVICE_NAME, "121013", "DCM", "Device Observer Name";
    DEVICE_MANUFACTURER, "121014", "DCM", "Device Observer Manufacturer";
    DEVICE_MODEL, "121015", "DCM", "Device Observer Model Name";

    // Sections and their texts: CID 7001, whose codes are LOINC's, and CID 7002.
    SUMMARY_SECTION, "55112-7", "LN", "Summary";
    PROCEDURE_SECTION, "55111-9", "LN", "Current Procedure Descriptions";
    FINDINGS_SECTION, "59776-5", "LN", "Findings";
    CONCLUSIONS_SECTION, "55110-1", "LN", "Conclusions";
    PROCEDURE, "121065", "DCM", "Procedure Description";
    FINDING, "121071", "DCM", "Finding";
    CONCLUSION, "121077", "DCM", "Conclusion";
    FINDING_SITE, "363698007", "SCT", "Finding Site";

    // Breasts and views: CID 6022, CID 4014.
    LEFT_BREAST, "80248007", "SCT", "Left breast";
    RIGHT_BREAST, "73056007", "SCT", "Right breast";
    CRANIO_CAUDAL, "399162004", "SCT", "cranio-caudal";
    OBLIQUE, "399368009", "SCT", "medio-lateral oblique";

    // What a source was used for: CID 7202.
    SOURCE_IMAGE, "121322", "DCM", "Source image for image processing operation";
}

impl Code {
    pub(crate) fn breast(side: Laterality) -> Self {
        match side {
            Laterality::Left => Self::LEFT_BREAST,
            Laterality::Right => Self::RIGHT_BREAST,
        }
    }

    pub(crate) fn view(angle: Angle) -> Self {
        match angle {
            Angle::Cc => Self::CRANIO_CAUDAL,
            Angle::Mlo => Self::OBLIQUE,
        }
    }

    /// The item of a code sequence.
    pub(crate) fn item(self) -> Result<DataSet> {
        let mut data = DataSet::default();
        data.required(Attribute::CODE_VALUE, self.0)?;
        data.required(Attribute::CODING_SCHEME, self.1)?;
        data.required(Attribute::CODE_MEANING, self.2)?;
        Ok(data)
    }
}
