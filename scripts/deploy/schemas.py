"""Closed schemas of the objects that no schema could be had for: just the fields that deploy/ uses, as their documentation has them.

Karpenter:  karpenter.sh/v1.15/concepts/{nodeclasses,nodepools,nodeoverlays} and tasks/nitro-enclaves
eksctl:     docs.aws.amazon.com/eks/latest/eksctl/schema.html
Prometheus: prometheus-operator.dev/docs/api-reference/api (PodMonitor)
"""

TEXT = {"type": "string"}
TRUTH = {"type": "boolean"}
NUMBER = {"type": "integer", "minimum": 0}
WORDS = {"type": "object", "additionalProperties": TEXT}


def closed(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def several(of):
    return {"type": "array", "items": of, "minItems": 1}


def one_of(*values):
    return {"enum": list(values)}


def kind(version, name, **rest):
    metadata = closed(["name"], name=TEXT, namespace=TEXT, labels=WORDS, annotations=WORDS)
    rest = {"metadata": metadata, **rest}
    return closed(["apiVersion", "kind", *rest], apiVersion=one_of(version), kind=one_of(name), **rest)


TAINT = closed(["key", "effect"], key=TEXT, value=TEXT, effect=one_of("NoSchedule", "NoExecute", "PreferNoSchedule"))
REQUIREMENT = closed(
    ["key", "operator"],
    key=TEXT,
    operator=one_of("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"),
    values={"type": "array", "items": TEXT},
)
BY_TAGS = several(closed(["tags"], tags=WORDS))

NODE_CLASS = kind(
    "karpenter.k8s.aws/v1",
    "EC2NodeClass",
    spec=closed(
        ["amiSelectorTerms", "subnetSelectorTerms", "securityGroupSelectorTerms", "role", "enclaveOptions"],
        enclaveOptions=closed(["enabled"], enabled=TRUTH),
        amiFamily=one_of("AL2023"),
        amiSelectorTerms=several(closed(["alias"], alias={"type": "string", "pattern": "^al2023@"})),
        role=TEXT,
        subnetSelectorTerms=BY_TAGS,
        securityGroupSelectorTerms=BY_TAGS,
        metadataOptions=closed(
            httpEndpoint=one_of("enabled", "disabled"),
            httpTokens=one_of("required", "optional"),
            httpPutResponseHopLimit={"type": "integer", "minimum": 1, "maximum": 64},
        ),
        blockDeviceMappings=several(
            closed(
                deviceName=TEXT,
                ebs=closed(volumeSize={"type": "string", "pattern": "^[1-9][0-9]*Gi$"}, volumeType=one_of("gp3"), encrypted=TRUTH),
            )
        ),
        userData=TEXT,
    ),
)

NODE_POOL = kind(
    "karpenter.sh/v1",
    "NodePool",
    spec=closed(
        ["template"],
        template=closed(
            ["spec"],
            metadata=closed(labels=WORDS),
            spec=closed(
                ["nodeClassRef", "requirements"],
                nodeClassRef=closed(["group", "kind", "name"], group=TEXT, kind=TEXT, name=TEXT),
                taints=several(TAINT),
                requirements=several(REQUIREMENT),
            ),
        ),
        disruption=closed(
            ["consolidateAfter"],
            consolidationPolicy=one_of("WhenEmpty", "WhenEmptyOrUnderutilized"),
            consolidateAfter={"type": "string", "pattern": "^(([0-9]+(s|m|h))+|Never)$"},
        ),
        limits={"type": "object", "additionalProperties": {"type": ["integer", "string"]}},
    ),
)

NODE_OVERLAY = kind(
    "karpenter.sh/v1alpha1", "NodeOverlay", spec=closed(["requirements"], requirements=several(REQUIREMENT), capacity=WORDS)
)

CLUSTER = closed(
    ["apiVersion", "kind", "metadata"],
    apiVersion=one_of("eksctl.io/v1alpha5"),
    kind=one_of("ClusterConfig"),
    metadata=closed(["name", "region"], name=TEXT, region=TEXT, version={"type": "string", "pattern": r"^1\.[0-9]+$"}),
    iam=closed(
        withOIDC=TRUTH,
        serviceAccounts=several(
            closed(
                ["metadata"],
                metadata=closed(["name"], name=TEXT, namespace=TEXT),
                roleName=TEXT,
                roleOnly=TRUTH,
                attachPolicy={"type": "object"},
            )
        ),
    ),
    addons=several(closed(["name"], name=TEXT, configurationValues=TEXT)),
    managedNodeGroups=several(
        closed(
            ["name"],
            name=TEXT,
            instanceType=TEXT,
            launchTemplate=closed(["id"], id={"type": "string", "pattern": "^lt-[0-9a-f]{17}$"}, version=TEXT),
            minSize=NUMBER,
            desiredCapacity=NUMBER,
            maxSize=NUMBER,
            privateNetworking=TRUTH,
            disableIMDSv1=TRUTH,
            labels=WORDS,
            taints=several(TAINT),
        )
    ),
)

POD_MONITOR = kind(
    "monitoring.coreos.com/v1",
    "PodMonitor",
    spec=closed(
        ["selector", "podMetricsEndpoints"],
        selector=closed(["matchLabels"], matchLabels=WORDS),
        podMetricsEndpoints=several(
            closed(["port"], port=TEXT, path=TEXT, scheme=one_of("http", "https"), tlsConfig=closed(insecureSkipVerify=TRUTH))
        ),
    ),
)

BY_KIND = {
    "EC2NodeClass": NODE_CLASS,
    "NodePool": NODE_POOL,
    "NodeOverlay": NODE_OVERLAY,
    "ClusterConfig": CLUSTER,
    "PodMonitor": POD_MONITOR,
}
