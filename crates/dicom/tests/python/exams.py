"""Prints the digest of every file's pixels (rows of little-endian 16-bit numbers) as pydicom reads them: exams.py FOLDER."""

import hashlib
import json
import sys
from pathlib import Path

sys.modules["gdcm"] = None

import pydicom

folder = Path(sys.argv[1])
digests = {
    str(path.relative_to(folder)): hashlib.sha256(pydicom.dcmread(path).pixel_array.astype("<u2").tobytes()).hexdigest()
    for path in folder.glob("*/*.dcm")
}
print(json.dumps(digests))
