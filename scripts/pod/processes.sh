# shellcheck shell=bash disable=SC2034,SC2154 # the parts share their variables
# The parent's processes, and how often what ended is started again. Sourced by scripts/pod.sh.

# Once the enclave has drained, who is still connected to the parent has nobody to talk to.
readonly PARENT_DRAIN_SECONDS=5
# Parent and proxy end by themselves within this, or are killed.
readonly STOP_SECONDS=10
# Asking the parent for its readiness or metrics.
readonly ASK_SECONDS=2
# How often it is looked whether a call of nitro-cli has ended.
readonly LOOK_SECONDS=0.05

# How often the pod was told to end: once is an orderly end, twice a quick one.
declare -i urgency=0
said=
exec {silence}<> <(:)
declare -A pids=() born=() deaths=() due=()

# hurry: what a signal to end does. bash can fail to parse a trap's command while it parses a substitution: so it stays one word.
hurry() { urgency+=1; }

# pause SECONDS: the whole time, whatever signals come, by reading where nobody writes. Two signals during a `sleep` would count as one, and for
# `wait` see exit_code.
pause() { read -r -t "$1" -u "$silence" || true; }

# capture COMMAND...: what it prints is left in `said`, without the last line's end; its exit code. Not "$(…)": bash can fail in parsing that
# when a trap comes in between.
capture() {
    local status=0
    "$@" >"$CLOISTER_RUN_DIR/said" || status=$?
    read_said "$CLOISTER_RUN_DIR/said"
    return "$status"
}

# read_said FILE
read_said() {
    said=
    IFS= read -r -d '' said <"$1" || true
    said="${said%$'\n'}"
}

# finish PID VERB: waits for the end of a call of nitro-cli, whatever signals come; its exit code. Only a launch is given up when the pod is
# told to end.
finish() {
    local given_up=
    while kill -0 "$1" 2>/dev/null; do
        if [ -z "$given_up" ] && [ "$2" = run-enclave ] && ((urgency > 0)); then
            given_up=1
            kill -TERM "$1" 2>/dev/null || true
        fi
        pause "$LOOK_SECONDS"
    done
    exit_code "$1"
}

# exit_code PID: that of a process that has ended. One that runs must not be waited for: bash, where a trapped signal breaks a wait off, can
# lose that the process has ended, and then waits until all others have.
exit_code() {
    local before status
    while :; do
        before=$urgency status=0
        wait "$1" || status=$?
        # With a signal in between it is the signal's.
        ((urgency != before)) || return "$status"
    done
}

start_proxy() {
    local list="${CLOISTER_ALLOWLIST:-}"
    if [ -z "$list" ]; then
        list="$CLOISTER_RUN_DIR/allowlist.yaml"
        printf 'allowlist:\n- {address: kms.%s.amazonaws.com, port: 443}\n' "$AWS_REGION" >"$list"
    fi
    start proxy "$CLOISTER_BIN/cloister-proxy" --listen "$CLOISTER_EGRESS_LISTEN" --config "$list"
}

