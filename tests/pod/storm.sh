#!/usr/bin/env bash
# Calls of nitro-cli in the middle of many signals, beside a process that lives on: `storm.sh FOLDER SIGNALS`, with a nitro-cli on the PATH that knows
# of one enclave and of the folder's measurements, and ends with 3 where it is asked for anything else. Each call has to end as it does, and its
# answer has to be understood; says how many rounds there were.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=scripts/pod/log.sh
. scripts/pod/log.sh
# shellcheck source=scripts/pod/checks.sh
. scripts/pod/checks.sh
# shellcheck source=scripts/pod/processes.sh
. scripts/pod/processes.sh
# shellcheck source=scripts/pod/enclave.sh
. scripts/pod/enclave.sh
readonly CLOISTER_RUN_DIR="$1" CLOISTER_EIF="$1/cloister.eif" CLOISTER_MEASUREMENTS="$1/measurements.json"
trap hurry TERM

(
    trap - TERM
    for ((sent = 0; sent < $2; sent++)); do
        kill -TERM "$$"
        sleep "0.00$((RANDOM % 10))"
    done
) &
storm=$!
sleep 600 &
neighbour=$!
trap 'kill "$neighbour" "$storm" 2>/dev/null || true' EXIT

rounds=0
while kill -0 "$storm" 2>/dev/null; do
    status=0
    nitro 10 console || status=$?
    [ "$status" -eq 3 ] || refuse 1 "a call ended with $status"
    describe && [ "$known" = $'i-1\tRUNNING\tcloister' ] || refuse 1 "it was not described: $known"
    check_measurements
    rounds=$((rounds + 1))
done
kill -0 "$neighbour"
echo "$rounds rounds, $urgency signals"
