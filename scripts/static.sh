#!/usr/bin/env bash
# Builds programs of the workspace as static files of the release profile, with none of this machine's paths in them: the same sources give the same
# bytes, wherever and by whomever they are built (docs/reproduce.md). Arguments go to cargo; they land in target/x86_64-unknown-linux-musl/release.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

triple=x86_64-unknown-linux-musl
debian_packages gcc libc6-dev musl-tools
if [ ! -d "$(rustc --print target-libdir --target "$triple")" ]; then
    rustup target add "$triple" >&2
fi

# The places of panics and assertions name source files.
checkout="$(pwd -P)"
cargo_home="$(cd "${CARGO_HOME:-$HOME/.cargo}" && pwd -P)"
rust_sources="$(rustc --print sysroot)/lib/rustlib/src/rust"
separator=$'\x1f'
CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$checkout=/cloister$separator--remap-path-prefix=$cargo_home=/cargo$separator--remap-path-prefix=$rust_sources=/rust"
CFLAGS_x86_64_unknown_linux_musl="-ffile-prefix-map=$checkout=/cloister -ffile-prefix-map=$cargo_home=/cargo"
export CARGO_ENCODED_RUSTFLAGS CFLAGS_x86_64_unknown_linux_musl CC_x86_64_unknown_linux_musl=musl-gcc
export SOURCE_DATE_EPOCH=0 LC_ALL=C TZ=UTC
unset RUSTFLAGS CFLAGS CPPFLAGS RUSTC_WRAPPER "${!CARGO_PROFILE_RELEASE_@}"

cargo build --release --locked --target "$triple" "$@" >&2
