"""Makes JPEG lossless of a file, with GDCM: gdcm_lossless.py FROM TO. On its own, because GDCM brings a zlib that breaks Python's."""

import sys

import gdcm

reader = gdcm.ImageReader()
reader.SetFileName(sys.argv[1])
assert reader.Read()
change = gdcm.ImageChangeTransferSyntax()
change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
change.SetInput(reader.GetImage())
assert change.Change()
writer = gdcm.ImageWriter()
writer.SetFile(reader.GetFile())
writer.SetImage(change.GetOutput())
writer.SetFileName(sys.argv[2])
assert writer.Write()
