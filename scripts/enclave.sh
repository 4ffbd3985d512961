#!/usr/bin/env bash
# Builds the program of an image, and prints its path. Arguments go to cargo. Nothing else is built beside it, because a package that is would lend it
# its features.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

scripts/static.sh --package cloister-enclave --bin cloister-enclave "$@"
printf '%s\n' "$(target_dir x86_64-unknown-linux-musl/release)/cloister-enclave"
