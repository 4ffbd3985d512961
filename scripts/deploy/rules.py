"""What must hold of the manifests: each rule gives a sentence for each way in which it does not."""

ENCLAVES = "aws.ec2.nitro/nitro_enclaves"
CPUS = "aws.ec2.nitro/nitro_enclaves_cpus"
PAGES = "hugepages-1Gi"
LABEL = "aws-nitro-enclaves-k8s-dp"
METADATA_SERVICE = "169.254.169.254"


class Deployment:
    """One overlay's objects, by kind, beside everything else that is given."""

    def __init__(self, documents, given):
        self.documents = documents
        self.given = given
        self.object = self.one("Deployment", "cloister")
        self.template = self.object["spec"]["template"]
        self.pod = self.template["spec"]
        self.labels = self.template["metadata"]["labels"]
        (self.container,) = self.pod["containers"]
        self.variables = {variable["name"]: variable["value"] for variable in self.container["env"]}
        self.ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.limits = self.container["resources"]["limits"]

    def one(self, kind, name):
        (found,) = [d for d in self.documents if d["kind"] == kind and d["metadata"]["name"] == name]
        return found


def resources(deployment):
    for name in (ENCLAVES, CPUS, PAGES, "cpu", "memory"):
        requested, limit = (deployment.container["resources"][which].get(name) for which in ("requests", "limits"))
        if requested is None or requested != limit:
            yield f"{name} is requested as {requested} and limited to {limit}"
    if deployment.limits.get(ENCLAVES) != "1":
        yield "a pod has not exactly one enclave"


def sizes(deployment):
    """What the enclave is given is what the pod asks for, and what each kind of node sets aside."""
    cpus, mib = int(deployment.variables["CLOISTER_CPUS"]), int(deployment.variables["CLOISTER_MEMORY_MIB"])
    template = deployment.given["template"]
    (overlay,) = [d for d in deployment.given["nodes"] if d["kind"] == "NodeOverlay"]
    (node_class,) = [d for d in deployment.given["nodes"] if d["kind"] == "EC2NodeClass"]
    capacity = overlay["spec"]["capacity"]
    for what, found in [
        ("the pod's resources", (int(deployment.limits[CPUS]), gib(deployment.limits[PAGES]))),
        ("the launch template", (template["EnclaveCpus"], template["EnclaveMemoryMiB"])),
        ("Karpenter's overlay", (int(capacity[CPUS]), gib(capacity[PAGES]))),
    ]:
        if found != (cpus, mib):
            yield f"{what} say {found} CPUs and MiB, and the pod's variables {(cpus, mib)}"
    if f" {mib} {cpus} >/etc/nitro_enclaves/allocator.yaml" not in node_class["spec"]["userData"]:
        yield "Karpenter's user data sets aside something else than the pod asks for"


def gib(text):
    return int(text.removesuffix("Gi")) * 1024


def one_pod_a_node(deployment):
    required = deployment.pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    apart = [term for term in required if term["topologyKey"] == "kubernetes.io/hostname"]
    if not any(term["labelSelector"]["matchLabels"].items() <= deployment.labels.items() for term in apart):
        yield "two pods may share a node, and so its vsock ports"
    plugin = deployment.given["plugin"]["awsNitroEnclavesK8SDaemonset"]
    variables = plugin["awsNitroEnclavesK8SDp"]["env"]
    if variables["maxEnclavesPerNode"] != "1" or variables["enclaveCpuAdvertisement"] != "true":
        yield "the device plugin offers something else than one enclave a node, and its CPUs"
    if plugin["tolerations"] != deployment.pod["tolerations"]:
        yield "pod and device plugin do not tolerate the same nodes"


def nodes(deployment):
    """The three that make nodes give them the label and the taint that the pod selects and tolerates."""
    (toleration,) = deployment.pod["tolerations"]
    taint = {"key": toleration["key"], "value": toleration["value"], "effect": toleration["effect"]}
    (pool,) = [d for d in deployment.given["nodes"] if d["kind"] == "NodePool"]
    (group,) = [g for g in deployment.given["cluster"][0]["managedNodeGroups"] if "launchTemplate" in g]
    template = pool["spec"]["template"]
    for what, labels, taints in [
        ("Karpenter's pool", template["metadata"]["labels"], template["spec"]["taints"]),
        ("eksctl's group", group["labels"], group["taints"]),
    ]:
        if not deployment.pod["nodeSelector"].items() <= labels.items() or taints != [taint]:
            yield f"{what} makes nodes that the pod does not take"
    addons = {addon["name"]: addon for addon in deployment.given["cluster"][0]["addons"]}
    if '"enableNetworkPolicy": "true"' not in addons["vpc-cni"].get("configurationValues", ""):
        yield "the cluster does not enforce network policies"


def security(deployment):
    pods = [deployment.pod, *(d["spec"]["template"]["spec"] for d in deployment.given["job"] if d["kind"] == "Job")]
    for pod in pods:
        if pod.get("automountServiceAccountToken") is not False:
            yield "a pod has a token for the Kubernetes API"
        if pod["securityContext"].get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield "a pod has no seccomp profile"
        if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            yield "a pod shares a namespace of its node"
        if any("hostPath" in volume for volume in pod["volumes"]):
            yield "a pod mounts a path of its node"
        for container in pod["containers"] + pod.get("initContainers", []):
            context = container["securityContext"]
            tight = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            if not tight.items() <= context.items() or context.get("privileged"):
                yield f"the container {container['name']} may do more than it has to"


