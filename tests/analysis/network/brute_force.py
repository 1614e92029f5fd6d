"""Whether one pod may connect to another on one port, straight from the words of the APIs: slow, and hard to get wrong.

It knows nothing of sets, classes or spans. What the API leaves to the network plugin is a `Reading`; the answer is the
set of outcomes that are possible under it, since of two policies with one priority either may decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.analysis.network.calico_brute_force import Side, is_calico
from tests.analysis.network.ranges import is_whole, within

Object = Mapping[str, Any]
#: A pod, or an address outside the cluster.
End = Object | str


@dataclass(frozen=True)
class Reading:
    """One way to take what the API leaves open."""

    #: Policies apply to pods on the host network as to others; else they are ignored, as subjects and by selectors.
    host_pods_are_pods: bool = True
    #: Pods with such an address are meant by an ipBlock.
    blocks_mean_pods: bool = False
    #: Pods and the nodes that they run on reach each other whatever NetworkPolicies say.
    nodes_are_exempt: bool = False
    #: Where pods have no address: of which family it would be, for networks that are all of one.
    family: int = 4


def outcomes(
    world: Sequence[Object], source: End, destination: End, wanted: tuple[str, int], how: Reading
) -> set[bool]:
    """Return whether a connection is possible."""
    out = _Direction(world, "egress", source, destination, destination, wanted, how).outcomes()
    into = _Direction(world, "ingress", destination, source, destination, wanted, how).outcomes()
    return {a and b for a in out for b in into}


@dataclass(frozen=True)
class _Direction:
    world: Sequence[Object]
    direction: str
    own: End
    peer: End
    #: The end whose ports have names.
    target: End
    wanted: tuple[str, int]
    how: Reading

    def outcomes(self) -> set[bool]:
        if isinstance(self.own, str):
            return {True}
        side = Side(self.world, self.direction, self.own, self.peer, self.wanted, self.how.family)
        open_, found = True, set[bool]()
        for _, name, end in side.tiers():
            verdicts = self._tier_verdicts(side, name, end) if open_ else set[str]()
            found |= {verdict == "Allow" for verdict in verdicts - {"Pass"}}
            open_ = "Pass" in verdicts
        return found | {True} if open_ else found

    def _tier_verdicts(self, side: Side, tier: str, end: str) -> set[str]:
        """Return what a tier may come to: Allow, Deny, or Pass where it leaves the connection to the next."""
        found: set[str] = set()
        fixed = {"kube-admin": "Admin", "kube-baseline": "Baseline"}
        if tier in fixed:
            return self._ordered(fixed[tier])
        network_policies = self._network_policies() if tier == "default" else []
        for policies in side.orders(tier, network_policies):
            found.add(self._first_verdict(side, policies, end))
        on_node = any(not isinstance(p, str) and p["spec"].get("hostNetwork") for p in (self.own, self.peer))
        return {"Allow"} if self.how.nodes_are_exempt and on_node and found != {"Pass"} else found

    def _first_verdict(self, side: Side, policies: Sequence[Object], end: str) -> str:
        for policy in policies:
            verdict = side.verdict(policy) if is_calico(policy) else self._np_verdict(policy)
            if verdict:
                return verdict
        return end if policies else "Pass"

    def _np_verdict(self, policy: Object) -> str:
        return "Allow" if any(self._np_rule(policy, r) for r in policy["spec"].get(self.direction) or ()) else ""

    def _network_policies(self) -> list[tuple[float, str, str, Object]]:
        """Return those that isolate the own end, with their place among Calico's: they allow, so it hardly matters."""
        assert not isinstance(self.own, str)
        if self.own["spec"].get("hostNetwork") and not self.how.host_pods_are_pods:
            return []
        return [
            (1000, "Kubernetes", o["metadata"]["name"], o)
            for o in self.world
            if o["kind"] == "NetworkPolicy" and not is_calico(o) and self._is_isolated_by(o)
        ]

    def _is_isolated_by(self, policy: Object) -> bool:
        assert not isinstance(self.own, str)
        spec = policy["spec"]
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        return (
            policy["metadata"]["namespace"] == self.own["metadata"]["namespace"]
            and selects(spec["podSelector"], self.own["metadata"]["labels"])
            and self.direction.capitalize() in types
        )

    def _np_rule(self, policy: Object, rule: Object) -> bool:
        peers = rule.get("from" if self.direction == "ingress" else "to") or ()
        ports = rule.get("ports") or ()
        return (not peers or any(self._np_peer(policy, peer) for peer in peers)) and (
            not ports or any(self._np_port(port) for port in ports)
        )

    def _np_peer(self, policy: Object, peer: Object) -> bool:
        if "ipBlock" in peer:
            if not isinstance(self.peer, str) and not self.how.blocks_mean_pods:
                return False
            block = peer["ipBlock"]
            address = self.peer if isinstance(self.peer, str) else _address(self.peer)
            return within(address, block["cidr"]) and not any(within(address, e) for e in block.get("except") or ())
        if isinstance(self.peer, str) or (self.peer["spec"].get("hostNetwork") and not self.how.host_pods_are_pods):
            return False
        namespace = self.peer["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            if not selects(peer["namespaceSelector"], self._namespace_labels(namespace)):
                return False
        elif namespace != policy["metadata"]["namespace"]:
            return False
        return selects(peer.get("podSelector", {}), self.peer["metadata"]["labels"])

    def _np_port(self, port: Object) -> bool:
        protocol, number = self.wanted
        if protocol != port.get("protocol", "TCP"):
            return False
        if "port" not in port:
            return True
        if isinstance(port["port"], str):
            return self._is_named(port["port"])
        return bool(port["port"] <= number <= port.get("endPort", port["port"]))

    def _is_named(self, name: str) -> bool:
        if isinstance(self.target, str):
            return False
        ports = [p for c in self.target["spec"]["containers"] for p in c["ports"]]
        return any(p["name"] == name and (p["protocol"], p["containerPort"]) == self.wanted for p in ports)

    def _ordered(self, tier: str) -> set[str]:
        """Return the verdicts that a tier may come to: Allow, Deny, or Pass where it leaves the connection alone."""
        found: dict[int, set[str]] = {}
        for policy in self.world:
            if self._tier(policy) == tier and self._is_subject(policy):
                verdict = self._first(policy)
                if verdict:
                    found.setdefault(policy["spec"].get("priority", 0), set()).add(verdict)
        return found[min(found)] if found else {"Pass"}

    def _tier(self, policy: Object) -> str:
        kinds = {"AdminNetworkPolicy": "Admin", "BaselineAdminNetworkPolicy": "Baseline"}
        if policy["kind"] == "ClusterNetworkPolicy":
            return str(policy["spec"]["tier"])
        return kinds.get(policy["kind"], "")

    def _is_subject(self, policy: Object) -> bool:
        assert not isinstance(self.own, str)
        return self._is_selected(policy["spec"]["subject"], self.own)

    def _is_selected(self, selected: Object, pod: Object) -> bool:
        if pod["spec"].get("hostNetwork"):
            return False
        labels = self._namespace_labels(pod["metadata"]["namespace"])
        if "namespaces" in selected:
            return selects(selected["namespaces"], labels)
        pods = selected["pods"]
        return selects(pods["namespaceSelector"], labels) and selects(pods["podSelector"], pod["metadata"]["labels"])

    def _first(self, policy: Object) -> str:
        for rule in policy["spec"].get(self.direction) or ():
            peers = rule["from" if self.direction == "ingress" else "to"]
            ports = [*(rule.get("ports") or ()), *(rule.get("protocols") or ())]
            if self._means(peers) and (not ports or any(self._ordered_port(port) for port in ports)):
                return "Allow" if rule["action"] == "Accept" else str(rule["action"])
        return ""

    def _means(self, peers: Sequence[Object]) -> bool:
        networks = [network for peer in peers for network in peer.get("networks", ())]
        if isinstance(self.peer, str):
            return any(within(self.peer, network) for network in networks)
        if _address(self.peer):
            is_within = any(within(_address(self.peer), network) for network in networks)
        else:
            is_within = is_whole(networks, self.how.family)
        return is_within or any(self._is_selected(peer, self.peer) for peer in peers if "networks" not in peer)

    def _ordered_port(self, port: Object) -> bool:
        protocol, number = self.wanted
        for kind, fields in port.items():
            if kind in {"namedPort", "destinationNamedPort"}:
                return self._is_named(fields)
            named = fields.get("protocol", kind.upper())
            if named != protocol:
                return False
            span = fields.get("destinationPort", fields)
            span = span.get("range", span)
            if not span:
                return True
            single = span.get("port", span.get("number", 0))
            return bool(span.get("start", single) <= number <= span.get("end", single))
        return False

    def _namespace_labels(self, name: str) -> Mapping[str, str]:
        found = next(o for o in self.world if o["kind"] == "Namespace" and o["metadata"]["name"] == name)
        return {"kubernetes.io/metadata.name": name, **found["metadata"]["labels"]}


def _address(pod: Object) -> str:
    return "".join(ip["ip"] for ip in pod["status"].get("podIPs", ())[:1])


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector selects these labels."""
    return all(labels.get(k) == v for k, v in (selector.get("matchLabels") or {}).items()) and all(
        _holds(requirement, labels) for requirement in selector.get("matchExpressions") or ()
    )


def _holds(requirement: Object, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement["key"])
    match requirement["operator"]:
        case "In":
            return value in requirement["values"]
        case "NotIn":
            return value not in requirement["values"]
        case "Exists":
            return value is not None
        case _:
            return value is None


def pods_of(world: Sequence[Object]) -> Iterator[Object]:
    """Yield the pods."""
    return (o for o in world if o["kind"] == "Pod")
