"""Cilium's policies beside NetworkPolicies, straight from the words of its documentation: pair by pair, port by port.

It knows nothing of sets, classes, spans or claims. What no object tells (what applications say, where domains lead,
which version of Cilium it is) is a `Settings`, and the answer is what is possible under all of them.

https://docs.cilium.io/en/stable/security/policy/
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.analysis.network.brute_force import End, Object, selects

_KINDS = ("CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy")
_NAMESPACE = "io.kubernetes.pod.namespace"
_META = "io.cilium.k8s.namespace.labels."
_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"


@dataclass(frozen=True)
class Settings:
    """One way the things may be that no object shows."""

    #: What is asked of applications is fulfilled.
    application_agrees: bool = True
    #: The names of domains lead to the address that is asked about.
    domains_lead_there: bool = True
    #: Requirements have an effect.
    has_requirements: bool = True


def outcome(world: Sequence[Object], source: End, destination: End, wanted: tuple[str, int], how: Settings) -> bool:
    """Return whether a connection is possible: the source must be let out, the destination let it in."""
    return (
        _Side(world, "egress", source, destination, destination, wanted, how).passes()
        and _Side(world, "ingress", destination, source, destination, wanted, how).passes()
    )


@dataclass(frozen=True)
class _Side:
    world: Sequence[Object]
    direction: str
    own: End
    peer: End
    #: The end whose ports have names.
    target: End
    wanted: tuple[str, int]
    how: Settings

    def passes(self) -> bool:
        """Denied first; then what any rule allows; then what nothing isolates."""
        return isinstance(self.own, str) or self._is_let_through()

    def _is_let_through(self) -> bool:
        specs = [(p, s) for p in self.world if p["kind"] in _KINDS for s in self._specs(p)]
        applied = [(p, s) for p, s in specs if self._is_subject(p, s)]
        if any(self._means(p, rule) for p, s in applied for rule in s.get(f"{self.direction}Deny") or ()):
            return False
        if any(not self._fulfils(p, rule) for p, s in applied for rule in self._both(s)):
            return False
        meant = [(s, rule) for p, s in applied for rule in s.get(self.direction) or () if self._means(p, rule)]
        if any(self.how.application_agrees or not self._asks_application(rule) for _, rule in meant):
            return True
        policies = [p for p in self.world if p["kind"] == "NetworkPolicy" and self._is_isolated_by(p)]
        if any(self._np_rule(p, rule) for p in policies for rule in p["spec"].get(self.direction) or ()):
            return True
        # A rule for applications drops what they do not fulfil, even where nothing is denied by default.
        return not policies and not meant and not any(self._isolates(s) for _, s in applied)

    @staticmethod
    def _specs(policy: Object) -> list[Object]:
        return [*([policy["spec"]] if "spec" in policy else []), *policy.get("specs", ())]

    def _both(self, spec: Object) -> Iterator[Object]:
        yield from spec.get(self.direction) or ()
        yield from spec.get(f"{self.direction}Deny") or ()

    def _isolates(self, spec: Object) -> bool:
        said = (spec.get("enableDefaultDeny") or {}).get(self.direction)
        return bool(list(self._both(spec))) if said is None else bool(said)

    def _is_subject(self, policy: Object, spec: Object) -> bool:
        assert not isinstance(self.own, str)
        namespace = policy["metadata"].get("namespace")
        if namespace and self.own["metadata"]["namespace"] != namespace:
            return False
        selector = spec["endpointSelector"]
        if namespace:  # its own namespace stands in the place of any that it names
            labels = {k: v for k, v in selector.get("matchLabels", {}).items() if k != f"k8s:{_NAMESPACE}"}
            selector = {**selector, "matchLabels": labels}
        return self._has(self.own, selector)

    def _has(self, pod: Object, selector: Object) -> bool:
        """Tell whether an endpoint has the labels that a selector asks for; the source of a label is left aside."""
        bare = {
            "matchLabels": {_bare(k): v for k, v in selector.get("matchLabels", {}).items()},
            "matchExpressions": [{**e, "key": _bare(e["key"])} for e in selector.get("matchExpressions", ())],
        }
        return selects(bare, self._labels(pod))

    def _labels(self, pod: Object) -> Mapping[str, str]:
        name = pod["metadata"]["namespace"]
        found = next(o for o in self.world if o["kind"] == "Namespace" and o["metadata"]["name"] == name)
        return {
            **pod["metadata"]["labels"],
            _NAMESPACE: name,
            _ACCOUNT: pod["spec"].get("serviceAccountName", "default"),
            **{_META + k: v for k, v in found["metadata"]["labels"].items()},
            f"{_META}kubernetes.io/metadata.name": name,
        }

    def _is_endpoint(self, policy: Object, selector: Object) -> bool:
        if isinstance(self.peer, str):
            return False
        keys = {_bare(k) for k in selector.get("matchLabels", {})}
        keys |= {_bare(e["key"]) for e in selector.get("matchExpressions", ())}
        namespace = policy["metadata"].get("namespace")
        names_one = any(k == _NAMESPACE or k.startswith(_META) for k in keys)
        if namespace and not names_one and self.peer["metadata"]["namespace"] != namespace:
            return False
        return self._has(self.peer, selector)

    def _means(self, policy: Object, rule: Object) -> bool:
        return self._is_peer(policy, rule) and self._is_port(rule)

    def _is_peer(self, policy: Object, rule: Object) -> bool:
        prefix = "from" if self.direction == "ingress" else "to"
        lists = {k.removeprefix(prefix): v for k, v in rule.items() if k.startswith(prefix) and k != "toPorts"}
        lists.pop("Requires", None)
        if not lists:
            return bool(rule.get("toPorts"))
        (kind, found), *_ = lists.items()
        claims: Mapping[str, Callable[[Any], bool]] = {
            "Endpoints": lambda one: self._is_endpoint(policy, one),
            "Entities": self._is_entity,
            "CIDR": lambda one: self._is_within(one, ()),
            "CIDRSet": self._is_in_set,
            "Services": lambda one: self._is_behind(one["k8sService"]),
            "FQDNs": lambda _: isinstance(self.peer, str) and self.how.domains_lead_there,
        }
        return any(claims[kind](one) for one in found)

    def _is_entity(self, name: str) -> bool:
        is_outside = isinstance(self.peer, str)
        family = ipaddress.ip_address(self.peer).version if isinstance(self.peer, str) else 0
        return {
            "all": True,
            "cluster": not is_outside,
            "world": is_outside,
            "world-ipv4": family == 4,
            "world-ipv6": family == 6,
        }.get(name, False)

    def _is_within(self, cidr: str, holes: Sequence[str]) -> bool:
        """CIDRs never mean pods."""
        return (
            isinstance(self.peer, str)
            and _is_inside(self.peer, cidr)
            and not any(_is_inside(self.peer, hole) for hole in holes)
        )

    def _is_in_set(self, one: Object) -> bool:
        groups = [o for o in self.world if o["kind"] == "CiliumCIDRGroup"]
        if "cidrGroupRef" in one:
            groups = [g for g in groups if g["metadata"]["name"] == one["cidrGroupRef"]]
        elif "cidrGroupSelector" in one:
            groups = [g for g in groups if selects(one["cidrGroupSelector"], g["metadata"]["labels"])]
        cidrs = [one["cidr"]] if "cidr" in one else [c for g in groups for c in g["spec"]["externalCIDRs"]]
        return any(self._is_within(cidr, one.get("except") or ()) for cidr in cidrs)

    def _is_behind(self, named: Object) -> bool:
        if isinstance(self.peer, str):
            return False
        for o in self.world:
            if o["kind"] == "Service" and o["metadata"] == {
                "name": named["serviceName"],
                "namespace": named["namespace"],
            }:
                same = self.peer["metadata"]["namespace"] == named["namespace"]
                return same and selects({"matchLabels": o["spec"]["selector"]}, self.peer["metadata"]["labels"])
        return False

    def _fulfils(self, policy: Object, rule: Object) -> bool:
        field = "fromRequires" if self.direction == "ingress" else "toRequires"
        return not self.how.has_requirements or all(self._is_endpoint(policy, s) for s in rule.get(field) or ())

    def _is_port(self, rule: Object) -> bool:
        if rule.get("icmps"):
            return False
        parts = rule.get("toPorts") or ()
        return not parts or any(self._is_one(port) for part in parts for port in part["ports"])

    def _is_one(self, port: Object) -> bool:
        protocol, number = self.wanted
        if port.get("protocol", "ANY") not in {"ANY", protocol}:
            return False
        text = port["port"]
        if not text.isdigit():
            return self._is_named(text)
        return text == "0" or int(text) <= number <= int(port.get("endPort") or text)

    def _is_named(self, name: str) -> bool:
        if isinstance(self.target, str):
            return False
        ports = [p for c in self.target["spec"]["containers"] for p in c["ports"]]
        return any(p["name"] == name and (p["protocol"], p["containerPort"]) == self.wanted for p in ports)

    def _asks_application(self, rule: Object) -> bool:
        """Tell whether every part of the rule that means this port asks something of the application."""
        parts = [p for p in rule.get("toPorts") or () if any(self._is_one(port) for port in p["ports"])]
        return bool(parts) and all(part.get("rules") or part.get("serverNames") for part in parts)

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
        """A rule of a NetworkPolicy of the simplest kind: pods of its namespace, all ports."""
        peers = rule.get("from" if self.direction == "ingress" else "to") or ()
        return not peers or any(self._np_peer(policy, peer) for peer in peers)

    def _np_peer(self, policy: Object, peer: Mapping[str, Any]) -> bool:
        if isinstance(self.peer, str):
            return False
        own = self.peer["metadata"]["namespace"] == policy["metadata"]["namespace"]
        return own and selects(peer["podSelector"], self.peer["metadata"]["labels"])


def _is_inside(address: str, network: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def _bare(key: str) -> str:
    return key.removeprefix("k8s:").removeprefix("any:")


def every_setting(**fixed: bool) -> list[Settings]:
    """Return all that may be, but for what is fixed."""
    return [replace(Settings(a, d, r), **fixed) for a in (True, False) for d in (True, False) for r in (True, False)]
