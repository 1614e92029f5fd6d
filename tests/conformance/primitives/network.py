"""The network: where Services and routes lead, which addresses they claim, and what isolates pods."""

from scanner.model.policy import Severity
from tests.builders import network_policy, rule
from tests.conformance.primitives.execute import NS, Gain, NearMiss, Primitive, call, everywhere, may, within
from tests.conformance.primitives.objects import CORE, thing

NETWORKING = "networking.k8s.io"
GATEWAY = "gateway.networking.k8s.io"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NS}/endpointslices"
POLICIES = f"/apis/{NETWORKING}/v1/namespaces/{NS}/networkpolicies"
INGRESSES = f"/apis/{NETWORKING}/v1/namespaces/{NS}/ingresses"
SLICE = thing(
    "EndpointSlice",
    "web-taken",
    api="discovery.k8s.io/v1",
    namespace=NS,
    addressType="IPv4",
    endpoints=[{"addresses": ["10.0.0.66"]}],
    ports=[{"name": "http", "port": 8080}],
)
SERVICE = thing("Service", "web", namespace=NS, spec={"ports": [{"port": 80}], "type": "LoadBalancer"})
ENDPOINTS = thing(
    "Endpoints", "web", namespace=NS, subsets=[{"addresses": [{"ip": "10.0.0.7"}], "ports": [{"port": 8080}]}]
)
POLICY = network_policy("default-deny", {}, namespace=NS, policyTypes=["Ingress", "Egress"])
INGRESS = thing(
    "Ingress",
    "taken",
    api=f"{NETWORKING}/v1",
    namespace=NS,
    spec={"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}, "tls": [{"secretName": "database"}]},
)
#: Isolation by other kinds: resource, API group, and whether they have no namespace.
OTHER_POLICIES = (
    ("adminnetworkpolicies", "policy.networking.k8s.io", True),
    ("clusternetworkpolicies", "policy.networking.k8s.io", True),
    ("ciliumnetworkpolicies", "cilium.io", False),
    ("ciliumclusterwidenetworkpolicies", "cilium.io", True),
    ("networkpolicies", "crd.projectcalico.org", False),
    ("globalnetworkpolicies", "projectcalico.org", True),
    ("clusternetworkpolicies", "crd.antrea.io", True),
)

PRIMITIVES = (
    Primitive(
        rows="64",
        name="create endpointslices",
        policy="rbac/redirect-services",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("create", "endpointslices", group="discovery.k8s.io")),),
        attempt=(call("POST", SLICES, SLICE),),
        near_misses=(
            NearMiss(why="the core group", given=(within(rule("create", "endpointslices")),)),
            NearMiss(
                why="reading and deleting",
                given=(within(rule("get list watch delete", "endpointslices", group="discovery.k8s.io")),),
            ),
        ),
    ),
    Primitive(
        rows="64",
        name="patch endpoints everywhere",
        policy="rbac/redirect-services",
        gains=Gain.READING,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("patch", "endpoints")),),
        attempt=(
            call(
                "PATCH",
                f"{CORE}/endpoints/web",
                {"subsets": [{"addresses": [{"ip": "10.0.0.66"}], "ports": [{"port": 8080}]}]},
            ),
        ),
        world=(ENDPOINTS,),
        near_misses=(
            NearMiss(why="others by their name", given=(everywhere(rule("patch", "endpoints", names="leader")),)),
            NearMiss(why="Services", given=(everywhere(rule("patch", "services")),)),
        ),
    ),
    Primitive(
        rows="65",
        name="create services",
        policy="rbac/claim-external-ips",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("create", "services")),),
        attempt=(
            call(
                "POST",
                f"{CORE}/services",
                thing(
                    "Service", "taken", namespace=NS, spec={"ports": [{"port": 443}], "externalIPs": ["203.0.113.10"]}
                ),
                dry_run=True,
            ),
        ),
        near_misses=(
            NearMiss(why="services of another group", given=(within(rule("*", "services", group="example.com")),)),
            NearMiss(why="reading and deleting", given=(within(rule("get list watch delete", "services")),)),
            NearMiss(why="create is not restricted by names", given=(within(rule("create", "services", names="web")),)),
        ),
    ),
    Primitive(
        rows="65",
        name="patch services everywhere",
        policy="rbac/claim-external-ips",
        gains=Gain.READING,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("patch", "services")),),
        attempt=(call("PATCH", f"{CORE}/services/web", {"spec": {"externalIPs": ["203.0.113.10"]}}, dry_run=True),),
        world=(SERVICE,),
        near_misses=(
            NearMiss(why="another one by its name", given=(everywhere(rule("patch", "services", names="api")),)),
        ),
    ),
    Primitive(
        rows="65",
        name="patch services/status",
        policy="rbac/redirect-services",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("patch", "services/status")),),
        attempt=(
            call(
                "PATCH",
                f"{CORE}/services/web/status",
                {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.10"}]}}},
            ),
        ),
        world=(SERVICE,),
        near_misses=(
            NearMiss(why="Services without their status", given=(within(rule("get patch update", "services")),)),
        ),
    ),
    Primitive(
        rows="66",
        name="delete networkpolicies",
        policy="rbac/modify-network-policies",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("delete", "networkpolicies", group=NETWORKING)),),
        attempt=(call("DELETE", f"{POLICIES}/default-deny"),),
        world=(POLICY,),
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(within(rule("delete", "networkpolicies", group=NETWORKING, names="checkout")),),
            ),
            NearMiss(why="reading", given=(within(rule("get list watch", "networkpolicies", group=NETWORKING)),)),
        ),
    ),
    Primitive(
        rows="66",
        name="create networkpolicies",
        policy="rbac/modify-network-policies",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("create", "networkpolicies", group=NETWORKING)),),
        attempt=(
            call("POST", POLICIES, network_policy("open", {}, namespace=NS, ingress=[{}], policyTypes=["Ingress"])),
        ),
        near_misses=(
            NearMiss(why="the group it was in", given=(within(rule("create", "networkpolicies", group="extensions")),)),
        ),
    ),
    *(
        Primitive(
            rows="66",
            name=f"patch {plural}.{group}",
            policy="rbac/modify-network-policies",
            gains=Gain.READING,
            severity=Severity.MEDIUM if is_global else Severity.LOW,
            given=((everywhere if is_global else within)(rule("patch", plural, group=group)),),
            attempt=(may("patch", plural, group=group, name="x", namespace="" if is_global else NS),),
            not_executable="it takes the network plugin's kinds; RBAC says whether its policies can be changed",
            near_misses=(
                NearMiss(
                    why="reading", given=((everywhere if is_global else within)(rule("get list", plural, group=group)),)
                ),
            ),
        )
        for plural, group, is_global in OTHER_POLICIES
    ),
    Primitive(
        rows="67",
        name="create ingresses",
        policy="rbac/route-public-traffic",
        gains=Gain.READING,
        severity=Severity.LOW,
        given=(within(rule("create", "ingresses", group=NETWORKING)),),
        attempt=(call("POST", INGRESSES, INGRESS),),
        near_misses=(
            NearMiss(why="their status", given=(within(rule("patch update", "ingresses/status", group=NETWORKING)),)),
            NearMiss(why="the group they were in", given=(within(rule("create", "ingresses", group="extensions")),)),
        ),
    ),
    Primitive(
        rows="67",
        name="patch ingresses everywhere",
        policy="rbac/route-public-traffic",
        gains=Gain.READING,
        severity=Severity.MEDIUM,
        given=(everywhere(rule("patch", "ingresses", group=NETWORKING)),),
        attempt=(
            call(
                "PATCH",
                f"{INGRESSES}/taken",
                {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "return 200;"}}},
            ),
        ),
        world=(INGRESS,),
        near_misses=(
            NearMiss(
                why="another one by its name",
                given=(everywhere(rule("patch", "ingresses", group=NETWORKING, names="web")),),
            ),
        ),
    ),
    *(
        Primitive(
            rows="67",
            name=f"create {plural}.{GATEWAY}",
            policy="rbac/route-public-traffic",
            gains=Gain.READING,
            severity=Severity.LOW,
            given=(within(rule("create", plural, group=GATEWAY)),),
            attempt=(may("create", plural, group=GATEWAY, namespace=NS),),
            not_executable="it takes a Gateway controller's kinds; RBAC says whether they can be created",
            near_misses=(
                NearMiss(why="another group", given=(within(rule("create", plural, group="networking.istio.io")),)),
            ),
        )
        for plural in ("gateways", "httproutes", "referencegrants")
    ),
)
