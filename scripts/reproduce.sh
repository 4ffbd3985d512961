#!/usr/bin/env bash
# Builds the image twice and compares the bytes: here, and again in another folder, later, by another user with another home, from an empty target
# folder and with a kernel compiled anew.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

build_all >&2
cloister="$(realpath "$(target_dir dev)/cloister")"
scripts/image.sh --cloister "$cloister"
ours="$(realpath "${CLOISTER_DIST:-dist}")/cloister.eif"

# Paths of another length, so that none can hide in padding.
work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-elsewhere.XXXXXXXXXX")"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/checkout" "$work/home" "$work/cache/kernel" "$work/cargo/registry"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory "$work/checkout"
cp "$CLOISTER_CACHE"/kernel/source-* "$work/cache/kernel/"
home="${CARGO_HOME:-$HOME/.cargo}"
cp -r "$home/registry/index" "$home/registry/cache" "$work/cargo/registry/"

as_another=()
if [ "$(id -u)" -eq 0 ]; then
    chown -R 12345:12345 "$work"
    chmod 0755 "$work"
    # It reads the toolchain, wherever root keeps it.
    as_another=(setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps +dac_override --ambient-caps +dac_override)
else
    say "NOT DONE: a second user, which takes root; both builds are by $(id -un)"
fi
say "the image again, elsewhere"
(
    cd "$work/checkout"
    umask 0077
    # Git knows the folder as nobody's, and cargo asks nobody.
    "${as_another[@]}" env --ignore-environment PATH="$PATH" HOME="$work/home" TMPDIR="$work" CARGO_HOME="$work/cargo" CARGO_NET_OFFLINE=true \
        RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" CLOISTER_CACHE="$work/cache" scripts/image.sh --cloister "$cloister"
)
if ! "$cloister" eif compare "$ours" "$work/checkout/dist/cloister.eif"; then
    die "two builds of the same sources are not the same image"
fi
say "the same $(stat --format %s "$ours") bytes, twice"
