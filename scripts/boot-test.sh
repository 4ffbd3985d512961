#!/usr/bin/env bash
# Boots images in QEMU's emulated Nitro machine: the kernel, the program as its first process, /dev/nsm, vsock, and the way from key release to a
# score. Prepares emulator and kernel first if they are not there.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

CLOISTER_MACHINE="$(mktemp -d "${TMPDIR:-/tmp}/cloister-machine.XXXXXX")"
export CLOISTER_MACHINE
trap 'rm -rf "$CLOISTER_MACHINE"' EXIT
emulator="$(scripts/emulator.sh)"
ln -s "$emulator/qemu-system-x86_64" "$emulator/vhost-device-vsock" "$CLOISTER_MACHINE/"
cp "$(scripts/kernel.sh)" "$CLOISTER_MACHINE/bzImage"
cp image/cmdline "$CLOISTER_MACHINE/cmdline"

say "the release's program, and one that takes the emulator's unsigned word"
cp "$(scripts/enclave.sh)" "$CLOISTER_MACHINE/enclave-release"
cp "$(scripts/enclave.sh --features emulator)" "$CLOISTER_MACHINE/enclave"
scripts/without-tests.sh "$CLOISTER_MACHINE/enclave-release" "$CLOISTER_MACHINE/enclave"

say "build"
build_all
say "boot"
run_tests --profile machine --no-fail-fast "$@"
