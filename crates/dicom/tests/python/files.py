"""Writes DICOM files and what must be read from them: files.py FOLDER.

index.json lists the cases: a file, and either its view and its greys (rows of little-endian 16-bit numbers, in a file beside it), or the
refusal. Greys come from pydicom's pixel_array and a mapping in numpy; nothing here is taken from the reader under test.
"""

import json
import subprocess
import sys
from pathlib import Path

# pydicom would take GDCM where it finds it; see gdcm_lossless.py.
sys.modules["gdcm"] = None

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

import ljpeg
from dataset import base, code

FOLDER = Path(sys.argv[1])
CASES = []


def image(bits, signed=False, shape=(130, 91)):
    """A bright half-disc on the left, textured, over a background of the lowest value; all values of the range appear somewhere."""
    random = np.random.default_rng(bits)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    inside = (rows - shape[0] / 2) ** 2 + columns**2 < (shape[1] * 0.7) ** 2
    values = random.integers(0, 2**bits, shape) // 8 + (2**bits * 3 // 4) * (1 - columns / shape[1])
    values = np.where(inside, np.clip(values, 1, 2**bits - 1), 0).astype(np.int64)
    values[0, :3] = [2**bits - 1, 1, 2 ** (bits - 1)]
    return (values - 2 ** (bits - 1)).astype(np.int16) if signed else values.astype(np.uint16)


def greys(file):
    """What the pipeline is to see."""
    values = file.pixel_array.astype(np.int64)
    padding = np.zeros(values.shape, bool)
    if "PixelPaddingValue" in file:
        ends = [file.PixelPaddingValue, file.get("PixelPaddingRangeLimit", file.PixelPaddingValue)]
        padding = (values >= min(ends)) & (values <= max(ends))
    if file.PhotometricInterpretation == "MONOCHROME1":
        values = 2 ** (file.BitsStored - file.PixelRepresentation) - 1 - values
    elif file.PixelRepresentation == 1:
        values = values - min(0, values[~padding].min())
    return np.where(padding, 0, values)


def write(name, file, syntax=None, **case):
    file.file_meta.TransferSyntaxUID = syntax or file.file_meta.TransferSyntaxUID
    path = FOLDER / f"{name}.dcm"
    pydicom.dcmwrite(path, file, enforce_file_format=True)
    CASES.append({"file": path.name} | case)


def read(name, file, view="L-CC", tolerance=0, findings=(), original=None, **how):
    write(name, file, view=view, tolerance=tolerance, findings=list(findings), **how)
    back = pydicom.dcmread(FOLDER / f"{name}.dcm")
    if original is not None:
        assert np.array_equal(back.pixel_array, original), f"{name}: pydicom reads other pixels than were written"
    expected = greys(back)
    assert expected.min() >= 0 and expected.max() < 65536
    expected.astype("<u2").tofile(FOLDER / f"{name}.raw")


def refused(name, file, refusal, **how):
    write(name, file, refusal=refusal, **how)


def gdcm_lossless(name, file):
    """Lets GDCM make JPEG lossless of a file, which it writes as it sees fit."""
    before, after = FOLDER / "native.tmp", FOLDER / f"{name}.tmp"
    pydicom.dcmwrite(before, file, enforce_file_format=True)
    subprocess.run([sys.executable, Path(__file__).with_name("gdcm_lossless.py"), before, after], check=True)
    return pydicom.dcmread(after)


def transfer_syntaxes():
    for bits in (8, 10, 12, 14, 16):
        values = image(bits)
        for name, syntax in (("explicit", ExplicitVRLittleEndian), ("implicit", ImplicitVRLittleEndian), ("deflated", DeflatedExplicitVRLittleEndian)):
            read(f"{name}-{bits}", base(values, bits), syntax=syntax, original=values)
        for name, syntax in (("rle", RLELossless), ("j2k", JPEG2000Lossless)):
            file = base(values, bits)
            file.compress(syntax, generate_instance_uid=False)
            read(f"{name}-{bits}", file, original=values)
        file = base(values, bits)
        file.compress(JPEG2000, j2k_cr=[8], generate_instance_uid=False)
        file.LossyImageCompression = "01"
        # The wavelet is of real numbers, and two decoders round differently.
        read(f"j2k-lossy-{bits}", file, tolerance=2 if bits == 16 else 1, findings=["LossyCompression"])
        read(f"gdcm-lossless-{bits}", gdcm_lossless(f"gdcm-lossless-{bits}", base(values, bits)), original=values)
        for predictor in range(1, 8):
            file = base(values, bits)
            file.PixelData = encapsulate([ljpeg.encode(values, bits, predictor)])
            syntax = JPEGLosslessSV1 if predictor == 1 else JPEGLossless
            read(f"ljpeg-{bits}-{predictor}", file, syntax=syntax, original=values)
    # Restarts, where the reader of dicom-rs goes wrong; pixels in many fragments; a cell with more bits than are stored.
    values = image(12)
    for predictor in (1, 4, 7):
        file = base(values, 12)
        file.PixelData = encapsulate([ljpeg.encode(values, 12, predictor, restart_rows=3)])
        read(f"ljpeg-restart-{predictor}", file, syntax=JPEGLossless, original=values)
    file = base(values, 12)
    file.PixelData = encapsulate([ljpeg.encode(values, 16, 1)], fragments_per_frame=7)
    read("ljpeg-fragments-wide", file, syntax=JPEGLossless, original=values)
    big = image(12, shape=(700, 517))
    file = base(big, 12)
    file.compress(JPEG2000Lossless, generate_instance_uid=False)
    read("j2k-large", file, original=big)


