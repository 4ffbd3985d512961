//! The closed list of attributes that are read, each with its place in the data set.

use std::fmt;

/// A data element tag (PS3.5, 7.1), printed by its keyword where it is one that is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub(crate) u32);

impl Tag {
    /// The tag of a group and an element, as PS3.6 lists them.
    pub const fn new(group: u16, element: u16) -> Self {
        Self((group as u32) << 16 | element as u32)
    }
}

macro_rules! tags {
    ($($name:ident, $keyword:literal, $value:literal;)*) => {
        impl Tag {
            $(pub(crate) const $name: Self = Self($value);)*

            fn is_listed(self) -> bool {
                matches!(self, $(Self::$name)|*)
            }
        }

        impl fmt::Display for Tag {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(concat!($keyword, " ")),)*
                    _ => Ok(()),
                }?;
                write!(f, "({:04X},{:04X})", self.0 >> 16, self.0 & 0xFFFF)
            }
        }
    };
}

tags! {
    TRANSFER_SYNTAX, "TransferSyntaxUID", 0x0002_0010;
    SOP_CLASS, "SOPClassUID", 0x0008_0016;
    SOP_INSTANCE, "SOPInstanceUID", 0x0008_0018;
    MODALITY, "Modality", 0x0008_0060;
    PRESENTATION_INTENT, "PresentationIntentType", 0x0008_0068;
    CODE_VALUE, "CodeValue", 0x0008_0100;
    CODING_SCHEME, "CodingSchemeDesignator", 0x0008_0102;
    PATIENT_ID, "PatientID", 0x0010_0020;
    PIXEL_SPACING_AT_DETECTOR, "ImagerPixelSpacing", 0x0018_1164;
    MAGNIFICATION, "EstimatedRadiographicMagnificationFactor", 0x0018_1114;
    VIEW_POSITION, "ViewPosition", 0x0018_5101;
    STUDY_INSTANCE, "StudyInstanceUID", 0x0020_000D;
    SERIES_INSTANCE, "SeriesInstanceUID", 0x0020_000E;
    PATIENT_ORIENTATION, "PatientOrientation", 0x0020_0020;
    LATERALITY, "Laterality", 0x0020_0060;
    IMAGE_LATERALITY, "ImageLaterality", 0x0020_0062;
    FRAME_ANATOMY, "FrameAnatomySequence", 0x0020_9071;
    FRAME_LATERALITY, "FrameLaterality", 0x0020_9072;
    SAMPLES_PER_PIXEL, "SamplesPerPixel", 0x0028_0002;
    PHOTOMETRIC, "PhotometricInterpretation", 0x0028_0004;
    NUMBER_OF_FRAMES, "NumberOfFrames", 0x0028_0008;
    ROWS, "Rows", 0x0028_0010;
    COLUMNS, "Columns", 0x0028_0011;
    PIXEL_SPACING, "PixelSpacing", 0x0028_0030;
    BITS_ALLOCATED, "BitsAllocated", 0x0028_0100;
    BITS_STORED, "BitsStored", 0x0028_0101;
    HIGH_BIT, "HighBit", 0x0028_0102;
    PIXEL_REPRESENTATION, "PixelRepresentation", 0x0028_0103;
    PADDING_VALUE, "PixelPaddingValue", 0x0028_0120;
    PADDING_LIMIT, "PixelPaddingRangeLimit", 0x0028_0121;
    BURNED_IN, "BurnedInAnnotation", 0x0028_0301;
    RESCALE_INTERCEPT, "RescaleIntercept", 0x0028_1052;
    RESCALE_SLOPE, "RescaleSlope", 0x0028_1053;
    IMPLANT, "BreastImplantPresent", 0x0028_1300;
    PARTIAL_VIEW, "PartialView", 0x0028_1350;
    LOSSY, "LossyImageCompression", 0x0028_2110;
    MODALITY_LUT, "ModalityLUTSequence", 0x0028_3000;
    VIEW_CODE, "ViewCodeSequence", 0x0054_0220;
    VIEW_MODIFIER, "ViewModifierCodeSequence", 0x0054_0222;
    LUT_SHAPE, "PresentationLUTShape", 0x2050_0020;
    SHARED_GROUPS, "SharedFunctionalGroupsSequence", 0x5200_9229;
    PIXEL_DATA, "PixelData", 0x7FE0_0010;
    ITEM, "Item", 0xFFFE_E000;
    ITEM_END, "ItemDelimitationItem", 0xFFFE_E00D;
    SEQUENCE_END, "SequenceDelimitationItem", 0xFFFE_E0DD;
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The sequences that are entered, each with those around it; anything else is stepped over.
pub(crate) const ENTERED: &[&[Tag]] = &[
    &[Tag::VIEW_CODE],
    &[Tag::VIEW_CODE, Tag::VIEW_MODIFIER],
    &[Tag::VIEW_MODIFIER],
    &[Tag::SHARED_GROUPS],
    &[Tag::SHARED_GROUPS, Tag::FRAME_ANATOMY],
];

/// The elements whose values are kept, apart from pixels: in the data set itself, and in the sequences of [`ENTERED`].
pub(crate) fn is_read(path: &[Tag], tag: Tag) -> bool {
    match path {
        [] => {
            let elsewhere = matches!(tag, Tag::CODE_VALUE | Tag::CODING_SCHEME | Tag::MODALITY_LUT);
            tag < Tag::PIXEL_DATA && !elsewhere && tag.is_listed()
        }
        [Tag::VIEW_CODE] | [Tag::VIEW_CODE, Tag::VIEW_MODIFIER] | [Tag::VIEW_MODIFIER] => {
            matches!(tag, Tag::CODE_VALUE | Tag::CODING_SCHEME)
        }
        [Tag::SHARED_GROUPS, Tag::FRAME_ANATOMY] => tag == Tag::FRAME_LATERALITY,
        _ => false,
    }
}
