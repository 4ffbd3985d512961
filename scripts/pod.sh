#!/usr/bin/env bash
# In the pod: checks that an enclave can run here, starts proxy, parent and enclave, keeps them running, and ends them in order.
# docs/pod.md tells its variables and exit codes.
set -euo pipefail
# Without it, a failure inside "$(…)" goes unnoticed.
shopt -s inherit_errexit
# shellcheck source=scripts/pod/log.sh
. scripts/pod/log.sh
# shellcheck source=scripts/pod/settings.sh
. scripts/pod/settings.sh
# shellcheck source=scripts/pod/checks.sh
. scripts/pod/checks.sh
# shellcheck source=scripts/pod/processes.sh
. scripts/pod/processes.sh
# shellcheck source=scripts/pod/enclave.sh
. scripts/pod/enclave.sh

look_due=0

# keep_enclave: launches it when its neighbours are there, and again when it has ended and its time has come.
keep_enclave() {
    if [ -n "$enclave_id" ]; then
        ((SECONDS >= look_due)) || return 0
        look_due=$((SECONDS + CLOISTER_POLL_SECONDS))
        local runs=0
        enclave_runs || runs=$?
        case "$runs" in
            0)
                enclave_failed || return 0
                log ERROR "the enclave $enclave_id has failed for good"
                ;;
            1) log ERROR "the enclave $enclave_id has ended" ;;
            *)
                log WARN "nitro-cli does not say whether the enclave runs"
                return 0
                ;;
        esac
        end_enclaves || forget_enclave
        died enclave || refuse "$ENCLAVE_DIES" "the enclave ended ${deaths[enclave]} times in a row"
    fi
    ((SECONDS >= ${due[enclave]:-0})) && listening proxy && listening parent || return 0
    born[enclave]=$SECONDS
    if launch_enclave; then
        look_due=$((SECONDS + CLOISTER_POLL_SECONDS))
    elif ((urgency == 0)); then
        died enclave || refuse "$ENCLAVE_DIES" "the enclave could not be launched, or ended, ${deaths[enclave]} times in a row"
    fi
}

# drain: no new clients; those that there are get their answers, until nobody is left or the time is up.
drain() {
    local end=$((SECONDS + CLOISTER_DRAIN_SECONDS)) runs
    [ -n "$enclave_id" ] && running parent || return 0
    log INFO "draining for at most $CLOISTER_DRAIN_SECONDS seconds: no new clients, and those that there are finish"
    list_nobody
    kill -HUP "${pids[parent]}"
    while ((SECONDS < end && urgency < 2)); do
        pause 1
        # Whoever was connected was connected through it.
        running parent || return 0
        runs=0
        enclave_runs || runs=$?
        if ((runs == 1)); then
            log INFO "the enclave has ended by itself"
            return
        elif nobody_connected; then
            log INFO "nobody is connected any more"
            return
        fi
    done
    log WARN "clients are cut: $CLOISTER_DRAIN_SECONDS seconds are over, or the pod was told twice to end"
}

# end_all: however the pod ends, nothing is left behind. The container's end would end a left enclave too, because its process holds it.
end_all() {
    local status=$?
    trap - EXIT
    # From here on nothing keeps the rest from being ended.
    set +e
    end_enclaves
    stop_processes
    log INFO "the pod ends with $status"
    exit "$status"
}

# From the start: a first process that handles no signal does not get it.
trap hurry TERM INT
read_settings
check_tools
# nitro-cli's sockets and log would lie in folders of the system, which a read-only container has not.
export NITRO_CLI_SOCKETS_PATH="${NITRO_CLI_SOCKETS_PATH:-$CLOISTER_RUN_DIR/nitro-cli}" NITRO_CLI_LOGS_PATH="${NITRO_CLI_LOGS_PATH:-$CLOISTER_RUN_DIR/nitro-cli}"
check_image
check_node
trap end_all EXIT
end_enclaves || true

while ((urgency == 0)); do
    banner
    keep proxy
    keep parent
    keep_enclave
    ((urgency > 0)) || pause 1
done
drain