def numbers():
    for bits in (8, 12, 16):
        for signed in (False, True):
            values = image(bits, signed)
            kind = "signed" if signed else "unsigned"
            for photometric, shape in (("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")):
                file = base(values, bits)
                file.PhotometricInterpretation, file.PresentationLUTShape = photometric, shape
                read(f"{kind}-{bits}-{photometric}", file, original=values)
                file.compress(RLELossless, generate_instance_uid=False)
                read(f"{kind}-{bits}-{photometric}-rle", file, original=values)
                vr = "SS" if signed else "US"
                file.add_new("PixelPaddingValue", vr, int(values.min()))
                read(f"{kind}-{bits}-{photometric}-padding", file)
                file.add_new("PixelPaddingRangeLimit", vr, int(values.min()) + 2 ** (bits - 2))
                read(f"{kind}-{bits}-{photometric}-range", file)
    values = image(12, signed=True) // 2 + 1024
    read("signed-without-negatives", base(values.astype(np.int16), 12))
    values = image(12, signed=True)
    file = base(values, 12)
    file.compress(JPEG2000Lossless, generate_instance_uid=False)
    read("signed-j2k", file, original=values)
    read("signed-gdcm-lossless", gdcm_lossless("signed-gdcm-lossless", base(values, 12)), original=values)
    read("eight-in-sixteen", base(image(8), 8, allocated=16), original=image(8))
    file = base(image(12), 12)
    file.RescaleIntercept, file.RescaleSlope = "-100", "2.5"
    file.WindowCenter, file.WindowWidth = "1000", "10"
    read("rescale", file)
    # The cells' high bits are not pixels.
    file = base(image(12) | 0x5000, 12)
    write("overlay-bits", file, view="L-CC", tolerance=0, findings=[])
    image(12).astype("<u2").tofile(FOLDER / "overlay-bits.raw")


def views():
    inverse = {sct: srt for srt, sct in mapping["SRT"].items()}
    standard = {"CranioCaudal": "CC", "MedioLateralObliqueProjection": "MLO"}

    def all_codes(cid):
        for keyword in cid_concepts[cid]["SCT"]:
            sct = next(iter(concepts["SCT"][keyword]))
            yield keyword, sct, "SCT"
            yield keyword, inverse[sct], "SRT"

    for keyword, value, scheme in all_codes(4014):
        for side in "LR":
            file = base(image(8), 8)
            file.ImageLaterality = side
            del file.ViewPosition
            file.ViewCodeSequence = Sequence([code(value, scheme)])
            file.ViewCodeSequence.is_undefined_length = side == "L"
            name = f"view-{side}-{value}"
            if keyword in standard:
                read(name, file, view=f"{side}-{standard[keyword]}")
            else:
                refused(name, file, "OtherView(")
    for keyword, value, scheme in all_codes(4015):
        file = base(image(8), 8)
        file.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([code(value, scheme)])
        refused(f"modifier-{value}", file, f"ModifiedView({keyword})")
    for position, side, view in (("CC", "R", "R-CC"), ("MLO", "L", "L-MLO"), ("MLO ", "R", "R-MLO")):
        file = base(image(8), 8)
        del file.ViewCodeSequence
        del file.ImageLaterality
        file.ViewPosition, file.Laterality = position, side
        read(f"position-{view}", file, view=view)
    file = base(image(8), 8)
    del file.ImageLaterality
    shared, anatomy = Dataset(), Dataset()
    anatomy.FrameLaterality = "R"
    shared.FrameAnatomySequence = Sequence([anatomy])
    file.SharedFunctionalGroupsSequence = Sequence([shared])
    read("frame-laterality", file, view="R-CC")
    file = base(image(8), 8)
    del file.ViewCodeSequence, file.ViewPosition
    file.PatientOrientation = "MLO"
    read("orientation", file, view="L-MLO", findings=["ViewInPatientOrientation"])


def change(name, refusal, **attributes):
    file = base(image(8), 8)
    for keyword, value in attributes.items():
        if value is None:
            delattr(file, keyword)
        else:
            setattr(file, keyword, value)
    if "SOPClassUID" in attributes:
        file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID
    refused(name, file, refusal)


