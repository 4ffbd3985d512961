#!/usr/bin/env bash
# without-tests.sh [RELEASE [EMULATED]]: that the release's program has neither simulation nor emulator in it, by its features and by its bytes. The
# second program, which has the emulator, shows that the search can find.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

# Each package of ours with the features that it is built with.
packages() { cargo tree --locked --package cloister-enclave --edges normal --prefix none --format '{p} [{f}]' "$@"; }
test_parts='^cloister-sim |^cloister-.*\[.*(simulation|emulator)'
grep -qE "$test_parts" <<<"$(packages --features emulator)" || die "the features of a test build would not be found"
if found="$(grep -m 1 -E "$test_parts" <<<"$(packages)")"; then
    die "a release's cloister-enclave is built with what tests alone may have: $found"
fi
[ "$#" -ge 1 ] || exit 0
if [ "$#" -ge 2 ]; then
    grep -q 'built for an EMULATOR' "$2" || die "$2 does not say that it was built for an emulator"
fi
for words in 'built for an EMULATOR' 'SIMULATED security module'; do
    if grep -q "$words" "$1"; then
        die "$1 holds the words: $words"
    fi
done
