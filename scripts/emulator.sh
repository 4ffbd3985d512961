#!/usr/bin/env bash
# Prepares what the boot test runs an image in, and prints the folder with both programs: QEMU with its `nitro-enclave` machine, which no
# distribution builds, and rust-vmm's vsock device. Kept in CLOISTER_CACHE.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh
# shellcheck source=image/pins.sh
. image/pins.sh

folder="$CLOISTER_CACHE/emulator/qemu-$QEMU_VERSION-vsock-$VHOST_DEVICE_VSOCK_VERSION"
mkdir -p "$folder"
debian_packages qemu-system-data libglib2.0-0 libpixman-1-0 libfdt1 libcbor0.8 libgnutls30

if [ ! -x "$folder/vhost-device-vsock" ]; then
    say "vhost-device-vsock $VHOST_DEVICE_VSOCK_VERSION"
    # A debug build takes a third of the time; bytes are copied by the system either way.
    CARGO_TARGET_DIR="$folder/build" cargo install --quiet --locked --debug --root "$folder/install" "vhost-device-vsock@$VHOST_DEVICE_VSOCK_VERSION" >&2
    mv "$folder/install/bin/vhost-device-vsock" "$folder/"
    rm -rf "$folder/build" "$folder/install"
fi

if [ ! -x "$folder/qemu-system-x86_64" ]; then
    debian_packages gcc make ninja-build pkg-config libglib2.0-dev libpixman-1-dev libfdt-dev libcbor-dev libgnutls28-dev flex bison xz-utils python3-venv
    work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-emulator.XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    source="$folder/qemu-$QEMU_SHA256.tar.xz"
    if [ ! -s "$source" ]; then
        say "QEMU's source, from Debian's $QEMU_RELEASE"
        debian_source "$QEMU_RELEASE" qemu "$work"
        found="$(sha256sum "$work"/qemu_*.orig.tar.xz | cut -d' ' -f1)"
        # It is a tool, not a part of any image: a later release of Debian's does as well, and is said.
        [ "$found" = "$QEMU_SHA256" ] || say "NOT THE PINNED QEMU: Debian has $(basename "$work"/qemu_*.orig.tar.xz) by now, with SHA-256 $found"
        mv "$work"/qemu_*.orig.tar.xz "$source"
    fi
    say "QEMU, some five minutes"
    tar -x --xz --directory "$work" --file "$source"
    cd "$work"/qemu-*/
    tools="$(python_tools meson "meson==$MESON_VERSION" "pycotap==$PYCOTAP_VERSION")"
    # Firmware that this machine does not use, and that Debian's source lacks.
    sed -i 's/^if unpack_edk2_blobs$/if false/' pc-bios/meson.build
    printf 'CONFIG_NITRO_ENCLAVE=y\nCONFIG_MICROVM=y\n' >configs/devices/x86_64-softmmu/nitro.mak
    mkdir build
    cd build
    PATH="$tools/bin:$PATH" ../configure --python="$tools/bin/python" --target-list=x86_64-softmmu --without-default-features \
        --enable-system --enable-tcg --enable-libcbor --enable-gnutls --enable-vhost-user --enable-fdt=system --disable-docs \
        --disable-werror --disable-install-blobs --disable-download --without-default-devices --with-devices-x86_64=nitro >configure.log ||
        { tail -n 20 configure.log >&2 && die "QEMU cannot be configured"; }
    PATH="$tools/bin:$PATH" ninja -j"$(nproc)" qemu-system-x86_64 >ninja.log || { tail -n 20 ninja.log >&2 && die "QEMU cannot be built"; }
    strip qemu-system-x86_64
    cp qemu-system-x86_64 "$folder/qemu.new"
    mv "$folder/qemu.new" "$folder/qemu-system-x86_64"
fi
printf '%s\n' "$folder"
