"""Mistakes on purpose: what is spoilt, how, and words of the complaint that must follow."""

from rules import CPUS, ENCLAVES, PAGES


def find(given, kind, name="cloister", overlay="example"):
    (found,) = [d for d in given["overlays"][overlay] if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def pod(given):
    return find(given, "Deployment")["spec"]["template"]["spec"]


def container(given):
    return pod(given)["containers"][0]


def job(given):
    (found,) = [d for d in given["job"] if d["kind"] == "Job"]
    return found["spec"]


def job_container(given):
    return job(given)["template"]["spec"]["containers"][0]


def share_nodes(given):
    pod(given)["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].clear()


def let_write(given):
    job_container(given)["securityContext"]["readOnlyRootFilesystem"] = False


def plugin(given):
    return given["plugin"]["awsNitroEnclavesK8SDaemonset"]["awsNitroEnclavesK8SDp"]["env"]


def cluster(given):
    return given["cluster"][0]


def annotate_both_ways(given):
    account = find(given, "ServiceAccount", overlay="pod-identity")
    account["metadata"]["annotations"] = {"eks.amazonaws.com/role-arn": "a role"}


def serve_metrics(given):
    find(given, "Service")["spec"]["ports"].append({"port": 8080, "targetPort": "http"})


def budget_others(given):
    find(given, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(app="other")


def scale_others(given):
    find(given, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(name="other")


def policy(given):
    return find(given, "NetworkPolicy")["spec"]


def node_class(given):
    return given["nodes"][0]["spec"]


def variable(given, name, value):
    for found in container(given)["env"]:
        if found["name"] == name:
            found["value"] = value


SPOILT = [
    ("an unequal request", lambda g: container(g)["resources"]["requests"].update({PAGES: "1Gi"}), PAGES),
    ("no enclave", lambda g: [r.pop(ENCLAVES) for r in container(g)["resources"].values()], "exactly one enclave"),
    ("another size of pages", lambda g: variable(g, "CLOISTER_MEMORY_MIB", "4096"), "the pod's resources say"),
    ("a misspelt variable", lambda g: container(g)["env"].append({"name": "CLOISTER_QUEUE", "value": "1"}), "knows no variable"),
    ("other CPUs", lambda g: container(g)["resources"]["limits"].update({CPUS: "4"}), "the pod's resources say"),
    ("a smaller launch template", lambda g: g["template"].update(EnclaveMemoryMiB=1024), "the launch template say"),
    ("other user data", lambda g: node_class(g).update(userData="#!/bin/bash\n"), "user data"),
    ("nodes that are shared", share_nodes, "share a node"),
    ("a plugin of four", lambda g: plugin(g).update(maxEnclavesPerNode="4"), "device plugin offers"),
    ("a group without the taint", lambda g: cluster(g)["managedNodeGroups"][1].update(taints=[]), "eksctl's group"),
    ("policies that nobody enforces", lambda g: cluster(g)["addons"][0].pop("configurationValues"), "enforce"),
    ("a privileged pod", lambda g: container(g)["securityContext"].update(privileged=True), "more than it has to"),
    ("a capability", lambda g: container(g)["securityContext"].update(capabilities={"drop": []}), "more than it has to"),
    ("a writable root", let_write, "more than it has to"),
    ("the node's network", lambda g: pod(g).update(hostNetwork=True), "namespace of its node"),
    ("a path of the node", lambda g: pod(g)["volumes"].append({"name": "dev", "hostPath": {"path": "/dev"}}), "path of its node"),
    ("a token", lambda g: pod(g).pop("automountServiceAccountToken"), "token for the Kubernetes API"),
    ("no seccomp", lambda g: pod(g).update(securityContext={}), "seccomp"),
    ("a probe of nothing", lambda g: container(g)["readinessProbe"]["httpGet"].update(path="/ready"), "readinessProbe"),
    ("another port", lambda g: variable(g, "CLOISTER_HTTP_LISTEN", "tcp://0.0.0.0:9090"), "port that is named http"),
    ("too short a grace", lambda g: pod(g).update(terminationGracePeriodSeconds=30), "before its clients"),
    ("a service of others", lambda g: find(g, "Service")["spec"]["selector"].update(app="other"), "service selects"),
    ("a service of the metrics", serve_metrics, "other ports than the relay"),
    ("a budget of others", budget_others, "disruption budget"),
    ("a scaler of others", scale_others, "scales something else"),
    ("a fixed number", lambda g: find(g, "Deployment")["spec"].update(replicas=2), "undo"),
    ("a metric that nobody has", lambda g: g["adapter"]["rules"]["custom"].clear(), "no rule for"),
    ("an open way out", lambda g: policy(g)["egress"].append({"ports": [{"port": 443}]}), "everything out"),
    ("a way to everywhere", lambda g: policy(g)["egress"][1]["to"].append({"ipBlock": {"cidr": "0.0.0.0/0"}}), "0.0.0.0/0"),
    ("the metadata service", lambda g: policy(g)["egress"][1]["to"].append({"ipBlock": {"cidr": "169.254.169.254/32"}}), "169.254.169.254"),
    ("one direction", lambda g: policy(g).update(policyTypes=["Ingress"]), "one direction"),
    ("metrics for everyone", lambda g: policy(g)["ingress"][1].pop("from"), "parent's metrics"),
    ("no port", lambda g: policy(g)["ingress"][0].update(ports=[]), "lets in at"),
    ("two ways to credentials", annotate_both_ways, "one way to AWS"),
    ("another number of shares", lambda g: job(g).update(completions=5), "number of indexes"),
    ("another image for the Job", lambda g: job_container(g).update(image="other"), "another image"),
    ("a chart behind", lambda g: g["chart"][0]["metadata"].update(name="other"), "chart and overlay differ"),
    ("an unknown field of Karpenter's", lambda g: node_class(g).update(enclaves=True), "EC2NodeClass: $.spec"),
    ("an unknown field of eksctl's", lambda g: cluster(g).update(nodes=[]), "ClusterConfig: $"),
]
