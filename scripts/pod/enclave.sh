# shellcheck shell=bash disable=SC2034,SC2154 # the parts share their variables
# The enclave, by way of nitro-cli. Sourced by scripts/pod.sh.

# nitro-cli's answers about what there is come within a second; ending an enclave can take some.
readonly DESCRIBE_SECONDS=10 DESCRIBE_EIF_SECONDS=60 TERMINATE_SECONDS=15
# How often it is repeated that debug mode protects nothing.
readonly BANNER_SECONDS=60

enclave_id=
console_pid=
banner_due=0
known=

# nitro SECONDS ARGUMENTS...: nitro-cli within that time. What it prints is left in `said`; what it complains of goes to the log.
nitro() {
    local seconds="$1" status=0 line
    shift
    # What a call that was given up still writes goes to its own file, and not into this one's answer.
    rm -f "$CLOISTER_RUN_DIR/nitro-cli.out" "$CLOISTER_RUN_DIR/nitro-cli.err"
    timeout --kill-after=5 "$seconds" nitro-cli "$@" >"$CLOISTER_RUN_DIR/nitro-cli.out" 2>"$CLOISTER_RUN_DIR/nitro-cli.err" &
    finish "$!" "$1" || status=$?
    read_said "$CLOISTER_RUN_DIR/nitro-cli.out"
    while IFS= read -r line || [ -n "$line" ]; do
        [ -z "$line" ] || log INFO "nitro-cli: $line"
    done <"$CLOISTER_RUN_DIR/nitro-cli.err"
    [ "$status" -ne 124 ] || log WARN "nitro-cli $1 did not end within $seconds seconds"
    return "$status"
}

# describe: what nitro-cli knows of in this pod is left in `known`, one a line: id, state, name.
describe() {
    nitro "$DESCRIBE_SECONDS" describe-enclaves || return 2
    capture jq -r '.[] | [.EnclaveID, .State, .EnclaveName // ""] | @tsv' <<<"$said" 2>/dev/null || return 2
    known="$said"
}

# Whether the enclave runs: 0 it does, 1 it has ended, 2 nitro-cli does not say.
enclave_runs() {
    describe || return 2
    [[ $'\n'$known == *$'\n'"$enclave_id"$'\tRUNNING\t'* ]] || return 1
}

debugging() { [ -n "$CLOISTER_DEBUG_MODE" ]; }

banner() {
    debugging && ((SECONDS >= banner_due)) || return 0
    banner_due=$((SECONDS + BANNER_SECONDS))
    log WARN '****************************************************************************'
    log WARN '*  DEBUG MODE: NOTHING IN THIS ENCLAVE IS CONFIDENTIAL.                    *'
    log WARN '*  Its console is open and its measurements are zero: no key policy opens  *'
    log WARN '*  for it, and clients refuse it.                                          *'
    log WARN '****************************************************************************'
}

launch_enclave() {
    local arguments=(run-enclave --eif-path "$CLOISTER_EIF" --cpu-count "$CLOISTER_CPUS" --memory "$CLOISTER_MEMORY_MIB"
        --enclave-cid "$CLOISTER_ENCLAVE_CID" --enclave-name "$CLOISTER_ENCLAVE_NAME")
    if debugging; then
        banner_due=0
        banner
        arguments+=(--debug-mode)
    fi
    log INFO "launching the enclave: $CLOISTER_CPUS processors, $CLOISTER_MEMORY_MIB MiB, CID $CLOISTER_ENCLAVE_CID"
    # jq gives nothing for an answer that is none, and calls that a success.
    # shellcheck disable=SC2016 # jq expands it
    if nitro "$CLOISTER_LAUNCH_SECONDS" "${arguments[@]}" &&
        capture jq -r --argjson cid "$CLOISTER_ENCLAVE_CID" 'select(.EnclaveCID == $cid) | .EnclaveID' <<<"$said" 2>/dev/null &&
        [ -n "$said" ]; then
        enclave_id="$said"
        log INFO "launched the enclave $enclave_id"
        if debugging; then
            stream_console
        fi
        return
    fi
    enclave_id=
    log ERROR "the enclave could not be launched"
    end_enclaves
    return 1
}

stream_console() {
    nitro-cli console --enclave-id "$enclave_id" 2>&1 | while IFS= read -r line; do log INFO "console: $line"; done &
    console_pid=$!
}

# forget_enclave: it has ended.
forget_enclave() {
    enclave_id=
    [ -z "$console_pid" ] || kill "$console_pid" 2>/dev/null || true
    console_pid=
}

# end_enclaves: terminates whatever enclave of this pod's name there is. nitro-cli gives a name that is taken a number behind `_`.
end_enclaves() {
    local id name
    if ! describe; then
        log WARN "nitro-cli does not say whether an enclave is left"
        return 1
    fi
    while IFS=$'\t' read -r id _ name; do
        if [[ "$name" == "$CLOISTER_ENCLAVE_NAME" || "$name" == "$CLOISTER_ENCLAVE_NAME"_* ]]; then
            terminate_enclave "$id" || true
        fi
    done <<<"$known"
    forget_enclave
}

terminate_enclave() {
    log INFO "terminating the enclave $1"
    if ! nitro "$TERMINATE_SECONDS" terminate-enclave --enclave-id "$1" || ! jq -e '.Terminated == true' <<<"$said" >/dev/null 2>&1; then
        log ERROR "the enclave $1 could not be terminated"
        return 1
    fi
}
