"""Random small clusters with Cilium's policies: plain objects as `kubectl` would take them, dense with near misses."""

from typing import Any

import hypothesis.strategies as st

NAMESPACES = ("ops", "shop")
NUMBERS = (1, 53, 80, 65535)
NAMES = ("web", "dns")
PROTOCOLS = ("TCP", "UDP", "SCTP")
#: Within, beside and around each other; two halves of a family; both families.
NETWORKS = ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "::/0", "fd00::/8")
_HOLES = {"0.0.0.0/0": ["10.0.0.0/8"], "10.0.0.0/8": ["10.1.0.0/16", "10.1.2.0/24"], "::/0": ["fd00::/8"]}

_VALUES = st.sampled_from(("a", "b", "c"))
_labels = st.dictionaries(st.sampled_from(("app", "tier")), _VALUES, max_size=2)
_namespaces = st.sampled_from(NAMESPACES)
_accounts = st.sampled_from(("default", "robot"))
_sources = st.sampled_from(("", "k8s:", "any:"))


@st.composite
def _requirements(draw: st.DrawFn) -> dict[str, Any]:
    key, values = draw(
        st.sampled_from(
            (
                ("app", ("a", "b")),
                ("tier", ("a", "b")),
                ("io.kubernetes.pod.namespace", NAMESPACES),
                ("io.cilium.k8s.namespace.labels.app", ("a", "b")),
                ("io.cilium.k8s.policy.serviceaccount", ("default", "robot")),
            )
        )
    )
    operator = draw(st.sampled_from(("In", "NotIn", "Exists", "DoesNotExist")))
    found: dict[str, Any] = {"key": draw(_sources) + key, "operator": operator}
    if operator in {"In", "NotIn"}:
        found["values"] = draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))
    return found


@st.composite
def _selectors(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if draw(st.booleans()):
        wanted = draw(_labels)
        if draw(st.integers(0, 4)) == 0:
            wanted = wanted | {"io.kubernetes.pod.namespace": draw(_namespaces)}
        if draw(st.integers(0, 4)) == 0:
            wanted = wanted | {"io.cilium.k8s.policy.serviceaccount": draw(_accounts)}
        found["matchLabels"] = {draw(_sources) + key: value for key, value in wanted.items()}
    if draw(st.integers(0, 2)) == 0:
        found["matchExpressions"] = draw(st.lists(_requirements(), min_size=1, max_size=2))
    return found


@st.composite
def _ports(draw: st.DrawFn) -> dict[str, Any]:
    protocol = draw(st.sampled_from(({}, {"protocol": "ANY"}, *({"protocol": p} for p in PROTOCOLS))))
    match draw(st.sampled_from(("number", "range", "name", "zero"))):
        case "number":
            return {"port": str(draw(st.sampled_from(NUMBERS)))} | protocol
        case "range":
            first, last = sorted((draw(st.sampled_from(NUMBERS)), draw(st.sampled_from(NUMBERS))))
            return {"port": str(first), "endPort": last} | protocol
        case "name":
            return {"port": draw(st.sampled_from(NAMES))} | protocol
        case _:
            return {"port": "0"} | protocol


@st.composite
def _port_rules(draw: st.DrawFn, *, is_layer_7: bool) -> dict[str, Any]:
    ports = {"ports": draw(st.lists(_ports(), min_size=1, max_size=2))}
    if not is_layer_7:
        return ports
    return ports | draw(st.sampled_from(({}, {"rules": {"http": [{"method": "GET"}]}}, {"serverNames": ["a.example"]})))


@st.composite
def _cidr_rules(draw: st.DrawFn) -> dict[str, Any]:
    match draw(st.sampled_from(("cidr", "name", "label"))):
        case "cidr":
            cidr = draw(st.sampled_from(NETWORKS))
            return {"cidr": cidr} | ({"except": _HOLES.get(cidr, [])} if draw(st.booleans()) else {})
        case "name":
            found = {"cidrGroupRef": draw(st.sampled_from(("one", "two")))}
            return found | ({"except": ["10.1.0.0/16"]} if draw(st.booleans()) else {})
        case _:
            return {"cidrGroupSelector": {"matchLabels": {"app": draw(_VALUES)}}}


@st.composite
def _rules(draw: st.DrawFn, direction: str, *, is_denial: bool, with_doubts: bool) -> dict[str, Any]:
    prefix = "from" if direction == "ingress" else "to"
    entities = st.sampled_from(("all", "world", "cluster", "world-ipv4", "world-ipv6", "none", "health"))
    service = st.fixed_dictionaries({"serviceName": st.just("svc"), "namespace": _namespaces})
    peers: dict[str, st.SearchStrategy[Any]] = {
        "Endpoints": _selectors(),
        "Entities": entities,
        "CIDR": st.sampled_from(NETWORKS),
        "CIDRSet": _cidr_rules(),
    }
    if direction == "egress":
        peers["Services"] = st.fixed_dictionaries({"k8sService": service})
        if with_doubts and not is_denial:
            peers["FQDNs"] = st.just({"matchName": "a.example"})
    kind = draw(st.sampled_from(("", *peers, "Endpoints")))
    rule: dict[str, Any] = {}
    if kind:
        least = 1 if kind in {"Services", "FQDNs"} else 0
        rule[prefix + kind] = draw(st.lists(peers[kind], min_size=least, max_size=2))
    if kind != "Services" and draw(st.booleans()):
        part = _port_rules(is_layer_7=with_doubts and not is_denial)
        rule["toPorts"] = draw(st.lists(part, max_size=2))
    elif draw(st.integers(0, 9)) == 0:
        rule["icmps"] = [{"fields": [{"type": 8}]}]
    if with_doubts and draw(st.integers(0, 9)) == 0:
        rule[f"{prefix}Requires"] = [draw(_selectors())]
    return rule


@st.composite
def _specs(draw: st.DrawFn, *, with_doubts: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"endpointSelector": draw(_selectors())}
    for direction in ("ingress", "egress"):
        for suffix, is_denial in (("", False), ("Deny", True)):
            if draw(st.integers(0, 2)) == 0:
                rules = _rules(direction, is_denial=is_denial, with_doubts=with_doubts)
                spec[direction + suffix] = draw(st.lists(rules, max_size=2))
    if draw(st.integers(0, 3)) == 0:
        said = st.dictionaries(st.sampled_from(("ingress", "egress")), st.booleans())
        spec["enableDefaultDeny"] = draw(said)
    return spec


@st.composite
def _policies(draw: st.DrawFn, number: int, *, with_doubts: bool) -> dict[str, Any]:
    namespace = draw(st.sampled_from((*NAMESPACES, "")))
    specs = draw(st.lists(_specs(with_doubts=with_doubts), min_size=1, max_size=2))
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy" if namespace else "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": f"policy-{number}"} | ({"namespace": namespace} if namespace else {}),
    } | ({"spec": specs[0]} if len(specs) == 1 else {"specs": specs})


