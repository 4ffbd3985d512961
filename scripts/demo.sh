#!/usr/bin/env bash
# The whole path on one machine, each party as its own process, with a simulated NSM and a simulated KMS.
#   demo.sh          shows it, and ends
#   demo.sh --serve  has a hospital's gateway in front, and a synthetic exam to drop on its page, until it is ended with Ctrl-C
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

serve=no
case "${1:-}" in
    '') ;;
    --serve) serve=yes ;;
    *) die "takes --serve, or nothing" ;;
esac
# The gateway takes its page in when it is compiled.
[ "$serve" = no ] || scripts/page.sh build
say "build"
build_all >&2
bin="$(target_dir dev)"
cloister="$bin/cloister"
work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-demo.XXXXXX")"
processes=()

end() {
    local status=$?
    # Only what this script started.
    if [ "${#processes[@]}" -gt 0 ]; then
        kill "${processes[@]}" 2>/dev/null || true
        wait "${processes[@]}" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ]; then
        echo "demo: failed; the processes' last words:" >&2
        tail -n 5 "$work"/*.log >&2 || true
    fi
    rm -rf "$work"
}
trap end EXIT

# start NAME COMMAND...: in the background, its words in a log.
start() {
    local name="$1"
    shift
    "$@" >"$work/$name.log" 2>&1 &
    processes+=("$!")
}

# await FILE: until a process has written where it listens.
await() {
    local tries=0
    until [ -s "$1" ]; do
        kill -0 "${processes[-1]}" 2>/dev/null || die "the process that should write $1 has ended"
        tries=$((tries + 1))
        [ "$tries" -le 300 ] || die "nothing wrote $1"
        sleep 0.1
    done
}

say "SIMULATION: this shows the protocol; it keeps nothing secret. The network was trained on synthetic images alone, and is not for patients."

say "a model owner has a package (models/demo), and a clinic has the four images of a synthetic exam: a mass in the right breast, none in the left"
package=models/demo/package
"$cloister" model inspect "$package"
for view in L-CC R-CC L-MLO R-MLO; do
    case "$view" in
        R-*) masses=1 ;;
        *) masses=0 ;;
    esac
    "$cloister" synthetic --view "$view" --seed 7 --width 640 --height 832 --masses "$masses" --out "$work/$view.png"
done

say "the image's measurement (here: a digest of the enclave's program), and a KMS key that opens for it alone"
pcr0="$(sha384sum "$bin/cloister-enclave" | cut -d' ' -f1)"
pcr1="$(printf 'a kernel' | sha384sum | cut -d' ' -f1)"
pcr2="$(printf 'an application' | sha384sum | cut -d' ' -f1)"
"$bin/cloister-sim" nsm init --dir "$work/nsm"
cat >"$work/key-policy.json" <<EOF
{"Version": "2012-10-17", "Statement": [
  {"Sid": "owner", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
   "Action": ["kms:CreateKey", "kms:DescribeKey", "kms:GetKeyPolicy", "kms:PutKeyPolicy", "kms:GenerateDataKey"], "Resource": "*"},
  {"Sid": "enclave", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:role/cloister-parent"},
   "Action": "kms:Decrypt", "Resource": "*",
   "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": "$pcr0"}}}
]}
EOF
start kms "$bin/cloister-sim" kms --listen tcp://127.0.0.1:0 --nsm-root "$work/nsm/root.pem" --ca-out "$work/kms-ca.pem" \
    --address-out "$work/kms-address" --key-policy "$work/key-policy.json" --key-out "$work/key-arn"
await "$work/key-arn"
await "$work/kms-address"
kms_port="$(sed 's/.*://' "$work/kms-address")"
endpoint="https://localhost:$kms_port"
key="$(cat "$work/key-arn")"
echo "key $key"

say "the model owner seals the package under that key"
AWS_ACCESS_KEY_ID=CLOISTERSIMMODELOWNER AWS_SECRET_ACCESS_KEY=simulated-secret-of-the-model-owner \
    "$cloister" model seal --package "$package" --key-id "$key" --out "$work/model.sealed" \
    --endpoint "$endpoint" --ca "$work/kms-ca.pem"

say "the parent instance: proxy and relay; then the enclave"
{
    printf 'version = 1\n[model]\nname = "demo-synthetic"\nminimum_version = 1\nkey_arns = ["%s"]\n' "$key"
    printf '[kms]\nendpoint = "%s"\nca = """\n%s\n"""\n' "$endpoint" "$(cat "$work/kms-ca.pem")"
    printf '[parent]\ncontrol = "unix://%s/control"\negress = "unix://%s/egress"\n' "$work" "$work"
    printf '[serve]\nlisten = "unix://%s/enclave"\n' "$work"
} >"$work/enclave.toml"
printf 'allowlist:\n- {address: localhost, port: %s}\n' "$kms_port" >"$work/allowlist.yaml"
start proxy "$bin/cloister-proxy" --listen "unix://$work/egress" --config "$work/allowlist.yaml"
start parent env AWS_ACCESS_KEY_ID=CLOISTERSIMPARENT AWS_SECRET_ACCESS_KEY=simulated-secret-of-the-parent \
    AWS_SESSION_TOKEN=simulated-session-token-of-the-parent \
    "$bin/cloister-parent" --relay-listen tcp://127.0.0.1:0 --enclave "unix://$work/enclave" \
    --control-listen "unix://$work/control" --http-listen tcp://127.0.0.1:0 --model "$work/model.sealed" \
    --address-file "$work/parent.json"
start enclave "$bin/cloister-enclave" --config "$work/enclave.toml" --simulated-nsm "$work/nsm" \
    --simulated-pcr "0=$pcr0" --simulated-pcr "1=$pcr1" --simulated-pcr "2=$pcr2"
await "$work/parent.json"
server="$(sed -n 's/.*"relay": *"\([^"]*\)".*/\1/p' "$work/parent.json")"

