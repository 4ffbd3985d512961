# shellcheck shell=bash disable=SC2034,SC2154 # the parts share their variables
# What has to be there before anything is started, each with what to do when it is not. Sourced by scripts/pod.sh.

# AWS asks for this many times the image's size, for the kernel unpacks the ramdisks beside it.
readonly MEMORY_TO_EIF=4

check_tools() {
    local tool
    for tool in nitro-cli jq timeout; do
        command -v "$tool" >/dev/null || refuse "$MISSING" "there is no $tool: the base image brings it (Dockerfile.base)"
    done
    for tool in cloister-parent cloister-proxy; do
        [ -x "$CLOISTER_BIN/$tool" ] || refuse "$MISSING" "there is no $tool in $CLOISTER_BIN"
    done
    mkdir -p "$CLOISTER_RUN_DIR/nitro-cli" 2>/dev/null && [ -w "$CLOISTER_RUN_DIR" ] ||
        refuse "$MISSING" "nothing can be written to $CLOISTER_RUN_DIR: mount an emptyDir there"
}

check_image() {
    local bytes least
    [ -f "$CLOISTER_EIF" ] && [ -r "$CLOISTER_EIF" ] || refuse "$BAD_INPUT" "the enclave image $CLOISTER_EIF cannot be read"
    capture head -c 4 "$CLOISTER_EIF" || true
    [ "$said" = .eif ] || refuse "$BAD_INPUT" "$CLOISTER_EIF is no enclave image: it does not begin with .eif"
    capture stat -L -c %s "$CLOISTER_EIF"
    bytes="$said"
    least=$(((bytes * MEMORY_TO_EIF + (1 << 20) - 1) >> 20))
    ((CLOISTER_MEMORY_MIB >= least)) ||
        refuse "$BAD_SETTING" "CLOISTER_MEMORY_MIB is $CLOISTER_MEMORY_MIB: an enclave needs $MEMORY_TO_EIF times its image of $bytes bytes," \
            "$least MiB, and its model's memory beside that"
    check_measurements
    [ -f "$CLOISTER_MODEL" ] && [ -r "$CLOISTER_MODEL" ] ||
        refuse "$BAD_INPUT" "the sealed model $CLOISTER_MODEL cannot be read: CLOISTER_MODEL names it"
    [ -z "${CLOISTER_ALLOWLIST:-}" ] || [ -r "$CLOISTER_ALLOWLIST" ] ||
        refuse "$BAD_INPUT" "the allow-list $CLOISTER_ALLOWLIST cannot be read: CLOISTER_ALLOWLIST names it"
}

# Nobody's trust rests on this: clients and KMS ask the enclave itself. It finds a mixed-up release before they do.
check_measurements() {
    local index description described
    jq -e '[.Measurements | .PCR0, .PCR1, .PCR2 | test("^[0-9a-f]{96}$")] | all' "$CLOISTER_MEASUREMENTS" >/dev/null 2>&1 ||
        refuse "$BAD_INPUT" "$CLOISTER_MEASUREMENTS does not hold the image's measurements: CLOISTER_MEASUREMENTS names the file that" \
            "was built with it"
    if ! nitro-cli describe-eif --help >/dev/null 2>&1; then
        log WARN "this nitro-cli cannot describe an image, so that $CLOISTER_EIF was not compared with $CLOISTER_MEASUREMENTS"
        return
    fi
    nitro "$DESCRIBE_EIF_SECONDS" describe-eif --eif-path "$CLOISTER_EIF" ||
        refuse "$BAD_INPUT" "nitro-cli cannot read the enclave image $CLOISTER_EIF"
    description="$said"
    for index in PCR0 PCR1 PCR2 PCR8; do
        capture jq -r ".Measurements.$index // \"absent\"" <<<"$description" 2>/dev/null || true
        described="$said"
        capture jq -r ".Measurements.$index // \"absent\"" "$CLOISTER_MEASUREMENTS"
        [ "$described" = "$said" ] ||
            refuse "$BAD_INPUT" "$index of $CLOISTER_EIF is ${described:-unknown}, but $CLOISTER_MEASUREMENTS says $said: the two are not of one build"
    done
}

check_node() {
    local device="$CLOISTER_ROOT/dev/nitro_enclaves"
    [ -e "$device" ] ||
        refuse "$MISSING" "there is no $device: ask for the resource aws.ec2.nitro/nitro_enclaves in the pod's limits, on a node with the" \
            "device plugin whose instance was launched with enclaves enabled"
    capture stat -L -c %g "$device"
    [ -r "$device" ] && [ -w "$device" ] ||
        refuse "$MISSING" "$device cannot be opened by user $EUID: run as root without capabilities, or with the device's group $said" \
            "among supplementalGroups"
    check_huge_pages
    check_processors
}

# nitro-cli takes huge pages of every size that there is; of each no more than are free, and than the pod may have.
check_huge_pages() {
    local folder kib free limit most=0 found=
    for folder in "$CLOISTER_ROOT"/sys/kernel/mm/hugepages/hugepages-*kB; do
        [ -r "$folder/free_hugepages" ] || continue
        kib="${folder##*hugepages-}" kib="${kib%kB}"
        read -r free <"$folder/free_hugepages" || true
        free=$((free * kib))
        find_limit "$kib"
        [ -z "$limit" ] || ((free <= limit)) || free="$limit"
        found+="${found:+, }$((free >> 10)) MiB in pages of $((kib >> 10)) MiB${limit:+ (the pod may have $((limit >> 10)) MiB)}"
        most=$((most + free / kib * kib))
    done
    ((most >> 10 >= CLOISTER_MEMORY_MIB)) ||
        refuse "$MISSING" "CLOISTER_MEMORY_MIB asks for $CLOISTER_MEMORY_MIB MiB of huge pages, and there are ${found:-none}: set memory_mib" \
            "in the node's /etc/nitro_enclaves/allocator.yaml, and hugepages-1Gi or hugepages-2Mi in the pod's limits"
}

# find_limit KIB: the pod's limit in KiB for pages of that size is left in `limit`; nothing where there is none.
find_limit() {
    local name bytes file
    limit=
    if (($1 >= 1 << 20)); then name="$(($1 >> 20))GB"; else name="$(($1 >> 10))MB"; fi
    for file in "hugetlb.$name.max" "hugetlb/hugetlb.$name.limit_in_bytes"; do
        if [ -r "$CLOISTER_ROOT/sys/fs/cgroup/$file" ]; then
            read -r bytes <"$CLOISTER_ROOT/sys/fs/cgroup/$file" || true
            [ "$bytes" = max ] || limit=$((bytes >> 10))
            return
        fi
    done
}

check_processors() {
    local file="$CLOISTER_ROOT/sys/module/nitro_enclaves/parameters/ne_cpus" pool range count=0
    [ -r "$file" ] || return 0
    read -r pool <"$file" || true
    for range in ${pool//,/ }; do
        count=$((count + ${range#*-} - ${range%-*} + 1))
    done
    ((count >= CLOISTER_CPUS)) ||
        refuse "$MISSING" "CLOISTER_CPUS asks for $CLOISTER_CPUS processors, and the node sets $count aside for enclaves: set cpu_count" \
            "in its /etc/nitro_enclaves/allocator.yaml"
}