start_parent() {
    local arguments=(--enclaves "$CLOISTER_RUN_DIR/enclaves.toml" --relay-listen "$CLOISTER_RELAY_LISTEN"
        --http-listen "$CLOISTER_HTTP_LISTEN" --drain-timeout "$PARENT_DRAIN_SECONDS")
    if [[ "$CLOISTER_CONTROL_LISTEN" == vsock://* ]]; then
        arguments+=(--control-listen "$CLOISTER_CONTROL_LISTEN")
    fi
    [ -z "${CLOISTER_MAX_CLIENTS:-}" ] || arguments+=(--max-clients "$CLOISTER_MAX_CLIENTS")
    list_enclave
    start parent "$CLOISTER_BIN/cloister-parent" "${arguments[@]}"
}

# The parent's list, with the one enclave. Its CID is chosen here and not by nitro-cli, so that the parent, which gives credentials to
# nobody else, knows it before the enclave boots.
list_enclave() {
    {
        printf '[[enclave]]\nname = "%s"\naddress = "%s"\n' "$CLOISTER_ENCLAVE_NAME" "$CLOISTER_ENCLAVE_ADDRESS"
        printf 'model = "%s"\nset = { %s }\n' "$CLOISTER_MODEL" "$wishes"
        [[ "$CLOISTER_CONTROL_LISTEN" == vsock://* ]] || printf 'control = "%s"\n' "$CLOISTER_CONTROL_LISTEN"
    } | replace_list
}

list_nobody() {
    printf 'enclave = []\n' | replace_list
}

replace_list() {
    cat >"$CLOISTER_RUN_DIR/enclaves.toml.new"
    mv "$CLOISTER_RUN_DIR/enclaves.toml.new" "$CLOISTER_RUN_DIR/enclaves.toml"
}

# start NAME COMMAND...: in the background; it writes its address when it listens.
start() {
    local name="$1"
    shift
    rm -f "$CLOISTER_RUN_DIR/$name.address"
    "$@" --address-file "$CLOISTER_RUN_DIR/$name.address" &
    pids[$name]=$!
    born[$name]=$SECONDS
}

running() { [ -n "${pids[$1]:-}" ] && kill -0 "${pids[$1]}" 2>/dev/null; }

listening() { running "$1" && [ -s "$CLOISTER_RUN_DIR/$1.address" ]; }

# keep NAME: starts it, and starts it again when it has ended and its time has come.
keep() {
    local name="$1" status=0
    ! running "$name" || return 0
    if [ -n "${pids[$name]:-}" ]; then
        exit_code "${pids[$name]}" || status=$?
        pids[$name]=
        log ERROR "cloister-$name ended with $status"
        # It says itself what is wrong with what it was told, and would say the same again.
        ((status != BAD_SETTING && status != BAD_INPUT)) || refuse "$status" "cloister-$name cannot run with these settings"
        died "$name" ||
            refuse "$PROCESS_DIES" "cloister-$name ended ${deaths[$name]} times in a row; if it could not listen, another pod on this node does" \
                "(docs/pod.md)"
    fi
    ((SECONDS < ${due[$name]:-0})) || "start_$name"
}

# died NAME: counts it, and sets when it may be tried again; fails when that was once too often in a row.
died() {
    local name="$1" delay
    ((SECONDS - born[$name] < CLOISTER_QUICK_SECONDS)) || deaths[$name]=0
    deaths[$name]=$((${deaths[$name]:-0} + 1))
    ((deaths[$name] < CLOISTER_QUICK_DEATHS)) || return 1
    delay=$((CLOISTER_BACKOFF_SECONDS << (deaths[$name] - 1 < 20 ? deaths[$name] - 1 : 20)))
    ((delay <= CLOISTER_BACKOFF_MOST_SECONDS)) || delay=$CLOISTER_BACKOFF_MOST_SECONDS
    due[$name]=$((SECONDS + delay))
    log WARN "the $name is tried again in $delay seconds (${deaths[$name]} of $CLOISTER_QUICK_DEATHS)"
}

# ask_parent PATH: the answer of the pod's endpoint, head and all, is left in `said`.
ask_parent() {
    local host port
    listening parent || return 1
    capture jq -r '.http | capture("^tcp://\\[?(?<host>[^\\]]*?)\\]?:(?<port>[0-9]+)$") | [.host, .port] | @tsv' \
        "$CLOISTER_RUN_DIR/parent.address" || return 1
    IFS=$'\t' read -r host port <<<"$said" || return 1
    case "$host" in 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
    # shellcheck disable=SC2016 # the inner shell expands them
    capture timeout "$ASK_SECONDS" bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET $2 HTTP/1.0\r\n\r\n" >&3 && cat <&3' "$host" "$port" "$1" \
        2>/dev/null
}

# Whether the parent says that nobody is connected to the enclave.
nobody_connected() {
    local some=$'\n''cloister_parent_enclave_connections\{[^}]*\} [^0]'
    ask_parent /metrics && [[ "$said" == HTTP/1.?' 200 '* ]] || return 1
    ! [[ "$said" =~ $some ]]
}

# Whether the enclave said that it failed for good: after its measurements are locked it cannot boot again in the same life.
enclave_failed() {
    ask_parent /readyz && [[ "$said" == *'the enclave is failed'* ]]
}

# stop_processes: asks the parent's processes to end, and sees that they do.
stop_processes() {
    local name end=$((SECONDS + STOP_SECONDS))
    for name in parent proxy; do
        ! running "$name" || kill -TERM "${pids[$name]}" 2>/dev/null || true
    done
    while { running parent || running proxy; } && ((SECONDS < end && urgency < 2)); do
        pause 0.2
    done
    for name in parent proxy; do
        if running "$name"; then
            log WARN "cloister-$name did not end by itself"
            kill -KILL "${pids[$name]}" 2>/dev/null || true
        fi
        pids[$name]=
    done
}
