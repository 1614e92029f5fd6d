"""NetworkPolicies that keep what a cluster declares it needs and cut the rest, and the engine's proof of both.

One policy a namespace denies everything; for each set of pods that something is needed of, one more allows just that.
They are put into the snapshot as `kubectl apply` would, and the engine is asked again: every need that was open before
must be open after, and what is gone between the two answers is what they cut.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.addresses import without
from scanner.analysis.network.connections import rows, workload_text
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.needs import End, EveryAddress, EveryNamespace, Need, PodSet, Port, needs, selected
from scanner.analysis.network.ports import Span, by_protocol, merged, port_span
from scanner.model.objects import KubeObject, ObjectMeta
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

NETWORK_POLICY = GroupKind("networking.k8s.io", "NetworkPolicy")
#: Namespaces of the cluster itself, left out unless they are named: to cut them off can end the cluster.
SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

#: Said of every proposal.
ALWAYS_ASSUMED = (
    "probes come from the node of a pod, which most network plugins let through whatever the policies say",
    "nothing else outside the cluster is called: connections to the outside are cut",
    "names of Services in ConfigMaps and Secrets are not read",
    "pods on the network of their node are neither isolated nor meant by pod selectors with most network plugins",
)

_NAME_BYTES = 200
_NAMESPACE_NAME = "kubernetes.io/metadata.name"

#: Source and destination as rows write them, and the protocol's ports on the line.
_Open: TypeAlias = Mapping[tuple[str, str], tuple[Span, ...]]


@dataclass(frozen=True, slots=True)
class ProposedPolicy:
    """One NetworkPolicy as JSON values, and why each of its rules is there."""

    manifest: Mapping[str, Any]
    reasons: tuple[str, ...]

    @property
    def namespace(self) -> str:
        """The namespace that it is for."""
        return str(self.manifest["metadata"]["namespace"])


@dataclass(frozen=True, slots=True, order=True)
class Connection:
    """Ports of one protocol between two ends."""

    src: str
    dst: str
    protocol: str
    ports: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The policies, what was assumed, and what the engine says of them."""

    policies: tuple[ProposedPolicy, ...]
    assumptions: tuple[str, ...]
    #: What pods of the namespaces could do and still can, from and to them.
    kept: tuple[Connection, ...]
    #: What they could do and no longer can.
    cut: tuple[Connection, ...]
    #: Needs that were open before and would not be any more; there are none unless this program is wrong.
    broken: tuple[str, ...]


def propose(snapshot: Snapshot, namespaces: Iterable[str] = ()) -> Proposal:
    """Propose policies for these namespaces, or for all with workloads but those of the cluster itself."""
    chosen = frozenset(namespaces) or frozenset(w.ref.namespace for w in snapshot.workloads) - SYSTEM_NAMESPACES
    wanted = [need for need in needs(snapshot) if _concerns(need, chosen)]
    policies = tuple(policy for name in sorted(chosen) for policy in _policies(snapshot, name, wanted))
    before, after = _open(snapshot, chosen), _open(applied(snapshot, policies), chosen)
    return Proposal(
        policies=policies,
        assumptions=(*ALWAYS_ASSUMED, *_of_others(snapshot, chosen), *sorted({n.assumed for n in wanted} - {""})),
        kept=tuple(_connections(after)),
        cut=tuple(_connections({ends: _less(spans, after.get(ends, ())) for ends, spans in before.items()})),
        broken=tuple(_broken(snapshot, wanted, before, after)),
    )


def _of_others(snapshot: Snapshot, namespaces: frozenset[str]) -> Iterator[str]:
    """Say that policies add up, where there are some."""
    there = [o.ref for o in snapshot.of(*NETWORK_POLICY) if o.meta.namespace in namespaces]
    if there:
        yield f"{len(there):,} NetworkPolicies that are there stay and allow what they allow, {there[0]} among them"


def applied(snapshot: Snapshot, policies: Sequence[ProposedPolicy]) -> Snapshot:
    """Return a snapshot with the policies in it; one that has the name of another replaces it."""
    new = {
        (p.namespace, name): KubeObject(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            ObjectMeta(name=name, namespace=p.namespace),
            body=msgspec.json.encode({"spec": p.manifest["spec"]}),
        )
        for p in policies
        for name in [str(p.manifest["metadata"]["name"])]
    }
    old = {(o.meta.namespace, o.meta.name): o for o in snapshot.of(*NETWORK_POLICY)}
    together = tuple(o for _, o in sorted((old | new).items()))
    return replace(snapshot, objects={**snapshot.objects, NETWORK_POLICY: together})


def _concerns(need: Need, namespaces: frozenset[str]) -> bool:
    ends = (need.source, need.destination)
    return any(end == EveryNamespace() or _is_in(end, namespaces) for end in ends)


def _is_in(end: End, namespaces: frozenset[str]) -> bool:
    return isinstance(end, PodSet) and end.namespace in namespaces


def _policies(snapshot: Snapshot, namespace: str, wanted: Sequence[Need]) -> Iterator[ProposedPolicy]:
    """Yield the policies of one namespace: everything is denied, then each set of pods gets what it needs."""
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    yield ProposedPolicy(_manifest(namespace, "plimsoll-default-deny", deny), ("nothing is allowed but what follows",))
    into, out = _by_subject(wanted, namespace, inward=True), _by_subject(wanted, namespace, inward=False)
    taken: set[str] = set()
    for subject in sorted({*into, *out}, key=lambda pods: pods.labels):
        name = _name(snapshot, subject, taken)
        spec: dict[str, Any] = {"podSelector": _selector(subject), "policyTypes": []}
        for kind, key, side, found in (
            ("Ingress", "ingress", "from", into.get(subject, [])),
            ("Egress", "egress", "to", out.get(subject, [])),
        ):
            if found:
                spec["policyTypes"].append(kind)
                spec[key] = _rules(namespace, side, found)
        whys = sorted({need.why for need in (*into.get(subject, ()), *out.get(subject, ()))})
        yield ProposedPolicy(_manifest(namespace, name, spec), tuple(whys))


