#!/usr/bin/env bash
# Builds the enclave's kernel from Debian's source and image/kernel.config, and prints the bzImage's path. The result is kept in
# CLOISTER_CACHE under the digest of all that goes into it, so that it is built once.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh
# shellcheck source=image/pins.sh
. image/pins.sh

debian_packages gcc make flex bison bc libelf-dev xz-utils

# The compiler's and the linker's versions stand in a kernel's bytes.
made_with="$({
    printf '%s\n' "$KERNEL_SOURCE" "$KERNEL_SHA256"
    gcc --version | head -n 1
    ld --version | head -n 1
    cat image/kernel.config scripts/kernel.sh
} | sha256sum | cut -c1-16)"
folder="$CLOISTER_CACHE/kernel/$made_with"
if [ -s "$folder/bzImage" ]; then
    printf '%s\n' "$folder/bzImage"
    exit 0
fi

work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-kernel.XXXXXX")"
trap 'rm -rf "$work"' EXIT

source="$CLOISTER_CACHE/kernel/source-$KERNEL_SHA256.tar.xz"
if [ ! -s "$source" ]; then
    say "the kernel's source, $KERNEL_SOURCE $KERNEL_VERSION"
    mkdir -p "$CLOISTER_CACHE/kernel"
    (
        cd "$work"
        debian_lists
        apt-get download --quiet "$KERNEL_SOURCE=$KERNEL_VERSION" >&2 ||
            die "Debian's mirror no longer has $KERNEL_SOURCE $KERNEL_VERSION; its snapshot archive has every version: put $KERNEL_SOURCE.tar.xz out of the package at $source, or pin a newer one in image/pins.sh"
        dpkg-deb --fsys-tarfile "$KERNEL_SOURCE"_*.deb | tar -x --to-stdout "./usr/src/$KERNEL_SOURCE.tar.xz" >source.tar.xz
    )
    mv "$work/source.tar.xz" "$source"
fi
found="$(sha256sum "$source" | cut -d' ' -f1)"
[ "$found" = "$KERNEL_SHA256" ] || die "$source has SHA-256 $found, and the source of $KERNEL_SOURCE $KERNEL_VERSION has $KERNEL_SHA256: delete the file"

say "the kernel, some six minutes of a processor"
tar -x --xz --directory "$work" --file "$source"
cd "$work/$KERNEL_SOURCE"
config="$OLDPWD/image/kernel.config"
make --silent tinyconfig >&2
scripts/kconfig/merge_config.sh -m -O . .config "$config" >/dev/null
make --silent olddefconfig >&2
# What the fragment asks for and the kernel does not grant would be missing without a word.
while read -r line; do
    case "$line" in
        '' | '#'*) ;;
        *=n) ! grep -q "^${line%=n}=" .config || die "the kernel's configuration still has ${line%=n}" ;;
        *) grep -qxF -- "$line" .config || die "the kernel's configuration lacks $line" ;;
    esac
done <"$config"
make --silent --jobs="$(nproc)" bzImage KBUILD_BUILD_TIMESTAMP='1970-01-01 00:00:00 UTC' KBUILD_BUILD_USER=cloister KBUILD_BUILD_HOST=cloister \
    KBUILD_BUILD_VERSION=1 LOCALVERSION= LC_ALL=C >&2
mkdir -p "$folder"
cp .config "$folder/config"
cp arch/x86/boot/bzImage "$folder/bzImage.new"
mv "$folder/bzImage.new" "$folder/bzImage"
printf '%s\n' "$folder/bzImage"
