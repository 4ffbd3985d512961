#!/usr/bin/env bash
# Runs tests of the crate that has unsafe code under Miri, one after another: its portable kernels, on random shapes and on several threads. No part of
# ./run.sh test, because it takes a nightly toolchain with Miri, and minutes for each test.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

cargo +nightly miri --version >&2 ||
    die "there is no Miri: rustup toolchain install nightly --component miri --component rust-src"
tests=(an_output a_narrow two_inputs what_was_scaled a_first_layer tiles_fit bits_do_not any_graph)
if [ "$#" -gt 0 ]; then
    tests=("$@")
fi
for test in "${tests[@]}"; do
    say "under Miri: $test"
    # Tree borrows, because crossbeam's lists keep these rules and not the older ones; rayon's threads live until the process ends.
    MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks" PROPTEST_CASES="${PROPTEST_CASES:-1}" \
        cargo +nightly miri test --locked --quiet --package cloister-conv --lib --target-dir target/miri -- --test-threads 1 "$test"
done
