#!/usr/bin/env bash
# Measures, prints a table, and never passes or fails. `--release` builds with the release profile first (minutes); without it the
# tests' build is measured, whose dependencies and pixel code are optimised too.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

profile=dev
if [ "${1:-}" = --release ]; then
    profile=release
fi
say "build ($profile profile)"
cargo build --locked --workspace --all-targets --profile "$profile" >&2
bin="$(target_dir "$profile")"
tools="$(python_tools bench onnxruntime==1.31.1 numpy==2.4.6)"
work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-bench.XXXXXX")"
trap 'rm -rf "$work"' EXIT
figures="$work/figures.jsonl"

say "a full-size network with random weights, and a synthetic image of 8.5 megapixels"
"$bin/cloister" model demo --out "$work/package" --seed 1 --width 16 --window 2677x1942 >&2
"$bin/cloister" synthetic --view L-CC --seed 7 --width 2560 --height 3328 --out "$work/image.png" >&2
network="$(find "$work/package" -name '*.onnx' | sort | head -n 1)"

say "before the network"
"$bin/examples/bench_prepare" --image "$work/image.png" --view L-CC | tee -a "$figures" >&2
say "the network, beside ONNX Runtime; five rounds in turn, because machines drift"
for _ in 1 2 3 4 5; do
    "$tools/bin/python" benches/onnx_runtime.py --network "$network" --repeat 3 | tee -a "$figures" >&2
    "$bin/examples/bench_model" --package "$work/package" --image "$work/image.png" --repeat 3 | tee -a "$figures" >&2
done
say "one attestation document"
"$bin/examples/bench_verify" | tee -a "$figures" >&2
say "the whole system"
"$bin/examples/bench_system" "$work/package" "$work/image.png" L-CC | tee -a "$figures" >&2

say "$(uname -m), $(nproc) processors, $profile profile, medians of what was measured, and of the rounds' ratios"
"$tools/bin/python" benches/table.py <"$figures"
