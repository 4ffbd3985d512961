# shellcheck shell=bash
# What the pod is told by its environment (docs/pod.md), checked. Sourced by scripts/pod.sh.

# What has to be said before an enclave is launched whose memory anybody can read.
readonly DEBUG_CONSENT=I-know-that-nothing-is-confidential

# number NAME DEFAULT LEAST MOST
number() {
    local name="$1" value="${!1:-$2}"
    if ! [[ "$value" =~ ^[0-9]{1,10}$ ]] || ((10#$value < $3 || 10#$value > $4)); then
        refuse "$BAD_SETTING" "$name is '$value': it has to be a number from $3 to $4"
    fi
    printf -v "$name" '%d' "$((10#$value))"
}

# path NAME DEFAULT: an absolute path that can stand between quotes in TOML.
path() {
    local name="$1" value="${!1:-$2}"
    if ! [[ "$value" =~ ^/[^\"\\[:cntrl:]]*$ ]]; then
        refuse "$BAD_SETTING" "$name is '$value': it has to be an absolute path without quotes and backslashes"
    fi
    printf -v "$name" '%s' "$value"
}

# address NAME DEFAULT: parent and proxy judge it; here it is only kept from breaking the list of enclaves.
address() {
    local name="$1" value="${!1:-$2}"
    if ! [[ "$value" =~ ^(vsock|hybrid|unix|tcp)://[^\"\\[:space:]]+$ ]]; then
        refuse "$BAD_SETTING" "$name is '$value': it has to be an address such as $2"
    fi
    printf -v "$name" '%s' "$value"
}

read_settings() {
    path CLOISTER_EIF "$PWD/cloister.eif"
    path CLOISTER_MEASUREMENTS "$PWD/measurements.json"
    path CLOISTER_BIN "$PWD/bin"
    path CLOISTER_RUN_DIR /run/cloister
    [ -n "${CLOISTER_MODEL:-}" ] ||
        refuse "$BAD_SETTING" "CLOISTER_MODEL is not set: it names the sealed model, such as /models/model.sealed"
    path CLOISTER_MODEL ""
    number CLOISTER_CPUS 2 1 256
    number CLOISTER_MEMORY_MIB 2048 64 1048576
    # 0 to 3 have meanings of their own, and the highest is the wildcard (vsock(7)).
    number CLOISTER_ENCLAVE_CID 16 4 4294967294
    CLOISTER_ENCLAVE_NAME="${CLOISTER_ENCLAVE_NAME:-cloister}"
    [[ "$CLOISTER_ENCLAVE_NAME" =~ ^[A-Za-z0-9.-]{1,64}$ ]] ||
        refuse "$BAD_SETTING" "CLOISTER_ENCLAVE_NAME is '$CLOISTER_ENCLAVE_NAME': it has to be 1 to 64 letters, digits, '-' and '.'"
    address CLOISTER_RELAY_LISTEN tcp://0.0.0.0:8443
    address CLOISTER_HTTP_LISTEN tcp://0.0.0.0:8080
    [ -z "${CLOISTER_MAX_CLIENTS:-}" ] || number CLOISTER_MAX_CLIENTS "" 1 65536
    read_wishes
    read_allowlist
    read_times
    read_debug_mode
    # Where a test has no vsock and no sysfs of its own.
    address CLOISTER_ENCLAVE_ADDRESS "vsock://$CLOISTER_ENCLAVE_CID:5000"
    address CLOISTER_CONTROL_LISTEN vsock://any:9001
    address CLOISTER_EGRESS_LISTEN vsock://any:8000
    CLOISTER_ROOT="${CLOISTER_ROOT:-}"
}

# CLOISTER_SET, as the list of enclaves writes it: `wishes` is `queue = 32, mode = "fast"`.
read_wishes() {
    local words word name value
    wishes=
    read -ra words <<<"${CLOISTER_SET:-}"
    for word in ${words[@]+"${words[@]}"}; do
        [[ "$word" =~ ^[a-z_]{1,32}=[A-Za-z0-9._-]{1,64}$ ]] ||
            refuse "$BAD_SETTING" "CLOISTER_SET has '$word': it has to be NAME=VALUE, several between spaces"
        name="${word%%=*}" value="${word#*=}"
        [[ "$value" =~ ^(0|[1-9][0-9]{0,17})$ ]] || value="\"$value\""
        wishes+="${wishes:+, }$name = $value"
    done
}

# Without a list of its own, the pod's way out leads to the region's KMS alone.
read_allowlist() {
    if [ -n "${CLOISTER_ALLOWLIST:-}" ]; then
        path CLOISTER_ALLOWLIST ""
    elif [[ ! "${AWS_REGION:-}" =~ ^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$ ]]; then
        refuse "$BAD_SETTING" "CLOISTER_ALLOWLIST does not name a list of the hosts that the enclave may reach, nor AWS_REGION" \
            "('${AWS_REGION:-}') a region whose KMS is meant"
    elif [[ "$AWS_REGION" == cn-* ]]; then
        refuse "$BAD_SETTING" "AWS_REGION is $AWS_REGION, where KMS has a name of another kind: list it in a file, and name that by CLOISTER_ALLOWLIST"
    fi
}

read_times() {
    number CLOISTER_POLL_SECONDS 5 1 60
    number CLOISTER_LAUNCH_SECONDS 120 1 600
    number CLOISTER_DRAIN_SECONDS 90 0 3600
    number CLOISTER_BACKOFF_SECONDS 1 1 600
    number CLOISTER_BACKOFF_MOST_SECONDS 60 1 3600
    number CLOISTER_QUICK_SECONDS 300 1 86400
    number CLOISTER_QUICK_DEATHS 5 1 100
}

read_debug_mode() {
    case "${CLOISTER_DEBUG_MODE:-}" in
        '' | "$DEBUG_CONSENT") CLOISTER_DEBUG_MODE="${CLOISTER_DEBUG_MODE:-}" ;;
        *)
            refuse "$BAD_SETTING" "CLOISTER_DEBUG_MODE is '$CLOISTER_DEBUG_MODE': an enclave in debug mode protects nothing. Leave it unset," \
                "or say '$DEBUG_CONSENT'"
            ;;
    esac
}
