#!/usr/bin/env python3
"""moved.py BEFORE AFTER: which measurements moved between two measurements.json, and which section of the image moved them."""

import json
import sys

PARTS = {
    "PCR0": "the whole image",
    "PCR1": "kernel, command line, program",
    "PCR2": "configuration",
}


def sections(said):
    return {f"{place + 1} ({part['Kind']})": part["Sha384"] for place, part in enumerate(said["Sections"])}


def main(before, after):
    with open(before) as file:
        before = json.load(file)
    with open(after) as file:
        after = json.load(file)
    moved = [pcr for pcr in PARTS if before["Measurements"].get(pcr) != after["Measurements"][pcr]]
    if not moved:
        print("measurements: those of the committed release")
        return
    print("MEASUREMENTS MOVED against the committed release; a policy or a key that pins it takes another image than this:")
    for pcr in moved:
        print(f"  {pcr} ({PARTS[pcr]})")
        print(f"    was {before['Measurements'].get(pcr)}")
        print(f"    is  {after['Measurements'][pcr]}")
    was, now = sections(before), sections(after)
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            print(f"  section {name} differs")


if __name__ == "__main__":
    main(*sys.argv[1:])
