"""Writes an image of a detector's full size in each compressed form: large.py FOLDER."""

import sys
from pathlib import Path

sys.modules["gdcm"] = None

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, RLELossless

import ljpeg
from dataset import base

folder = Path(sys.argv[1])
rows, columns = np.mgrid[:3328, :2560]
values = ((rows * columns) % 4093 // 8 + rows // 2).astype(np.uint16)
for name, syntax in (("rle", RLELossless), ("j2k", JPEG2000Lossless), ("ljpeg", JPEGLosslessSV1)):
    file = base(values, 12)
    if name == "ljpeg":
        file.PixelData = encapsulate([ljpeg.encode(values, 12, 1)])
        file.file_meta.TransferSyntaxUID = syntax
    else:
        file.compress(syntax, generate_instance_uid=False)
    pydicom.dcmwrite(folder / name, file, enforce_file_format=True)
