//! Why a file is not read. One variant per reason; a message says what to do about it.
//!
//! Messages name attributes, sizes and values of closed lists of the standard's. They never repeat what else a file says: any other
//! value may be about a patient.

use crate::{codes::Modifier, tag::Tag};

/// Why a DICOM file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file is longer than is allowed.
    #[error("the file has {bytes} bytes, more than the {limit} allowed")]
    FileTooLarge {
        /// The file's length.
        bytes: usize,
        /// The most that is allowed.
        limit: usize,
    },
    /// No `DICM` after a preamble of 128 bytes (PS3.10, 7.1).
    #[error("this is not a DICOM file: send what a PACS exports, with its preamble and file meta information")]
    NotDicom,
    /// The file, or its pixels, end too early.
    #[error("the DICOM file is cut short: send it again, whole")]
    Truncated,
    /// A rule of the encoding is broken.
    #[error("the DICOM file is damaged ({0}): export it again")]
    Damaged(Damage),
    /// More of something than any mammogram has.
    #[error("the DICOM file has more {0} than any mammogram needs")]
    TooMany(Counted),
    /// Pixels in a form that is not read (PS3.5, annex A).
    #[error(
        "the pixels are stored as {0}, which is not read: export as explicit or implicit VR little endian, JPEG lossless, JPEG 2000 or RLE"
    )]
    TransferSyntax(&'static str),
    /// Not a mammogram of one image for presentation (PS3.4, annex B.5).
    #[error("the file holds {0}: send the two-dimensional mammograms for presentation")]
    SopClass(&'static str),
    /// The modality is not MG (PS3.3, C.7.3.1.1.1).
    #[error("Modality (0008,0060) is not MG: only mammograms are read")]
    Modality,
    /// Raw data of a detector (PS3.3, C.8.11.1).
    #[error(
        "PresentationIntentType (0008,0068) is FOR PROCESSING: send the image that was made from it for presentation"
    )]
    ForProcessing,
    /// An implant in the breast (PS3.3, C.8.11.7).
    #[error("BreastImplantPresent (0028,1300) is YES: the network was not made for breasts with implants")]
    Implant,
    /// A part of a breast that did not fit the detector (PS3.3, C.8.11.7).
    #[error("PartialView (0028,1350) is YES: send views that show the whole breast")]
    PartialView,
    /// A view that is not the plain one (PS3.16, CID 4015).
    #[error("the view is modified ({0}): send the standard view")]
    ModifiedView(Modifier),
    /// Taken on a magnification stand (PS3.3, C.8.11.5).
    #[error(
        "EstimatedRadiographicMagnificationFactor (0018,1114) says that the view is magnified: send the standard view"
    )]
    Magnified,
    /// A view, but not one of the two that are classified (PS3.16, CID 4014).
    #[error("the view is {0}: only CC and MLO views are classified")]
    OtherView(&'static str),
    /// No attribute says which view this is.
    #[error("no attribute says which view this is: ViewCodeSequence (0054,0220) or ViewPosition (0018,5101) must")]
    NoView,
    /// No attribute says which breast this is.
    #[error(
        "no attribute says which breast this is: ImageLaterality (0020,0062) or Laterality (0020,0060) must be L or R"
    )]
    NoLaterality,
    /// Two attributes speak of one thing and differ.
    #[error("{0} and {1} contradict each other: have the file corrected where it was made")]
    Contradiction(Tag, Tag),
    /// Several frames, or none.
    #[error("NumberOfFrames (0028,0008) is not 1: send single images, not tomosynthesis or series of frames")]
    Frames,
    /// Colours, a palette, or several samples a pixel.
    #[error("the image is not MONOCHROME1 or MONOCHROME2 with one sample a pixel")]
    Colour,
    /// Bits that no mammogram has (PS3.3, C.8.11.3).
    #[error(
        "BitsAllocated {allocated}, BitsStored {stored} and HighBit {high} do not go together: 8 or 16 allocated, 8 to 16 stored, the high bit one less than stored"
    )]
    Bits {
        /// BitsAllocated (0028,0100).
        allocated: u16,
        /// BitsStored (0028,0101).
        stored: u16,
        /// HighBit (0028,0102).
        high: u16,
    },
    /// A modality LUT, or a rescaling that turns greys around (PS3.3, C.11.1).
    #[error("{0} changes the greys in a way that images for presentation do not: export the image for presentation")]
    Greys(Tag),
    /// More pixels, or a longer side, than is allowed; or none.
    #[error(
        "the image is {width} x {height}, which is nothing, or more than the {pixels} pixels or the side of {side} allowed"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// The most pixels allowed.
        pixels: usize,
        /// The longest side allowed.
        side: usize,
    },
    /// An attribute that has to be there, is not, or is empty.
    #[error("{0} is missing")]
    Missing(Tag),
    /// An attribute whose value has the wrong form; the value itself is not repeated.
    #[error("the value of {0} cannot be read")]
    Value(Tag),
    /// The compressed image breaks its own format's rules.
    #[error("the compressed pixels are damaged ({0}): export the image again, or without compression")]
    Pixels(&'static str),
    /// The compressed image is another one than the attributes describe.
    #[error("the compressed pixels have other {0} than the attributes say: export the image again")]
    Mismatch(&'static str),
    /// The system gave no random bytes for the key that patients are compared under.
    #[error("no random numbers were to be had")]
    Random,
}

/// What is wrong with a file's encoding (PS3.5, section 7; PS3.10, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Two letters that are no value representation (PS3.5, 6.2).
    #[error("an element has no known value representation")]
    ValueRepresentation,
    /// An element reaches past the end of the item around it, or of the file.
    #[error("an element is longer than what it stands in")]
    Length,
    /// An undefined length where the standard allows none (PS3.5, 7.1.1).
    #[error("an element that needs a length has none")]
    UndefinedLength,
    /// Something else where an item or a delimiter had to be (PS3.5, 7.5).
    #[error("a sequence holds something that is no item")]
    Item,
    /// The same element twice in one data set (PS3.5, 7.1).
    #[error("{0} stands there twice")]
    Twice(Tag),
    /// The deflated data set does not inflate (PS3.5, A.5).
    #[error("the deflated data set cannot be inflated")]
    Deflate,
    /// Compressed pixels under a transfer syntax without compression, or the reverse (PS3.5, A.4).
    #[error("the pixels are not stored in the way that the transfer syntax names")]
    Encapsulation,
    /// Pixels of another length than rows, columns and bits make.
    #[error("PixelData (7FE0,0010) has not the length of the image")]
    PixelLength,
}

/// What a file may have only so many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Counted {
    /// Elements and items.
    #[error("elements")]
    Elements,
    /// Sequences in sequences.
    #[error("levels of sequences")]
    Levels,
    /// Pieces of the compressed pixels.
    #[error("fragments of pixels")]
    Fragments,
    /// Bytes after inflation.
    #[error("bytes, once inflated,")]
    Inflated,
    /// Parts inside the compressed image.
    #[error("parts in its compressed pixels")]
    CodestreamParts,
}
