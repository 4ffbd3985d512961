#!/usr/bin/env bash
# Builds the image twice and compares the bytes: here, and again in another folder, later, by another user with another home, from an empty target
# folder and with a kernel compiled anew.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

build_all >&2
scripts/image.sh --cloister "$(target_dir dev)/cloister"
ours="$(realpath "${CLOISTER_DIST:-dist}")/cloister.eif"

# Paths of another length, so that none can hide in padding.
work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-elsewhere.XXXXXXXXXX")"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/checkout" "$work/home" "$work/cache/kernel" "$work/cargo/registry"
git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from=- | tar --extract --directory "$work/checkout"
cp "$CLOISTER_CACHE"/kernel/source-* "$work/cache/kernel/"
cp -r "${CARGO_HOME:-$HOME/.cargo}/registry"/{index,cache} "$work/cargo/registry/"
# The toolchain as it is, because another user may not read where it is kept; and what writes the image, because that is no part of it.
mkdir "$work/rust"
cp -r "$(rustc --print sysroot)"/{bin,lib} "$work/rust/"
cp "$(target_dir dev)/cloister" "$work/cloister"

as_another=()
if [ "$(id -u)" -eq 0 ]; then
    chown -R 12345:12345 "$work"
    as_another=(setpriv --reuid 12345 --regid 12345 --clear-groups)
else
    say "NOT DONE: a second user, which takes root; both builds are by $(id -un)"
fi
say "the image again, elsewhere"
(
    cd "$work/checkout"
    umask 0077
    "${as_another[@]}" env --ignore-environment PATH="$work/rust/bin:/usr/local/bin:/usr/bin:/bin" HOME="$work/home" TMPDIR="$work" \
        CARGO_HOME="$work/cargo" CARGO_NET_OFFLINE=true CLOISTER_CACHE="$work/cache" scripts/image.sh --cloister "$work/cloister"
)
if ! "$work/cloister" eif compare "$ours" "$work/checkout/dist/cloister.eif"; then
    die "two builds of the same sources are not the same image"
fi
say "the same $(stat --format %s "$ours") bytes, twice"
