#!/usr/bin/env bash
# Every check and every test, but for those that boot a machine (scripts/boot-test.sh).
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

scripts/lint.sh

# The pod's script reads JSON with jq; its container image is built, pushed to a registry, and read by other code than ours;
# results in DICOM are held against dicom3tools' validator.
debian_packages buildah chromium dicom3tools docker-registry jq openssl skopeo

# Before the build, which takes the page into the gateway.
scripts/page.sh test
export CLOISTER_REQUIRE_PAGE=1

say "build"
build_all

if [ ! -d "${CLOISTER_DATA:-../shared/data}" ]; then
    say "NOT RUN: tests on real mammograms and real AWS documents skip themselves, because neither CLOISTER_DATA nor ../shared/data is a folder with them"
fi
say "tests"
# One more than there are processors, because many wait for a time to pass.
run_tests --test-threads "$(($(nproc) + 1))" "$@"
scripts/page.sh stories

scripts/instructions.sh
scripts/sanitize.sh

say "a release enclave has no simulation in it"
scripts/without-tests.sh

say "the image, twice"
scripts/reproduce.sh

say "what is deployed"
scripts/deploy.sh

say "demo"
scripts/demo.sh

say "all checks and tests passed; ./run.sh boot-test boots images besides"
