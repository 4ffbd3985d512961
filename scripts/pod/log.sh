# shellcheck shell=bash disable=SC2034,SC2154 # the parts share their variables
# The pod's words, in the form of the parent's and the proxy's; and how it ends. Sourced by scripts/pod.sh.

# Exit codes (sysexits.h; docs/pod.md says them to people).
readonly BAD_SETTING=64 BAD_INPUT=65 MISSING=69 ENCLAVE_DIES=70 PROCESS_DIES=71

# log LEVEL WORDS...
log() {
    TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%SZ)T %5s pod: %s\n' -1 "$1" "${*:2}" >&2
}

# refuse CODE WORDS...: says why the pod cannot run, and ends it.
refuse() {
    log ERROR "${*:2}"
    exit "$1"
}
