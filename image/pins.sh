# What an image is made with, and what it is tried in: each by version and digest. Sourced by the scripts.
# shellcheck shell=bash disable=SC2034

# The kernel's source, Debian's package; its compiler is that of Debian 12. A change of either changes PCR0 and PCR1.
KERNEL_SOURCE=linux-source-6.12
KERNEL_VERSION=6.12.117-1~deb12u1
KERNEL_SHA256=585a4a074597aefa2b1a68ada83a3184ba351c127544dea80618bbcceaa3961f

# The emulator of the boot test: Debian's source package. It is not part of an image.
QEMU_RELEASE=trixie
QEMU_VERSION=10.0.13
QEMU_SHA256=6a0888e806c2ffc0c5f0733e974f9aea55491950d3c47c98669c8b236dde59ae
MESON_VERSION=1.5.0
PYCOTAP_VERSION=1.3.1
VHOST_DEVICE_VSOCK_VERSION=0.3.0
