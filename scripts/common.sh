#!/usr/bin/env bash
# What the scripts share. Sourced from the repository's root.
set -euo pipefail
# Without it, a failure inside "$(…)" goes unnoticed.
shopt -s inherit_errexit

# Tools that are not the project's own, kept between runs and out of the repository.
CLOISTER_CACHE="${CLOISTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cloister}"
export CLOISTER_CACHE

NEXTEST_VERSION=0.9.143

say() { printf '\n== %s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# python_tools NAME PACKAGE==VERSION...: a virtual environment with just these packages; prints its folder.
python_tools() {
    local name="$1" dir wanted
    shift
    dir="$CLOISTER_CACHE/$name"
    wanted="$*"
    if [ "$(cat "$dir/installed" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$dir"
        mkdir -p "$CLOISTER_CACHE"
        python3 -m venv "$dir" >&2
        "$dir/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
        printf '%s' "$wanted" >"$dir/installed"
    fi
    printf '%s\n' "$dir"
}

# debian_packages NAME...: sees to it that these packages of Debian are there. Root gets the missing ones by apt-get, whose lists are fetched
# once a run; anyone else is told which command installs them.
debian_packages() {
    local name missing=()
    for name in "$@"; do
        if [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null || true)" != installed ]; then
            missing+=("$name")
        fi
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs what Debian calls ${missing[*]}; install it by this system's own means"
    [ "$(id -u)" -eq 0 ] || die "needs Debian's ${missing[*]}; as root: apt-get install --no-install-recommends ${missing[*]}"
    say "installing ${missing[*]}"
    debian_lists
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes -o Dpkg::Use-Pty=0 --no-install-recommends "${missing[@]}" >&2
}

# debian_lists: fetches Debian's lists of packages, once a run.
debian_lists() {
    # Others than root have the lists that there are.
    [ -z "${CLOISTER_APT_UPDATED:-}" ] && [ "$(id -u)" -eq 0 ] || return 0
    apt-get update --quiet --quiet >&2
    export CLOISTER_APT_UPDATED=1
}

# debian_source RELEASE PACKAGE FOLDER: the source package that another release of Debian has, from this machine's own mirror.
debian_source() {
    local release="$1" package="$2" folder="$3" mirror
    debian_lists
    # shellcheck disable=SC2016 # the names are apt-get's
    mirror="$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Origin: Debian' | sort -u | grep -v security | head -n 1 || true)"
    [ -n "$mirror" ] || die "apt-get knows no mirror of Debian; run apt-get update"
    mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
    printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$release" >"$folder/apt/sources.list"
    printf '%s\n' "Dir::Etc::SourceList \"$folder/apt/sources.list\";" 'Dir::Etc::SourceParts "/dev/null";' \
        "Dir::State::Lists \"$folder/apt/lists\";" "Dir::Cache \"$folder/apt/cache\";" 'APT::Sandbox::User "root";' >"$folder/apt/options"
    (
        cd "$folder"
        export APT_CONFIG="$folder/apt/options"
        apt-get update --quiet --quiet >&2
        apt-get source --quiet --quiet --only-source --download-only "$package" >&2
    )
}

# One build for every verb: same profile, same features, so that each crate compiles once. The tests' package turns the
# enclave's simulation on; a release build leaves that package out.
build_all() {
    cargo build --locked --workspace --all-targets
}

# run_tests ARGUMENT...: with nextest, which runs each test as a process of its own; one that is not installed is built once.
run_tests() {
    local nextest="$CLOISTER_CACHE/nextest"
    if ! cargo nextest --version >/dev/null 2>&1; then
        if [ ! -x "$nextest/bin/cargo-nextest" ]; then
            say "cargo-nextest"
            cargo install --quiet --locked --debug --root "$nextest" "cargo-nextest@$NEXTEST_VERSION" >&2
        fi
        PATH="$nextest/bin:$PATH"
    fi
    cargo nextest run --locked --workspace "$@"
}

# target_dir PROFILE: where the binaries of a profile are.
target_dir() {
    case "$1" in
        dev) printf '%s\n' "${CARGO_TARGET_DIR:-target}/debug" ;;
        *) printf '%s\n' "${CARGO_TARGET_DIR:-target}/$1" ;;
    esac
}
