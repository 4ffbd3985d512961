"""The attributes of a mammogram for presentation."""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"


def code(value, scheme):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "a meaning that nobody reads"
    return item


def base(values, bits, allocated=None):
    allocated = allocated or (8 if bits == 8 else 16)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MAMMOGRAPHY, "1.2.826.0.1.3680043.8.498.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = Dataset()
    file.file_meta = meta
    file.SOPClassUID, file.SOPInstanceUID = MAMMOGRAPHY, meta.MediaStorageSOPInstanceUID
    file.StudyInstanceUID, file.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    file.SpecificCharacterSet = "ISO_IR 192"
    file.PatientName, file.PatientID = "Sekret^Pätientin", "SEKRET-4711"
    file.Modality, file.PresentationIntentType = "MG", "FOR PRESENTATION"
    file.ImageLaterality, file.ViewPosition = "L", "CC"
    file.ViewCodeSequence = Sequence([code("399162004", "SCT")])
    file.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    file.BreastImplantPresent, file.PartialView, file.BurnedInAnnotation = "NO", "NO", "NO"
    file.ImagerPixelSpacing = ["0.07", "0.075"]
    file.Rows, file.Columns = values.shape
    file.SamplesPerPixel, file.PhotometricInterpretation, file.PresentationLUTShape = 1, "MONOCHROME2", "IDENTITY"
    file.BitsAllocated, file.BitsStored, file.HighBit = allocated, bits, bits - 1
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.RescaleIntercept, file.RescaleSlope = "0", "1"
    data = values.astype(f"<{values.dtype.kind}{allocated // 8}").tobytes()
    file.add_new(0x7FE00010, "OB" if allocated == 8 else "OW", data + b"\0" * (len(data) % 2))
    return file