say "the clinic pins image, model and configuration, verifies, and only then sends"
"$cloister" policy make --label "demo image" --pcr "0=$pcr0" --pcr "1=$pcr1" --pcr "2=$pcr2" \
    --package "$package" --config "$work/enclave.toml" --root "$work/nsm/root.pem" --out "$work/policy.toml"

if [ "$serve" = yes ]; then
    say "a hospital's gateway, and the exam as DICOM files"
    scripts/page.sh exam "$work"
    start gateway "$cloister" gateway --enclave "$server" --policy "$work/policy.toml" --listen "tcp://127.0.0.1:${CLOISTER_DEMO_PORT:-8080}" \
        --data "$work/gateway" --address-file "$work/gateway.json"
    await "$work/gateway.json"
    say "open http://127.0.0.1:${CLOISTER_DEMO_PORT:-8080} and drop the files of $work/exam on it; Ctrl-C ends it all and deletes them"
    # An order to end is how this one ends well.
    trap 'exit 0' INT TERM
    wait "${processes[-1]}"
    die "the gateway has ended by itself"
fi

"$cloister" classify --server "$server" --policy "$work/policy.toml" --image "$work/L-CC.png" --view L-CC --wait 120 \
    --receipt "$work/receipt.cbor"

say "the receipt is checked offline, by whoever keeps the policy, and computed again by whoever has the model"
"$cloister" receipt verify "$work/receipt.cbor" --policy "$work/policy.toml" --image "$work/L-CC.png"
"$cloister" receipt reproduce "$work/receipt.cbor" --policy "$work/policy.toml" --package "$package" --image "$work/L-CC.png"

say "a whole exam"
"$cloister" exam --server "$server" --policy "$work/policy.toml" --l-cc "$work/L-CC.png" --r-cc "$work/R-CC.png" \
    --l-mlo "$work/L-MLO.png" --r-mlo "$work/R-MLO.png" --crops 10 | tee "$work/exam"

# breast SIDE: that breast's score for masses, which this network has under the label malignant.
breast() { sed -n "s/^$1 *breast .*malignant  *\([0-9.]*\).*/\1/p" "$work/exam"; }
left="$(breast left)"
right="$(breast right)"
say "the score for a mass, which was drawn into the right breast alone: right $right, left $left"
awk -v right="$right" -v left="$left" 'BEGIN { exit !(right != "" && left != "" && right + 0 > left + 0) }' ||
    die "the breast with the mass does not score higher"
echo "the right breast scores higher, as it should"

say "a client that pins another image sends nothing"
"$cloister" policy make --label "another image" --pcr "0=$pcr1" --pcr "1=$pcr1" --pcr "2=$pcr2" \
    --package "$package" --root "$work/nsm/root.pem" --out "$work/other.toml"
if "$cloister" classify --server "$server" --policy "$work/other.toml" --image "$work/L-CC.png" --view L-CC; then
    die "an enclave with another measurement was accepted"
else
    [ "$?" -eq 77 ] || die "the refusal had another exit code than 77"
fi

say "done: the protocol worked. SIMULATION protects nothing, and a network that was trained on synthetic images says nothing about any patient."