def _by_subject(wanted: Iterable[Need], namespace: str, *, inward: bool) -> Mapping[PodSet, list[Need]]:
    found: dict[PodSet, list[Need]] = defaultdict(list)
    for need in wanted:
        end = need.destination if inward else need.source
        if isinstance(end, PodSet) and end.namespace == namespace:
            found[end].append(need)
        elif end == EveryNamespace():
            found[PodSet(namespace)].append(need)
    return found


def _manifest(namespace: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _name(snapshot: Snapshot, subject: PodSet, taken: set[str]) -> str:
    """Name a policy for the workload that it selects; those of several for their labels."""
    names = [w.ref.name for w in selected(snapshot, subject)]
    text = (
        "every-pod" if not subject.labels else names[0] if len(names) == 1 else "-".join(v for _, v in subject.labels)
    )
    slug = re.sub(r"[^a-z0-9]+", "-", text.lower())[:_NAME_BYTES].strip("-") or "pods"
    base = f"plimsoll-{slug}"
    name, number = base, 2
    while name in taken or name == "plimsoll-default-deny":
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _selector(pods: PodSet) -> dict[str, Any]:
    return {"matchLabels": dict(pods.labels)} if pods.labels else {}


def _rules(namespace: str, side: str, found: Iterable[Need]) -> list[dict[str, Any]]:
    """Return the fewest rules: peers with the same ports are in one; what every peer may do, none needs again."""
    ports_of: dict[End, set[Port]] = defaultdict(set)
    for need in found:
        ports_of[need.source if side == "from" else need.destination].update(need.ports)
    for end, ports in ports_of.items():
        for wider, others in ports_of.items():
            if wider != end and _includes(wider, end):
                ports.difference_update(others)
    by_ports: dict[tuple[Port, ...], list[dict[str, Any]]] = defaultdict(list)
    for end in sorted(ports_of, key=str):
        if ports_of[end]:
            by_ports[tuple(sorted(ports_of[end], key=str))].extend(_peers(namespace, end))
    return [
        {side: peers, "ports": [{"protocol": protocol, "port": port} for protocol, port in ports]}
        for ports, peers in sorted(by_ports.items(), key=str)
    ]


def _includes(wide: End, narrow: End) -> bool:
    """Tell whether one end has all pods of another; whether addresses mean pods is up to the network plugin."""
    if isinstance(wide, PodSet) and isinstance(narrow, PodSet):
        return wide.namespace == narrow.namespace and set(wide.labels) <= set(narrow.labels)
    return isinstance(wide, EveryNamespace) and isinstance(narrow, PodSet)


def _peers(namespace: str, end: End) -> list[dict[str, Any]]:
    match end:
        case EveryNamespace():
            return [{"namespaceSelector": {}}]
        case EveryAddress():
            return [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
        case PodSet():
            own = {"podSelector": _selector(end)}
            if end.namespace == namespace:
                return [own]
            return [{"namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: end.namespace}}, **own}]


def _open(snapshot: Snapshot, namespaces: frozenset[str]) -> _Open:
    """Return what is open from and to pods of these namespaces, by policies alone."""
    found: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for row in rows(connectivity(snapshot, policy_only=True)):
        if not row.unknown and any(end.partition("/")[0] in namespaces for end in (row.src, row.dst)):
            found[row.src, row.dst] += [_span(row.protocol, part) for part in row.ports.split(",")]
    return {ends: merged(spans) for ends, spans in found.items()}


def _span(protocol: str, part: str) -> Span:
    first, _, last = part.partition("-")
    return port_span(protocol, int(first), int(last or first))


def _less(spans: tuple[Span, ...], others: tuple[Span, ...]) -> tuple[Span, ...]:
    return tuple(left for span in spans for left in without(span, others))


def _connections(found: _Open) -> Iterator[Connection]:
    for (source, destination), spans in sorted(found.items()):
        for protocol, ports in by_protocol(spans).items():
            yield Connection(source, destination, protocol, ports)


def _broken(snapshot: Snapshot, wanted: Iterable[Need], before: _Open, after: _Open) -> Iterator[str]:
    """Yield each need between pods of which something was open before and is not after."""
    for need in wanted:
        spans = [port_span(protocol, port, port) for protocol, port in need.ports if isinstance(port, int)]
        for source in _texts(snapshot, need.source):
            for destination in _texts(snapshot, need.destination):
                ends = (source, destination)
                lost = _less(before.get(ends, ()), after.get(ends, ()))
                if any(first <= span[1] and span[0] <= last for first, last in lost for span in spans):
                    yield f"{source} to {destination}: {need.why}"


def _texts(snapshot: Snapshot, end: End) -> list[str]:
    """Return the workloads of an end as rows write them; addresses and who is not known are left out."""
    match end:
        case PodSet():
            workloads: Iterable[Workload] = selected(snapshot, end)
        case EveryNamespace(is_each=True):
            workloads = snapshot.workloads
        case _:
            workloads = ()
    return [workload_text(workload.ref) for workload in workloads]
