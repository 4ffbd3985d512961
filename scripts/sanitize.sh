#!/usr/bin/env bash
# Runs the tests of the crate that has unsafe code under the address sanitizer: each kernel set that the machine has, on random shapes. Miri
# (scripts/miri.sh) sees more of the portable kernels.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

host="$(rustc -vV | sed -n 's/^host: //p')"
say "the convolutions under the address sanitizer"
# The sanitizer's runtime is part of every toolchain; its flag is not yet stable.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes -Cdebug-assertions=yes -Coverflow-checks=yes" PROPTEST_CASES="${PROPTEST_CASES:-48}" \
    cargo test --locked --quiet --package cloister-conv --lib --target "$host" --target-dir target/sanitizer
