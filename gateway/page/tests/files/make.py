"""Makes one synthetic view in each encoding, as the four views of an exam: make.py FOLDER. Needs pydicom, pylibjpeg-openjpeg and GDCM
(crates/dicom/tests/python/requirements.txt); the files are kept, so that building the page needs no Python."""

import pathlib
import subprocess
import sys

import numpy
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

FOLDER = pathlib.Path(sys.argv[1])
GDCM = pathlib.Path(__file__).resolve().parents[4] / "crates/dicom/tests/python/gdcm_lossless.py"
ROWS, COLUMNS = 240, 180


def pixels():
    """Half an ellipse at the left edge, brighter towards the middle, in 12 bits."""
    y, x = numpy.mgrid[0:ROWS, 0:COLUMNS]
    inside = 1 - (x / (0.75 * COLUMNS)) ** 2 - ((y - ROWS / 2) / (0.42 * ROWS)) ** 2
    texture = 120 * numpy.sin(x / 5) * numpy.cos(y / 7)
    return numpy.where(inside > 0, 900 + 2400 * inside + texture, 0).astype("<u2")


def view(side, direction):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    meta.MediaStorageSOPInstanceUID = f"2.25.{ord(side)}{len(direction)}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PresentationIntentType = "MG", "FOR PRESENTATION"
    data.PatientName, data.PatientID = "Synthetic^Person", "SYN-1"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.1", "2.25.2"
    data.ImageLaterality, data.ViewPosition = side, direction
    data.PatientOrientation = ["A", "F" if direction == "MLO" else "R"] if side == "L" else ["P", "F" if direction == "MLO" else "L"]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = ROWS, COLUMNS
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    grey = pixels()
    data.PixelData = (grey if side == "L" else grey[:, ::-1]).tobytes()
    return data


plain = view("R", "CC")
plain.save_as(FOLDER / "plain.dcm", enforce_file_format=True)
rle = view("L", "CC")
rle.compress(RLELossless)
rle.save_as(FOLDER / "rle.dcm", enforce_file_format=True)
lossless = FOLDER / "jpeg-lossless.dcm"
view("R", "MLO").save_as(lossless, enforce_file_format=True)
subprocess.run([sys.executable, GDCM, lossless, lossless], check=True)
wavelets = view("L", "MLO")
wavelets.compress(JPEG2000Lossless)
wavelets.save_as(FOLDER / "jpeg-2000.dcm", enforce_file_format=True)