@st.composite
def _network_policies(draw: st.DrawFn) -> dict[str, Any]:
    selector = st.builds(lambda labels: {"podSelector": {"matchLabels": labels}}, _labels)
    spec: dict[str, Any] = {"podSelector": {"matchLabels": draw(_labels)}}
    if draw(st.booleans()):
        spec["ingress"] = draw(st.lists(st.fixed_dictionaries({"from": st.lists(selector, max_size=2)}), max_size=1))
    if draw(st.booleans()):
        spec["egress"] = draw(st.lists(st.fixed_dictionaries({"to": st.lists(selector, max_size=2)}), max_size=1))
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "plain", "namespace": draw(_namespaces)},
        "spec": spec,
    }


@st.composite
def _pods(draw: st.DrawFn, name: str) -> dict[str, Any]:
    ports = [
        {"name": port, "containerPort": draw(st.sampled_from(NUMBERS)), "protocol": draw(st.sampled_from(PROTOCOLS))}
        for port in NAMES
        if draw(st.booleans())
    ]
    spec: dict[str, Any] = {"containers": [{"name": "app", "image": "registry.example.com/app:1", "ports": ports}]}
    if draw(st.booleans()):
        spec["serviceAccountName"] = draw(_accounts)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": draw(_namespaces), "labels": draw(_labels)},
        "spec": spec,
        "status": {"phase": "Running"},
    }


@st.composite
def cilium_worlds(draw: st.DrawFn, *, with_doubts: bool = False) -> list[dict[str, Any]]:
    """Draw a cluster: namespaces, bare pods, a Service and a group of CIDRs or none, Cilium's policies, one plain."""
    found = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": draw(_labels)}}
        for name in NAMESPACES
    ]
    found += [draw(_pods(f"pod-{n}")) for n in range(draw(st.integers(2, 4)))]
    if draw(st.booleans()):
        metadata = {"name": "svc", "namespace": draw(_namespaces)}
        selector = {"app": draw(_VALUES)}
        found.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": selector}})
    if draw(st.booleans()):
        cidrs = draw(st.lists(st.sampled_from(NETWORKS), max_size=2))
        group = {"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup"}
        found.append(group | {"metadata": {"name": "one", "labels": draw(_labels)}, "spec": {"externalCIDRs": cidrs}})
    if draw(st.booleans()):
        found.append(draw(_network_policies()))
    return found + [draw(_policies(n, with_doubts=with_doubts)) for n in range(draw(st.integers(1, 3)))]
