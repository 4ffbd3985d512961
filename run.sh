#!/usr/bin/env bash
# Entry point: `./run.sh help` lists the verbs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'EOF'
./run.sh demo     the whole path on one machine, simulated NSM and KMS: seal, boot, verify, classify
./run.sh test     every check and every test; CI runs this
./run.sh deploy   deploy/ against the schemas of Kubernetes and CloudFormation; sends nothing anywhere
./run.sh lint     formatting, clippy, spelling, shell scripts, licences and advisories
./run.sh bench    a table of measurements beside ONNX Runtime's; never passes or fails
./run.sh fmt      format the sources
EOF
}

verb="${1:-help}"
[ "$#" -eq 0 ] || shift
case "$verb" in
    demo | test | deploy | lint | bench) exec "scripts/$verb.sh" "$@" ;;
    fmt) exec cargo fmt --all ;;
    help | -h | --help) usage ;;
    *)
        echo "run.sh: there is no verb '$verb'" >&2
        usage >&2
        exit 64
        ;;
esac
