"""Random small clusters with policies: plain objects as `kubectl` would take them, dense with near misses."""

from typing import Any

import hypothesis.strategies as st

from tests.analysis.network.calico_brute_force import ENDPOINT_SELECTORS, NAMED_SELECTORS

NAMESPACES = ("ops", "shop")
NUMBERS = (1, 53, 80, 65535)
NAMES = ("web", "dns")
PROTOCOLS = ("TCP", "UDP", "SCTP")
#: Within, beside and around each other; two halves of a family; both families.
NETWORKS = ("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "::/0", "fd00::/8")
#: Addresses of pods.
ADDRESSES = ("10.1.0.5", "10.9.0.5", "172.16.0.5", "fd00::5")

_labels = st.dictionaries(st.sampled_from(("app", "tier")), st.sampled_from(("a", "b", "c")), max_size=2)
_requirements = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(("app", "tier")),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": st.lists(st.sampled_from(("a", "b")), min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {"key": st.sampled_from(("app", "tier")), "operator": st.sampled_from(("Exists", "DoesNotExist"))}
    ),
)
_selectors = st.one_of(
    st.just({}),
    st.builds(lambda labels: {"matchLabels": labels}, _labels),
    st.builds(lambda found: {"matchExpressions": found}, st.lists(_requirements, min_size=1, max_size=2)),
)
_protocols = st.sampled_from(PROTOCOLS)
_numbers = st.sampled_from(NUMBERS)


@st.composite
def _spans(draw: st.DrawFn) -> tuple[int, int]:
    first, last = sorted((draw(_numbers), draw(_numbers)))
    return first, last


