"""Holds the rendered manifests against what a pod with an enclave needs, and against each other; then shows that each check can fail."""

import copy
import json
import pathlib
import re
import sys

import jsonschema
import yaml
from rules import PROBLEMS, Deployment
from schemas import BY_KIND
from spoilt import SPOILT


def load(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def against_schemas(documents):
    for document in documents:
        schema = BY_KIND.get(document["kind"])
        if schema:
            for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
                yield f"{document['kind']}: {error.json_path}: {error.message}"


def cloudformation_defaults(path):
    """The parameters' defaults. The short forms of functions, such as !Ref, are nothing that is looked at."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    parameters = yaml.load(path.read_text(), Loader)["Parameters"]
    return {name: parameter["Default"] for name, parameter in parameters.items()}


def by_name(documents):
    """What a cluster is given, by kind and name. The order of a container's variables means nothing here."""
    documents = copy.deepcopy(documents)
    for document in documents:
        if document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                container["env"].sort(key=lambda variable: variable["name"])
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


def chart_differs(kustomize, chart):
    ours, theirs = by_name(kustomize), by_name(chart)
    # The namespace is helm's to make.
    ours.pop(("Namespace", "cloister"), None)
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            yield f"chart and overlay differ in {name}: {json.dumps(theirs.get(name))} and {json.dumps(ours.get(name))}"


def all_problems(given):
    for documents in given["overlays"].values():
        deployment = Deployment(documents, given)
        for check in PROBLEMS:
            yield from check(deployment)
    for documents in [*given["overlays"].values(), given["cluster"], given["nodes"]]:
        yield from against_schemas(documents)
    yield from chart_differs(given["overlays"]["example"], given["chart"])


def main():
    rendered, deploy, pod = map(pathlib.Path, sys.argv[1:])
    given = {
        "overlays": {name: load(rendered / f"{name}.yaml") for name in ("example", "pod-identity")},
        "chart": load(rendered / "helm.yaml"),
        "job": load(rendered / "archive-job.yaml"),
        "cluster": load(deploy / "eksctl/cluster.yaml"),
        "nodes": load(deploy / "karpenter/nodes.yaml"),
        "template": cloudformation_defaults(deploy / "cloudformation/nodes.yaml"),
        "plugin": load(deploy / "device-plugin/values.yaml")[0],
        "known": set(re.findall(r"\bCLOISTER_[A-Z_]+", (pod / "settings.sh").read_text())),
        "adapter": load(deploy / "prometheus/adapter-values.yaml")[0],
    }
    problems = list(all_problems(given))
    for problem in problems:
        print(f"deploy: {problem}", file=sys.stderr)
    for name, spoil, words in SPOILT:
        spoilt = copy.deepcopy(given)
        spoil(spoilt)
        found = list(all_problems(spoilt))
        if not any(words in problem for problem in found):
            print(f"deploy: {name} was not seen; what was: {found}", file=sys.stderr)
            problems.append(name)
    if problems:
        sys.exit(1)
    print(f"{len(PROBLEMS)} checks hold; {len(SPOILT)} mistakes on purpose were each seen", file=sys.stderr)


if __name__ == "__main__":
    main()
