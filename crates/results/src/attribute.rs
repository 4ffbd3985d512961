//! The attributes that are written: keyword, tag and value representation (PS3.6, sections 6 and 7).

use crate::value::Vr;

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    pub(crate) keyword: &'static str,
    pub(crate) tag: u32,
    pub(crate) vr: Vr,
}

macro_rules! attributes {
    ($($name:ident, $keyword:literal, $tag:literal, $vr:ident;)*) => {
        impl Attribute {
            $(pub(crate) const $name: Self = Self { keyword: $keyword, tag: $tag, vr: Vr::$vr };)*
        }
    };
}

attributes! {
    META_LENGTH, "FileMetaInformationGroupLength", 0x0002_0000, Ul;
    META_VERSION, "FileMetaInformationVersion", 0x0002_0001, Ob;
    MEDIA_SOP_CLASS, "MediaStorageSOPClassUID", 0x0002_0002, Ui;
    MEDIA_SOP_INSTANCE, "MediaStorageSOPInstanceUID", 0x0002_0003, Ui;
    TRANSFER_SYNTAX, "TransferSyntaxUID", 0x0002_0010, Ui;
    IMPLEMENTATION_CLASS, "ImplementationClassUID", 0x0002_0012, Ui;
    IMPLEMENTATION_VERSION, "ImplementationVersionName", 0x0002_0013, Sh;
    CHARACTER_SET, "SpecificCharacterSet", 0x0008_0005, Cs;
    IMAGE_TYPE, "ImageType", 0x0008_0008, Cs;
    CREATION_DATE, "InstanceCreationDate", 0x0008_0012, Da;
    CREATION_TIME, "InstanceCreationTime", 0x0008_0013, Tm;
    SOP_CLASS, "SOPClassUID", 0x0008_0016, Ui;
    SOP_INSTANCE, "SOPInstanceUID", 0x0008_0018, Ui;
    STUDY_DATE, "StudyDate", 0x0008_0020, Da;
    CONTENT_DATE, "ContentDate", 0x0008_0023, Da;
    STUDY_TIME, "StudyTime", 0x0008_0030, Tm;
    CONTENT_TIME, "ContentTime", 0x0008_0033, Tm;
    ACCESSION_NUMBER, "AccessionNumber", 0x0008_0050, Sh;
    MODALITY, "Modality", 0x0008_0060, Cs;
    CONVERSION_TYPE, "ConversionType", 0x0008_0064, Cs;
    MANUFACTURER, "Manufacturer", 0x0008_0070, Lo;
    REFERRING_PHYSICIAN, "ReferringPhysicianName", 0x0008_0090, Pn;
    CODE_VALUE, "CodeValue", 0x0008_0100, Sh;
    CODING_SCHEME, "CodingSchemeDesignator", 0x0008_0102, Sh;
    CODE_MEANING, "CodeMeaning", 0x0008_0104, Lo;
    MAPPING_RESOURCE, "MappingResource", 0x0008_0105, Cs;
    SERIES_DESCRIPTION, "SeriesDescription", 0x0008_103E, Lo;
    MODEL_NAME, "ManufacturerModelName", 0x0008_1090, Lo;
    PERFORMED_STEP, "ReferencedPerformedProcedureStepSequence", 0x0008_1111, Sq;
    REFERENCED_SERIES, "ReferencedSeriesSequence", 0x0008_1115, Sq;
    REFERENCED_SOP_CLASS, "ReferencedSOPClassUID", 0x0008_1150, Ui;
    REFERENCED_SOP_INSTANCE, "ReferencedSOPInstanceUID", 0x0008_1155, Ui;
    REFERENCED_SOP, "ReferencedSOPSequence", 0x0008_1199, Sq;
    DERIVATION_DESCRIPTION, "DerivationDescription", 0x0008_2111, St;
    SOURCE_IMAGE, "SourceImageSequence", 0x0008_2112, Sq;
    PATIENT_NAME, "PatientName", 0x0010_0010, Pn;
    PATIENT_ID, "PatientID", 0x0010_0020, Lo;
    BIRTH_DATE, "PatientBirthDate", 0x0010_0030, Da;
    SEX, "PatientSex", 0x0010_0040, Cs;
    BODY_PART, "BodyPartExamined", 0x0018_0015, Cs;
    SERIAL_NUMBER, "DeviceSerialNumber", 0x0018_1000, Lo;
    SOFTWARE_VERSIONS, "SoftwareVersions", 0x0018_1020, Lo;
    STUDY_INSTANCE, "StudyInstanceUID", 0x0020_000D, Ui;
    SERIES_INSTANCE, "SeriesInstanceUID", 0x0020_000E, Ui;
    STUDY_ID, "StudyID", 0x0020_0010, Sh;
    SERIES_NUMBER, "SeriesNumber", 0x0020_0011, Is;
    INSTANCE_NUMBER, "InstanceNumber", 0x0020_0013, Is;
    PATIENT_ORIENTATION, "PatientOrientation", 0x0020_0020, Cs;
    IMAGE_LATERALITY, "ImageLaterality", 0x0020_0062, Cs;
    IMAGE_COMMENTS, "ImageComments", 0x0020_4000, Lt;
    SAMPLES_PER_PIXEL, "SamplesPerPixel", 0x0028_0002, Us;
    PHOTOMETRIC, "PhotometricInterpretation", 0x0028_0004, Cs;
    PLANAR_CONFIGURATION, "PlanarConfiguration", 0x0028_0006, Us;
    ROWS, "Rows", 0x0028_0010, Us;
    COLUMNS, "Columns", 0x0028_0011, Us;
    BITS_ALLOCATED, "BitsAllocated", 0x0028_0100, Us;
    BITS_STORED, "BitsStored", 0x0028_0101, Us;
    HIGH_BIT, "HighBit", 0x0028_0102, Us;
    PIXEL_REPRESENTATION, "PixelRepresentation", 0x0028_0103, Us;
    BURNED_IN, "BurnedInAnnotation", 0x0028_0301, Cs;
    LOCATIONS_PRESERVED, "SpatialLocationsPreserved", 0x0028_135A, Cs;
    LOSSY, "LossyImageCompression", 0x0028_2110, Cs;
    UNITS, "MeasurementUnitsCodeSequence", 0x0040_08EA, Sq;
    RELATIONSHIP, "RelationshipType", 0x0040_A010, Cs;
    VALUE_TYPE, "ValueType", 0x0040_A040, Cs;
    CONCEPT_NAME, "ConceptNameCodeSequence", 0x0040_A043, Sq;
    CONTINUITY, "ContinuityOfContent", 0x0040_A050, Cs;
    DATE, "Date", 0x0040_A121, Da;
    TIME, "Time", 0x0040_A122, Tm;
    UID, "UID", 0x0040_A124, Ui;
    TEXT_VALUE, "TextValue", 0x0040_A160, Ut;
    CONCEPT_CODE, "ConceptCodeSequence", 0x0040_A168, Sq;
    PURPOSE, "PurposeOfReferenceCodeSequence", 0x0040_A170, Sq;
    MEASURED_VALUE, "MeasuredValueSequence", 0x0040_A300, Sq;
    NUMERIC_VALUE, "NumericValue", 0x0040_A30A, Ds;
    PERFORMED_PROCEDURE, "PerformedProcedureCodeSequence", 0x0040_A372, Sq;
    EVIDENCE, "CurrentRequestedProcedureEvidenceSequence", 0x0040_A375, Sq;
    COMPLETION, "CompletionFlag", 0x0040_A491, Cs;
    VERIFICATION, "VerificationFlag", 0x0040_A493, Cs;
    TEMPLATE, "ContentTemplateSequence", 0x0040_A504, Sq;
    CONTENT, "ContentSequence", 0x0040_A730, Sq;
    CONTENT_ITEM, "ReferencedContentItemIdentifier", 0x0040_DB73, Ul;
    TEMPLATE_IDENTIFIER, "TemplateIdentifier", 0x0040_DB00, Cs;
    VIEW_CODE, "ViewCodeSequence", 0x0054_0220, Sq;
    PIXEL_DATA, "PixelData", 0x7FE0_0010, Ob;
}
