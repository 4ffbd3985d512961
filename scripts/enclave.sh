#!/usr/bin/env bash
# Builds the program of an image, cloister-enclave as one static file, and prints its path. The same sources give the same bytes, wherever and
# by whomever they are built: see docs/reproduce.md. Arguments go to cargo.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

triple=x86_64-unknown-linux-musl
debian_packages gcc musl-tools
if [ ! -d "$(rustc --print target-libdir --target "$triple")" ]; then
    rustup target add "$triple" >&2
fi

# Paths of this machine stand in panics' and in assertions' locations, unless they are given other names.
checkout="$(pwd -P)"
cargo_home="$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)"
sources="$(rustc --print sysroot)/lib/rustlib/src/rust"
separator=$'\x1f'
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$checkout=/cloister$separator--remap-path-prefix=$cargo_home=/cargo$separator--remap-path-prefix=$sources=/rust"
CFLAGS_x86_64_unknown_linux_musl="-ffile-prefix-map=$checkout=/cloister -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_ENCODED_RUSTFLAGS CFLAGS_x86_64_unknown_linux_musl CC_x86_64_unknown_linux_musl=musl-gcc
export SOURCE_DATE_EPOCH=0 LC_ALL=C TZ=UTC
unset RUSTFLAGS CFLAGS CPPFLAGS

cargo build --release --locked --package cloister-enclave --bin cloister-enclave --target "$triple" "$@" >&2
printf '%s\n' "${CARGO_TARGET_DIR:-target}/$triple/release/cloister-enclave"
