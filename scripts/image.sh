#!/usr/bin/env bash
# Builds the enclave's image into dist/, and says whether it measures as the committed release does. The same sources and configuration give the
# same bytes. `--config TOML` takes a configuration of one's own, `--kernel BZIMAGE` a kernel, such as nitro-cli's; what follows `--` goes to
# `cloister eif build`, such as the signing flags. `--programs` builds parent, proxy and command line for the container as well; `--cloister FILE` is a command line that is there already.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

config=image/enclave.toml
kernel=
programs=
cloister=
while [ "$#" -gt 0 ]; do
    case "$1" in
        --config) config="${2:?--config needs a file}" && shift 2 ;;
        --kernel) kernel="${2:?--kernel needs a file}" && shift 2 ;;
        --cloister) cloister="${2:?--cloister needs a file}" && shift 2 ;;
        --programs) programs=yes && shift ;;
        --) shift && break ;;
        *) die "there is no flag '$1': see docs/reproduce.md" ;;
    esac
done

debian_packages python3

dist="${CLOISTER_DIST:-dist}"
mkdir -p "$dist"
[ -n "$kernel" ] || kernel="$(scripts/kernel.sh)"
say "the enclave's program, as one static file"
init="$dist/cloister-enclave"
cp "$(scripts/enclave.sh)" "$init"
scripts/without-tests.sh "$init"
say "the image"
if [ -z "$cloister" ]; then
    cargo build --locked --workspace --bin cloister >&2
    cloister="$(target_dir dev)/cloister"
fi
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)"
"$cloister" eif build --kernel "$kernel" --cmdline "$(cat image/cmdline)" --init "$init" --config "$config" --name cloister --version "$version" \
    --build-time 1970-01-01T00:00:00Z --out "$dist/cloister.eif" --measurements "$dist/measurements.json" "$@"

if [ -n "$programs" ]; then
    # The command line has the gateway in it, and the gateway its page.
    scripts/page.sh build
    say "parent, proxy and command line"
    mkdir -p "$dist/bin"
    scripts/static.sh --package cloister-parent --package cloister-proxy --package cloister-cli
    cp "$(target_dir x86_64-unknown-linux-musl/release)"/{cloister-parent,cloister-proxy,cloister} "$dist/bin/"
fi
scripts/moved.py image/measurements.json "$dist/measurements.json"