def probes(deployment):
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for name, path in paths.items():
        asked = deployment.container.get(name, {}).get("httpGet")
        if asked != {"path": path, "port": "http"} or "http" not in deployment.ports:
            yield f"the {name} asks for {asked}"
    for name, port in deployment.ports.items():
        if deployment.variables[f"CLOISTER_{name.upper()}_LISTEN"] != f"tcp://0.0.0.0:{port}":
            yield f"the pod does not listen at the port that is named {name}"
    if deployment.pod["terminationGracePeriodSeconds"] < int(deployment.variables["CLOISTER_DRAIN_SECONDS"]) + 60:
        yield "the pod is killed before its clients could finish"


def services(deployment):
    service = deployment.one("Service", "cloister")["spec"]
    if not service["selector"].items() <= deployment.labels.items():
        yield "the service selects other pods"
    if [(port["port"], port["targetPort"]) for port in service["ports"]] != [(deployment.ports["relay"], "relay")]:
        yield "the service has other ports than the relay's"
    budget = deployment.one("PodDisruptionBudget", "cloister")["spec"]
    if not budget["selector"]["matchLabels"].items() <= deployment.labels.items():
        yield "the disruption budget is for other pods"
    if deployment.pod["serviceAccountName"] != deployment.one("ServiceAccount", "cloister")["metadata"]["name"]:
        yield "the pod runs under another service account"


def scaling(deployment):
    scaler = deployment.one("HorizontalPodAutoscaler", "cloister")["spec"]
    target = scaler["scaleTargetRef"]
    named = (deployment.object["apiVersion"], deployment.object["kind"], deployment.object["metadata"]["name"])
    if (target["apiVersion"], target["kind"], target["name"]) != named:
        yield "the autoscaler scales something else"
    if "replicas" in deployment.object["spec"]:
        yield "each apply would undo what the autoscaler did"
    (metric,) = [metric["pods"]["metric"]["name"] for metric in scaler["metrics"]]
    rules = deployment.given["adapter"]["rules"]["custom"]
    if not any(rule["name"]["matches"] == metric and rule["seriesQuery"].startswith(f"{metric}{{") for rule in rules):
        yield f"the adapter has no rule for {metric}"
    monitor = deployment.one("PodMonitor", "cloister")["spec"]
    if not monitor["selector"]["matchLabels"].items() <= deployment.labels.items():
        yield "the monitor scrapes other pods"
    if {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} != deployment.ports.keys():
        yield "the monitor scrapes other ports than the pod's"


def network(deployment):
    """Nothing is let in or out but what is listed: a rule without peers, or a policy of one direction, would let everything."""
    policy = deployment.one("NetworkPolicy", "cloister")["spec"]
    if not policy["podSelector"].get("matchLabels", {}).items() <= deployment.labels.items():
        yield "the network policy is for other pods"
    if sorted(policy["policyTypes"]) != ["Egress", "Ingress"]:
        yield "the network policy leaves one direction open"
    for rule in policy["egress"]:
        if not rule.get("to") or not rule.get("ports"):
            yield "a rule lets everything out"
        for peer in rule.get("to", []):
            network = peer.get("ipBlock", {}).get("cidr", "")
            if network.endswith("/0") or network.startswith(METADATA_SERVICE):
                yield f"a rule lets the pod reach {network}"
    for rule in policy["ingress"]:
        ports = {port["port"] for port in rule.get("ports", [])}
        if not ports or not ports <= set(deployment.ports.values()):
            yield f"a rule lets in at {sorted(ports)}"
        if deployment.ports["http"] in ports and not rule.get("from"):
            yield "everyone may read the parent's metrics"


def role(deployment):
    account = deployment.one("ServiceAccount", "cloister")
    annotated = "eks.amazonaws.com/role-arn" in account["metadata"].get("annotations", {})
    policy = deployment.one("NetworkPolicy", "cloister")["spec"]
    networks = [peer.get("ipBlock", {}).get("cidr") for rule in policy["egress"] for peer in rule.get("to", [])]
    if annotated == ("169.254.170.23/32" in networks):
        yield "it is not one way to AWS credentials: the role's annotation, or Pod Identity's agent"


def variables(deployment):
    for name in deployment.variables:
        if name.startswith("CLOISTER_") and name not in deployment.given["known"]:
            yield f"the pod's script knows no variable {name}"


def archive(deployment):
    (job,) = [d for d in deployment.given["job"] if d["kind"] == "Job"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    if job["spec"]["completionMode"] != "Indexed" or f"--of={job['spec']['completions']}" not in container["args"]:
        yield "the Job has another number of indexes than the archive of shares"
    service = deployment.one("Service", "cloister")
    address = f"--server=tcp://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    if address not in container["args"]:
        yield f"the Job does not ask at {address}"
    if container["image"] != deployment.container["image"]:
        yield "the Job runs another image than the pod"
    mounted = {mount["mountPath"]: mount.get("readOnly", False) for mount in container["volumeMounts"]}
    if not (mounted["/archive"] and mounted["/etc/cloister-archive"]) or mounted["/results"]:
        yield "the Job could write to the archive, or could not write results"


PROBLEMS = [resources, sizes, one_pod_a_node, nodes, security, probes, services, scaling, network, role, variables, archive]
