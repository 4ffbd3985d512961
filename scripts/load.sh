#!/usr/bin/env bash
# Measures a whole system under load, prints a table, and never passes or fails. `--seconds N` is how long each load is put on (300 by
# default; a p99 needs some hundred requests); `--release` builds with the release profile first.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

profile=dev
seconds=300
while [ "$#" -gt 0 ]; do
    case "$1" in
        --release) profile=release ;;
        --seconds)
            [[ "${2:-}" =~ ^[1-9][0-9]{0,4}$ ]] || die "--seconds takes a number"
            seconds="$2"
            shift
            ;;
        *) die "there is no flag '$1': --seconds N, --release" ;;
    esac
    shift
done

say "build ($profile profile)"
cargo build --locked --workspace --all-targets --profile "$profile" >&2
bin="$(target_dir "$profile")"
work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-load.XXXXXX")"
trap 'rm -rf "$work"' EXIT
figures="$work/figures.jsonl"

say "a full-size network and a small one, with random weights, and a synthetic image for each"
"$bin/cloister" model demo --out "$work/package" --seed 1 --width 16 --window 2677x1942 >&2
"$bin/cloister" synthetic --view L-CC --seed 7 --width 2560 --height 3328 --out "$work/image.png" >&2
"$bin/cloister" model demo --out "$work/small" --seed 1 >&2
"$bin/cloister" synthetic --view L-CC --seed 7 --width 640 --height 832 --out "$work/small.png" >&2

say "the whole system: saturation beside crops without a server, in turn, and two rates, each of the four for $seconds s; then ten thousand requests of the small network"
"$bin/examples/bench_load" "$work/package" "$work/image.png" "$work/small" "$work/small.png" "$seconds" | tee -a "$figures" >&2

say "$(uname -m), $(nproc) processors, $profile profile; the load is made on the same machine"
python3 benches/load_table.py <"$figures"