def _optional(draw: st.DrawFn, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw some of these fields."""
    return {name: draw(strategy) for name, strategy in fields.items() if draw(st.booleans())}


@st.composite
def _pods(draw: st.DrawFn, name: str, *, with_addresses: bool, with_host_pods: bool) -> dict[str, Any]:
    ports = [
        {"name": port, "containerPort": draw(_numbers), "protocol": draw(_protocols)}
        for port in NAMES
        if draw(st.booleans())
    ]
    spec: dict[str, Any] = {"containers": [{"name": "app", "image": "registry.example.com/app:1", "ports": ports}]}
    if with_host_pods and draw(st.booleans()):
        spec["hostNetwork"] = True
    status = {"podIPs": [{"ip": draw(st.sampled_from(ADDRESSES))}]} if with_addresses else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": draw(st.sampled_from(NAMESPACES)), "labels": draw(_labels)},
        "spec": spec,
        "status": {"phase": "Running"} | status,
    }


@st.composite
def _np_ports(draw: st.DrawFn) -> dict[str, Any]:
    match draw(st.sampled_from(("all", "number", "range", "name"))):
        case "all":
            return {"protocol": draw(_protocols)}
        case "number":
            return {"port": draw(_numbers)} | _optional(draw, protocol=_protocols)
        case "range":
            first, last = draw(_spans())
            return {"protocol": draw(_protocols), "port": first, "endPort": last}
        case _:
            return {"protocol": draw(_protocols), "port": draw(st.sampled_from(NAMES))}


@st.composite
def _np_peers(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        cidr = draw(st.sampled_from(NETWORKS))
        inside = {"0.0.0.0/0": ["10.0.0.0/8"], "10.0.0.0/8": ["10.1.0.0/16", "10.1.2.0/24"], "::/0": ["fd00::/8"]}
        return {"ipBlock": {"cidr": cidr} | _optional(draw, **{"except": st.just(inside.get(cidr, []))})}
    return _optional(draw, podSelector=_selectors, namespaceSelector=_selectors) or {"podSelector": draw(_selectors)}


@st.composite
def _np_rules(draw: st.DrawFn, peers: str) -> dict[str, Any]:
    return _optional(draw, **{peers: st.lists(_np_peers(), max_size=2), "ports": st.lists(_np_ports(), max_size=2)})


@st.composite
def _network_policies(draw: st.DrawFn, name: str) -> dict[str, Any]:
    spec = {"podSelector": draw(_selectors)} | _optional(
        draw,
        policyTypes=st.lists(st.sampled_from(("Ingress", "Egress")), max_size=2, unique=True),
        ingress=st.lists(_np_rules("from"), max_size=2),
        egress=st.lists(_np_rules("to"), max_size=2),
    )
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": draw(st.sampled_from(NAMESPACES))},
        "spec": spec,
    }


@st.composite
def _selected(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"namespaces": draw(_selectors)}
    return {"pods": {"namespaceSelector": draw(_selectors), "podSelector": draw(_selectors)}}


@st.composite
def _admin_ports(draw: st.DrawFn) -> dict[str, Any]:
    match draw(st.sampled_from(("number", "range", "name"))):
        case "number":
            return {"portNumber": {"protocol": draw(_protocols), "port": draw(_numbers)}}
        case "range":
            first, last = draw(_spans())
            return {"portRange": {"protocol": draw(_protocols), "start": first, "end": last}}
        case _:
            return {"namedPort": draw(st.sampled_from(NAMES))}


@st.composite
def _cluster_protocols(draw: st.DrawFn) -> dict[str, Any]:
    protocol = draw(st.sampled_from(("tcp", "udp", "sctp", "name")))
    if protocol == "name":
        return {"destinationNamedPort": draw(st.sampled_from(NAMES))}
    first, last = draw(_spans())
    port = {"number": first} if draw(st.booleans()) else {"range": {"start": first, "end": last}}
    return {protocol: draw(st.sampled_from(({}, {"destinationPort": port})))}


@st.composite
def _ordered_rules(draw: st.DrawFn, kind: str, peers: str, *, with_networks: bool) -> dict[str, Any]:
    allow = "Accept" if kind == "ClusterNetworkPolicy" else "Allow"
    actions = (allow, "Deny") if kind == "BaselineAdminNetworkPolicy" else (allow, "Deny", "Pass")
    peer: st.SearchStrategy[dict[str, Any]] = _selected()
    if peers == "to" and with_networks:
        networks = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True)
        peer = st.one_of(peer, st.fixed_dictionaries({"networks": networks}))
    rule = {"action": draw(st.sampled_from(actions)), peers: draw(st.lists(peer, min_size=1, max_size=2))}
    if kind == "ClusterNetworkPolicy":
        return rule | _optional(draw, protocols=st.lists(_cluster_protocols(), min_size=1, max_size=2))
    return rule | _optional(draw, ports=st.lists(_admin_ports(), min_size=1, max_size=2))


@st.composite
def _ordered_policies(draw: st.DrawFn, number: int, *, with_networks: bool) -> dict[str, Any]:
    """Draw a policy of one of the kinds whose rules are asked in order; two may have one priority."""
    kind = draw(st.sampled_from(("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")))
    spec: dict[str, Any] = {"subject": draw(_selected())}
    if kind != "BaselineAdminNetworkPolicy":
        spec["priority"] = draw(st.integers(0, 2))
    if kind == "ClusterNetworkPolicy":
        spec["tier"] = draw(st.sampled_from(("Admin", "Baseline")))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        spec[direction] = draw(st.lists(_ordered_rules(kind, peers, with_networks=with_networks), max_size=2))
    return {
        "apiVersion": f"policy.networking.k8s.io/{'v1alpha2' if kind == 'ClusterNetworkPolicy' else 'v1alpha1'}",
        "kind": kind,
        "metadata": {"name": "default" if kind == "BaselineAdminNetworkPolicy" else f"policy-{number}"},
        "spec": spec,
    }


_endpoint_selectors = st.sampled_from(sorted(ENDPOINT_SELECTORS))
_named_selectors = st.sampled_from(sorted(NAMED_SELECTORS))
_networks = st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2, unique=True)
ACCOUNTS = ("default", "robot")


@st.composite
def _entities(draw: st.DrawFn, *, with_networks: bool, with_ports: bool) -> dict[str, Any]:
    found = _optional(
        draw,
        selector=_endpoint_selectors,
        namespaceSelector=st.one_of(_named_selectors, st.just("global()")),
    )
    match draw(st.integers(0, 5)):
        case 0:
            found["notSelector"] = draw(_endpoint_selectors)
        case 1:
            names = st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=2, unique=True)
            found["serviceAccounts"] = _optional(draw, names=names) or {"selector": draw(_named_selectors)}
        case 2 if with_networks:
            found |= _optional(draw, nets=_networks, notNets=_networks)
        case _:
            pass
    if with_ports:
        port = st.one_of(_numbers, st.sampled_from(NAMES), st.builds(lambda span: f"{span[0]}:{span[1]}", _spans()))
        number = st.one_of(_numbers, st.builds(lambda span: f"{span[0]}:{span[1]}", _spans()))
        found |= _optional(
            draw, ports=st.lists(port, min_size=1, max_size=2), notPorts=st.lists(number, min_size=1, max_size=1)
        )
    return found


@st.composite
def _calico_rules(draw: st.DrawFn, direction: str, *, with_networks: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": draw(st.sampled_from(("Allow", "Deny", "Pass", "Log")))}
    rule |= _optional(draw, protocol=st.sampled_from((*PROTOCOLS, 6, 17)))
    has_protocol = "protocol" in rule
    if not has_protocol:
        rule |= _optional(draw, notProtocol=_protocols)
    if with_networks and draw(st.integers(0, 5)) == 0:
        rule["ipVersion"] = draw(st.sampled_from((4, 6)))
    own, peer = ("destination", "source") if direction == "ingress" else ("source", "destination")
    rule[peer] = draw(_entities(with_networks=with_networks, with_ports=has_protocol and peer == "destination"))
    if draw(st.integers(0, 3)) == 0:
        rule[own] = draw(_entities(with_networks=with_networks, with_ports=has_protocol and own == "destination"))
    return rule


@st.composite
def _calico_policies(draw: st.DrawFn, number: int, *, with_networks: bool) -> dict[str, Any]:
    """Draw a policy; two may have one order, or none."""
    is_global = draw(st.booleans())
    spec = _optional(
        draw,
        order=st.sampled_from((1, 1000, 2000.5)),
        tier=st.sampled_from(("default", "early", "between", "last")),
        selector=_endpoint_selectors,
        types=st.lists(st.sampled_from(("Ingress", "Egress")), min_size=1, max_size=2, unique=True),
        ingress=st.lists(_calico_rules("ingress", with_networks=with_networks), min_size=1, max_size=3),
        egress=st.lists(_calico_rules("egress", with_networks=with_networks), min_size=1, max_size=3),
    )
    if draw(st.integers(0, 3)) == 0:
        spec["serviceAccountSelector"] = draw(_named_selectors)
    metadata = {"name": f"calico-{number}"}
    if is_global:
        spec |= _optional(draw, namespaceSelector=_named_selectors)
    else:
        metadata["namespace"] = draw(st.sampled_from(NAMESPACES))
    return {
        "apiVersion": draw(st.sampled_from(("projectcalico.org/v3", "crd.projectcalico.org/v1"))),
        "kind": "GlobalNetworkPolicy" if is_global else "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }


@st.composite
def _network_sets(draw: st.DrawFn, number: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"set-{number}", "labels": draw(_labels)}
    if draw(st.booleans()):
        metadata["namespace"] = draw(st.sampled_from(NAMESPACES))
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "NetworkSet" if "namespace" in metadata else "GlobalNetworkSet",
        "metadata": metadata,
        "spec": {"nets": draw(_networks)},
    }


@st.composite
def calico_worlds(
    draw: st.DrawFn, *, with_addresses: bool = False, with_host_pods: bool = False, with_networks: bool = False
) -> list[dict[str, Any]]:
    """Draw a cluster with Calico's policies beside all others: tiers, service accounts and network sets too."""
    world = draw(
        worlds(with_addresses=with_addresses, with_host_pods=with_host_pods, with_networks=with_networks, most=1)
    )
    for pod in (o for o in world if o["kind"] == "Pod"):
        pod["spec"] |= _optional(draw, serviceAccountName=st.sampled_from(ACCOUNTS))
    accounts = [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace, "labels": draw(_labels)},
        }
        for name in ACCOUNTS
        for namespace in NAMESPACES
    ]
    tiers = [
        {
            "apiVersion": "projectcalico.org/v3",
            "kind": "Tier",
            "metadata": {"name": name},
            "spec": order | _optional(draw, defaultAction=st.sampled_from(("Deny", "Pass"))),
        }
        for name, order in (("early", {"order": 10}), ("between", {"order": 5000}), ("last", {}))
    ]
    policies = [draw(_calico_policies(n, with_networks=with_networks)) for n in range(draw(st.integers(1, 4)))]
    sets = [draw(_network_sets(n)) for n in range(draw(st.integers(0, 2)) if with_networks else 0)]
    return [*world, *accounts, *tiers, *policies, *sets]


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    with_addresses: bool = False,
    with_host_pods: bool = False,
    with_networks: bool = False,
    most: int = 3,
) -> list[dict[str, Any]]:
    """Draw a cluster: its namespaces, a few bare pods, policies of every kind."""
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": draw(_labels)}}
        for name in NAMESPACES
    ]
    pods = [
        draw(_pods(f"pod-{n}", with_addresses=with_addresses, with_host_pods=with_host_pods))
        for n in range(draw(st.integers(2, 4)))
    ]
    policies = [draw(_network_policies(f"policy-{n}")) for n in range(draw(st.integers(0, most)))]
    ordered = [draw(_ordered_policies(n, with_networks=with_networks)) for n in range(draw(st.integers(0, most)))]
    named = {(o["kind"], o["metadata"]["name"]): o for o in ordered}
    return [*namespaces, *pods, *policies, *named.values()]
