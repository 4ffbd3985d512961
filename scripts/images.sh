#!/usr/bin/env bash
# Builds the container images that .env names: `base` (the tools), `module` (this service), or both. docs/pod.md.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

# Exit codes (sysexits.h).
BAD_SETTING=64 BAD_INPUT=65

refuse() {
    printf '%s: %s\n' "$0" "${*:2}" >&2
    exit "$1"
}

# setting NAME: from the environment, else from .env.
setting() {
    local name="$1"
    if [ -z "${!name+set}" ]; then
        printf -v "$name" '%s' "$(sed -n "s/^$name=//p" .env)"
    fi
}

# image NAME TAG: a tag, or a digest where that is what TAG is.
image() {
    case "$2" in
        sha256:*) printf '%s%s@%s\n' "$PREFIX" "$1" "$2" ;;
        *) printf '%s%s:%s\n' "$PREFIX" "$1" "$2" ;;
    esac
}

# build FILE NAME ARGUMENTS...: with whichever tool there is. Times are fixed, so that the same content is the same image.
build() {
    local file="$1" name="$2"
    shift 2
    say "building $name with $tool"
    case "$tool" in
        docker)
            docker buildx build --provenance=false --build-arg SOURCE_DATE_EPOCH=0 --output "type=docker,name=$name,rewrite-timestamp=true" \
                --file "$file" "$@" . >&2
            ;;
        *) "$tool" build --timestamp 0 --format oci --file "$file" --tag "$name" "$@" . >&2 ;;
    esac
}

build_base() {
    [[ "$BASE_IMAGE" =~ @sha256:[0-9a-f]{64}$ ]] ||
        refuse "$BAD_SETTING" "BASE_IMAGE is '$BASE_IMAGE': it has to end with @sha256: and a digest; .env says how to look it up"
    [[ "$BASE_TAG" != sha256:* ]] || refuse "$BAD_SETTING" "BASE_TAG is a digest: that base is built already, so build 'module' alone"
    build Dockerfile.base "$(image cloister-base "$BASE_TAG")" --build-arg "BASE_IMAGE=$BASE_IMAGE"
}

build_module() {
    local revision
    check_artifacts
    [[ "$TAG" != sha256:* ]] || refuse "$BAD_SETTING" "TAG is a digest: an image that is to be built has a tag"
    revision="$(git rev-parse HEAD 2>/dev/null || true)"
    build Dockerfile.eif "$(image cloister "$TAG")" --build-arg "BASE=$(image cloister-base "$BASE_TAG")" \
        --build-arg "VERSION=$TAG" --build-arg "REVISION=${revision:-unknown}"
}

# What ./run.sh image leaves: there, of the right kind, and with measurements beside it.
check_artifacts() {
    local file
    for file in cloister.eif measurements.json bin/cloister bin/cloister-parent bin/cloister-proxy; do
        [ -s "dist/$file" ] || refuse "$BAD_INPUT" "there is no dist/$file: ./run.sh image --programs makes it"
    done
    [ "$(head -c 4 dist/cloister.eif | tr -d '\0')" = .eif ] || refuse "$BAD_INPUT" "dist/cloister.eif is no enclave image"
    grep -Eq '"PCR0": *"[0-9a-f]{96}"' dist/measurements.json || refuse "$BAD_INPUT" "dist/measurements.json has no PCR0"
    for file in dist/bin/*; do
        [ "$(head -c 4 "$file" | tr -d '\0')" = $'\x7fELF' ] || refuse "$BAD_INPUT" "$file is no program"
        # The base has its own C library, of another age.
        ! grep -q 'ld-linux' "$file" || refuse "$BAD_INPUT" "$file needs the C library of the machine that built it: build it for x86_64-unknown-linux-musl"
    done
}

tool=
for candidate in buildah podman docker; do
    if command -v "$candidate" >/dev/null; then
        tool="$candidate"
        break
    fi
done
[ -n "$tool" ] || die "building images needs buildah, podman or docker"
for name in PREFIX TAG BASE_TAG BASE_IMAGE; do
    setting "$name"
done

case "${1:-all}" in
    all)
        build_base
        build_module
        ;;
    base) build_base ;;
    module) build_module ;;
    *) refuse "$BAD_SETTING" "there is no image '$1': say base, module, or nothing for both" ;;
esac
