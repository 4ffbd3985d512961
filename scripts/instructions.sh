#!/usr/bin/env bash
# Counts the instructions of one small network under callgrind and compares them with benches/instructions.txt, so that a slow-down is seen on
# any machine, however busy it is. `--update` writes the file anew. Valgrind's processor has AVX2 and no AVX-512: it is those kernels that are
# counted.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

kept=benches/instructions.txt
# How far a count may be from the one that is kept, in thousandths: another build of the C library moves it by less.
allowed=10

if [ "$(uname -m)" != x86_64 ]; then
    say "NOT RUN: the instructions that are kept are those of x86_64"
    exit 0
fi
debian_packages valgrind
bench="$(target_dir dev)/examples/bench_conv"
said="$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='bench_conv::counted' "$bench" count 2>&1)"
grep -q '"kernels":"avx2"' <<<"$said" || { echo "$said" >&2; exit 1; }
counted="$(sed -n 's/.*Collected : //p' <<<"$said")"
if [ "${1:-}" = --update ]; then
    echo "$counted" >"$kept"
fi
before="$(cat "$kept")"
say "instructions of a small network: $counted; kept: $before"
if [ $((counted * 1000)) -gt $((before * (1000 + allowed))) ]; then
    echo "That is more than before. If it has to be: ./run.sh instructions --update" >&2
    exit 1
fi
if [ $((counted * 1000)) -lt $((before * (1000 - allowed))) ]; then
    echo "That is less than before: keep it by ./run.sh instructions --update" >&2
    exit 1
fi
