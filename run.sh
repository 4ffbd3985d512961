#!/usr/bin/env bash
# Entry point: `./run.sh help` lists the verbs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'EOF'
./run.sh demo       the whole path on one machine, simulated NSM and KMS: seal, boot, verify, classify; with --serve the gateway's page, until it is ended
./run.sh test       every check and every test that needs no machine; CI runs this, and then boot-test
./run.sh boot-test  images in an emulated Nitro machine (docs/boot-test.md)
./run.sh image      the enclave's image into dist/, and which measurements it moves (docs/reproduce.md)
./run.sh reproduce  the same twice, in two places, and whether the bytes are the same
./run.sh images     the container images, from what ./run.sh image --programs left in dist/ (docs/pod.md)
./run.sh page       the gateway's page into gateway/page/dist; 'page lint', 'page test', 'page stories' (in a browser)
./run.sh pod        what a container of them runs: the enclave with its proxy and parent, in the foreground
./run.sh deploy     deploy/ against the schemas of Kubernetes and CloudFormation; sends nothing anywhere
./run.sh lint       formatting, clippy, spelling, shell scripts, licences and advisories
./run.sh sanitize   the tests of the unsafe code under the address sanitizer
./run.sh miri       the same under Miri, with the portable kernels; takes a nightly toolchain that has it, and many minutes
./run.sh instructions  the instructions of a small network, against those that are kept; --update keeps them
./run.sh bench      a table of measurements beside ONNX Runtime's; never passes or fails
./run.sh load       latency, throughput and memory under load, beside what is to be reached; never passes or fails
./run.sh fmt        format the sources
EOF
}

verb="${1:-help}"
[ "$#" -eq 0 ] || shift
case "$verb" in
    demo | test | boot-test | image | reproduce | images | page | pod | deploy | lint | bench | load | sanitize | miri | instructions)
        if [ ! -x "scripts/$verb.sh" ]; then
            echo "run.sh: '$verb' is for the repository; a container of it has 'pod' alone" >&2
            exit 64
        fi
        exec "scripts/$verb.sh" "$@"
        ;;
    fmt) exec cargo fmt --all ;;
    help | -h | --help) usage ;;
    *)
        echo "run.sh: there is no verb '$verb'" >&2
        usage >&2
        exit 64
        ;;
esac