def refusals():
    storage = "1.2.840.10008.5.1.4.1.1."
    change("for-processing", "ForProcessing", SOPClassUID=storage + "1.2.1", PresentationIntentType="FOR PROCESSING")
    change("for-processing-class", "SopClass(\"a mammogram for processing\")", SOPClassUID=storage + "1.2.1", PresentationIntentType=None)
    change("for-processing-intent", "ForProcessing", PresentationIntentType="FOR PROCESSING")
    change("tomosynthesis", "SopClass(\"tomosynthesis\")", SOPClassUID=storage + "13.1.3")
    change("secondary-capture-frames", "SopClass(\"several frames", SOPClassUID=storage + "7.2")
    change("document", "SopClass(\"an encapsulated document\")", SOPClassUID=storage + "104.1")
    change("ct", "SopClass(\"another kind of object\")", SOPClassUID=storage + "2")
    change("modality", "Modality", Modality="DX")
    change("no-modality", "Modality", Modality=None)
    change("implant", "Implant", BreastImplantPresent="YES")
    change("partial", "PartialView", PartialView="YES")
    change("magnified", "Magnified", EstimatedRadiographicMagnificationFactor="1.8")
    change("modifier-of-nobody", "ModifiedView(Other)", ViewModifierCodeSequence=Sequence([code("1234", "99X")]))
    change("frames", "Frames", NumberOfFrames=2)
    change("colour", "Colour", SamplesPerPixel=3)
    change("palette", "Colour", PhotometricInterpretation="PALETTE COLOR", PresentationLUTShape=None)
    change("no-view", "NoView", ViewCodeSequence=None, ViewPosition=None)
    change("unknown-view", "OtherView(", ViewCodeSequence=Sequence([code("1", "99X")]))
    change("two-views", "Value(ViewCodeSequence", ViewCodeSequence=Sequence([code("399162004", "SCT")] * 2))
    change("views-differ", "Contradiction(ViewCodeSequence", ViewPosition="MLO")
    change("no-side", "NoLaterality", ImageLaterality=None)
    change("both-sides", "NoLaterality", ImageLaterality="B")
    change("sides-differ", "Contradiction(ImageLaterality", Laterality="R")
    change("lut-shape", "Contradiction(PhotometricInterpretation", PresentationLUTShape="INVERSE")
    change("negative-slope", "Greys(RescaleSlope", RescaleSlope="-1")
    change("slope-of-nothing", "Greys(RescaleSlope", RescaleSlope="0")
    change("modality-lut", "Greys(ModalityLUTSequence", ModalityLUTSequence=Sequence([Dataset()]))
    change("no-study", "Missing(StudyInstanceUID", StudyInstanceUID=None)
    change("no-rows", "Missing(Rows", Rows=None)
    change("zero-rows", "Size", Rows=0)
    change("enormous", "Size", Rows=65535, Columns=65535)
    change("long", "Size", Rows=65535, Columns=1)
    for stored in (0, 1, 7, 9, 17, 33):
        change(f"stored-{stored}", "Bits", BitsStored=stored, HighBit=max(stored - 1, 0))
    change("high-bit", "Bits", HighBit=6)
    for allocated in (0, 1, 12, 24, 32):
        change(f"allocated-{allocated}", "Bits", BitsAllocated=allocated)
    change("too-few-pixels", "Damaged(PixelLength)", Rows=131)
    change("no-pixels", "Missing(PixelData", PixelData=None)
    refused("big-endian", base(image(8), 8), "TransferSyntax(\"explicit VR big endian\")", syntax=ExplicitVRBigEndian)
    for name, syntax, said in (("baseline", JPEGBaseline8Bit, "JPEG baseline"), ("jpegls", JPEGLSLossless, "JPEG-LS")):
        file = base(image(8), 8)
        file.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
        refused(name, file, f'TransferSyntax("{said}")', syntax=syntax)


def accepted():
    file = base(image(12), 12)
    file.BurnedInAnnotation = "YES"
    read("burned-in", file, findings=["BurnedInAnnotation"])
    file = base(image(12), 12)
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    del file.PresentationIntentType
    read("secondary-capture", file, findings=["SecondaryCapture"])
    # What surrounds the attributes that count: private sequences, an icon with pixels of its own, deep but finite nesting.
    for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        file = base(image(12), 12)
        icon = Dataset()
        icon.Rows = icon.Columns = 4
        icon.BitsAllocated = 8
        icon.PixelData = b"\0" * 16
        icon.is_undefined_length_sequence_item = True
        file.IconImageSequence = Sequence([icon])
        file.IconImageSequence.is_undefined_length = True
        nested = Dataset()
        nested.ViewPosition = "MLO"
        for _ in range(20):
            outer = Dataset()
            outer.is_undefined_length_sequence_item = True
            outer.ReferencedImageSequence = Sequence([nested])
            outer.ReferencedImageSequence.is_undefined_length = True
            nested = outer
        file.update(nested)
        block = file.private_block(0x11, "SOMEBODY", create=True)
        block.add_new(1, "SQ", Sequence([code("399368009", "SCT")]))
        read(f"surroundings-{'implicit' if syntax == ImplicitVRLittleEndian else 'explicit'}", file, syntax=syntax)


transfer_syntaxes()
numbers()
views()
refusals()
accepted()
(FOLDER / "index.json").write_text(json.dumps(CASES, indent=1))
