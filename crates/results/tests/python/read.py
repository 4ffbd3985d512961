"""Reads every DICOM file of a folder with pydicom and highdicom, and prints what they found as JSON."""

import json
import sys
from pathlib import Path

import highdicom
import numpy
import pydicom
from highdicom.sr import ContentSequence

pydicom.config.settings.reading_validation_mode = pydicom.config.RAISE

CODES = "ConceptNameCodeSequence", "ConceptCodeSequence", "MeasurementUnitsCodeSequence"


def word(sequence):
    """A code that pydicom's dictionary has, by its meaning; so that a wrong code fails."""
    code = pydicom.sr.coding.Code(sequence[0].CodeValue, sequence[0].CodingSchemeDesignator, sequence[0].CodeMeaning)
    if code.scheme_designator in ("DCM", "SCT", "LN"):
        dictionary = pydicom.sr._concepts_dict.concepts[code.scheme_designator]
        known = {value: text[0] for words in dictionary.values() for value, text in words.items()}
        names = {text[0].replace("\u200b", "") for words in dictionary.values() for value, text in words.items() if value == code.value}
        assert code.value in known, code
        assert code.meaning.lower() in {name.lower() for name in names}, (code, names)
    return f"{code.meaning} ({code.value}, {code.scheme_designator})"


def value(item):
    match item.ValueType:
        case "CODE":
            return word(item.ConceptCodeSequence)
        case "TEXT":
            return item.TextValue
        case "NUM":
            measured = item.MeasuredValueSequence[0]
            return f"{measured.NumericValue} {measured.MeasurementUnitsCodeSequence[0].CodeValue}"
        case "DATE":
            return str(item.Date)
        case "TIME":
            return str(item.Time)
        case "UIDREF":
            return item.UID
        case "IMAGE":
            return item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        case "CONTAINER":
            return ""


def walk(item, place, lines):
    relation = item.get("RelationshipType", "")
    if "ReferencedContentItemIdentifier" in item:
        to = item.ReferencedContentItemIdentifier
        to = ".".join(str(number) for number in to)
        lines.append(f"{place} {relation} -> {to}")
        return
    name = f"{word(item.ConceptNameCodeSequence)}" if "ConceptNameCodeSequence" in item else ""
    lines.append(" ".join(f"{place} {relation} {item.ValueType} {name}: {value(item)}".split(" ")))
    for at, below in enumerate(item.get("ContentSequence", []), 1):
        walk(below, f"{place}.{at}", lines)


def by_value(sequence):
    """The items that highdicom knows: those by value."""
    kept = [item for item in sequence if "ReferencedContentItemIdentifier" not in item]
    for item in kept:
        if "ContentSequence" in item:
            item.ContentSequence = pydicom.Sequence(by_value(item.ContentSequence))
    return kept


def count(items):
    return sum(1 + count(getattr(item, "ContentSequence", [])) for item in items)


def document(dataset):
    lines = []
    walk(dataset, "1", lines)
    evidence = [
        image.ReferencedSOPInstanceUID
        for study in dataset.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    ]
    items = ContentSequence.from_sequence(by_value(dataset.ContentSequence), is_sr=True)
    return {"tree": lines, "evidence": evidence, "highdicom": count(items)}


def image(path, dataset):
    pixels = dataset.pixel_array
    other = highdicom.imread(path).get_raw_frame(1)
    assert pixels.tobytes() == bytes(other)[: pixels.nbytes]
    source = dataset.SourceImageSequence[0]
    return {
        "shape": list(pixels.shape),
        "sum": [int(total) for total in pixels.sum(axis=(0, 1), dtype=numpy.int64)],
        "source": source.ReferencedSOPInstanceUID,
        "preserved": source.SpatialLocationsPreserved,
        "laterality": dataset.ImageLaterality,
        "view": word(dataset.ViewCodeSequence),
        "purpose": word(source.PurposeOfReferenceCodeSequence),
        "burned_in": dataset.get("BurnedInAnnotation", ""),
        "comments": dataset.ImageComments,
    }


def read(path):
    dataset = pydicom.dcmread(path)
    # Every value, decoded and validated.
    list(dataset.iterall())
    again = pydicom.filebase.DicomBytesIO()
    dataset.save_as(again, enforce_file_format=True)
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    found = document(dataset) if "ValueType" in dataset else image(path, dataset)
    attributes = "PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime AccessionNumber ReferringPhysicianName"
    found["attributes"] = {name: str(dataset[name].value) for name in attributes.split()}
    found["class"] = dataset.SOPClassUID.name
    return found


folder = Path(sys.argv[1])
print(json.dumps({path.name: read(path) for path in sorted(folder.glob("*.dcm"))}))
