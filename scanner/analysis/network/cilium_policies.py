"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy as rules.

What a policy allows adds to what NetworkPolicies allow; what it denies goes before both. A rule isolates the pods that
it is for in each direction for which it has rules, allowing or denying, unless `enableDefaultDeny` says otherwise; then
it only adds. An empty list of peers means nobody, a rule with ports alone everyone, an empty rule nobody. What is asked
of the application (layer 7, names of TLS servers), of DNS, clouds and nodes' settings leaves in doubt what the rule may
mean on those ports, and nothing else. A policy that Cilium refuses may have no effect at all, so all it is for is in
doubt. Settings of the agent are taken as they are by default: enforcement mode `default`.

Policies with a nodeSelector are for nodes and the pods on their network, if the host firewall is on, which no object
shows: they leave those in doubt.

Source: https://docs.cilium.io/en/stable/security/policy/ (intro, layer3, layer4, deny, host), and the CRD of cilium.io.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from scanner.analysis.network.cilium_peers import EVERY_POD, RefusedError, Words
from scanner.analysis.network.ports import PROTOCOLS, port_span
from scanner.analysis.network.rules import (
    Action,
    Everyone,
    HostPods,
    NamedPort,
    Not,
    Peer,
    Pods,
    Policy,
    Port,
    Rule,
    Tier,
    Undecided,
)
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

CILIUM_KINDS = (
    GroupKind("cilium.io", "CiliumNetworkPolicy"),
    GroupKind("cilium.io", "CiliumClusterwideNetworkPolicy"),
)

#: What is asked right before NetworkPolicies: first what denies, then what allows without isolating.
_BEFORE = Tier(Tier.NETWORK_POLICY.order - 1, "cilium")
_DENIES, _ALLOWS = range(2)
#: What is asked of applications, where nothing is denied by default.
_AFTER = Tier(Tier.NETWORK_POLICY.order + 1, "cilium-applications")

#: Protocols that have no ports of those that connections are told by.
_WITHOUT_PORTS = frozenset({"ICMP", "ICMPV6", "VRRP", "IGMP"})
#: A limit of the CRD.
_MOST_PORTS = 40
#: Lists of peers that mean nobody when they are empty; the others are then as good as missing.
_EMPTY_IS_NOBODY = ("Endpoints", "Nodes", "Entities", "CIDR", "CIDRSet")
_PEERS = {
    "ingress": tuple(f"from{kind}" for kind in (*_EMPTY_IS_NOBODY, "Groups")),
    "egress": tuple(f"to{kind}" for kind in (*_EMPTY_IS_NOBODY, "Groups", "FQDNs", "Services")),
}


class _DefaultDeny(msgspec.Struct):
    ingress: bool | None = None
    egress: bool | None = None


class _Spec(msgspec.Struct, rename="camel"):
    endpoint_selector: LabelSelector | None = None
    node_selector: LabelSelector | None = None
    ingress: tuple[dict[str, Any], ...] | None = None
    ingress_deny: tuple[dict[str, Any], ...] | None = None
    egress: tuple[dict[str, Any], ...] | None = None
    egress_deny: tuple[dict[str, Any], ...] | None = None
    enable_default_deny: _DefaultDeny | None = None

    def rules(self, direction: str) -> tuple[dict[str, Any], ...]:
        """Return what it allows."""
        return (self.ingress if direction == "ingress" else self.egress) or ()

    def denials(self, direction: str) -> tuple[dict[str, Any], ...]:
        """Return what it denies."""
        return (self.ingress_deny if direction == "ingress" else self.egress_deny) or ()

    def isolates(self, direction: str) -> bool:
        """Tell whether it isolates the pods that it is for."""
        said = self.enable_default_deny or _DefaultDeny()
        chosen = said.ingress if direction == "ingress" else said.egress
        return bool(self.rules(direction) or self.denials(direction)) if chosen is None else chosen


class _Body(msgspec.Struct):
    spec: _Spec | None = None
    specs: tuple[_Spec, ...] | None = None


def cilium_policies(snapshot: Snapshot, *, policy_only: bool) -> Iterator[Policy]:
    """Yield what each Cilium policy allows, and what it denies; by policies alone, no rule is about nodes."""
    found = [o for kind in CILIUM_KINDS for o in snapshot.of(*kind)]
    if not found:
        return
    words = Words.of(snapshot, policy_only=policy_only)
    for o in found:
        yield from _Reader(words, o).policies()


def _in_doubt(policy: KubeObject, fault: str) -> Policy:
    """Return a policy that may do anything to pods of its namespace, or of the cluster."""
    subject = Pods(LabelSelector(), None, policy.meta.namespace, HostPods.NEVER) if policy.meta.namespace else EVERY_POD
    rule = Rule(Action.UNDECIDED, (Undecided(f"{policy.ref}: {fault}"),), None, "spec")
    return Policy(ref=policy.ref, tier=Tier.PLUGIN_DENY, subject=subject, ingress=(rule,), egress=(rule,))


@dataclass(slots=True)
class _Reader:
    """Reads one policy."""

    words: Words
    policy: KubeObject
    #: Why Cilium would not take it.
    refused: str = ""

    def policies(self) -> tuple[Policy, ...]:
        try:
            body = self.policy.decode(_Body)
            specs = [("spec", body.spec)] if body.spec else []
            specs += [(f"specs[{i}]", spec) for i, spec in enumerate(body.specs or ())]
            found = [one for path, spec in specs for one in self._of_spec(path, spec)]
        except (msgspec.ValidationError, ValueError, TypeError, AttributeError) as error:
            return (_in_doubt(self.policy, str(error)),)
        if not self.refused:
            return tuple(found)
        return tuple(replace(p, doubt=p.doubt or self.refused) for p in found)

    def _of_spec(self, path: str, spec: _Spec) -> Iterator[Policy]:
        if spec.endpoint_selector is None:
            if spec.node_selector is not None and not self.policy.meta.namespace and not self.words.policy_only:
                yield self._for_nodes(spec)
            return
        if spec.node_selector is not None:
            self.refused = f"{self.policy.ref}: it selects endpoints and nodes"
        subject = self.words.subject(spec.endpoint_selector, self.policy.meta.namespace)
        denied = {d: tuple(self._denials(path, d, spec)) for d in _PEERS}
        allowed = {d: tuple(self._rules(Action.ALLOW, f"{path}.{d}", d, spec.rules(d))) for d in _PEERS}
        isolating = {d: allowed[d] if spec.isolates(d) else None for d in _PEERS}
        adding = {d: () if spec.isolates(d) else allowed[d] for d in _PEERS}
        dropping = {d: tuple(replace(r, action=Action.DENY) for r in rules if r.doubt) for d, rules in adding.items()}
        yield from self._policy(_BEFORE, _DENIES, subject, denied)
        yield from self._policy(_BEFORE, _ALLOWS, subject, adding)
        yield from self._policy(_AFTER, _DENIES, subject, dropping)
        yield from self._policy(Tier.NETWORK_POLICY, 0, subject, isolating)

    def _policy(
        self, tier: Tier, priority: int, subject: Peer, rules: Mapping[str, tuple[Rule, ...] | None]
    ) -> Iterator[Policy]:
        """Yield a policy, if it has a say; an empty tuple isolates in the tier of NetworkPolicies alone."""
        ingress, egress = rules["ingress"], rules["egress"]
        if tier is not Tier.NETWORK_POLICY:
            ingress, egress = ingress or None, egress or None
        if ingress is not None or egress is not None:
            yield Policy(self.policy.ref, tier, subject, ingress, egress, priority=priority)

    def _for_nodes(self, spec: _Spec) -> Policy:
        reason = f"{self.policy.ref}: whether Cilium's host firewall is on is not known"
        rule = (Rule(Action.UNDECIDED, (Everyone(),), None, "spec"),)
        return Policy(
            ref=self.policy.ref,
            tier=Tier.PLUGIN_DENY,
            subject=self.words.host_pods(spec.node_selector or LabelSelector()),
            ingress=rule if spec.isolates("ingress") or spec.rules("ingress") else None,
            egress=rule if spec.isolates("egress") or spec.rules("egress") else None,
            doubt=reason,
        )

    def _denials(self, path: str, direction: str, spec: _Spec) -> Iterator[Rule]:
        """Yield what is denied, and what may be because it lacks required labels."""
        yield from self._rules(Action.DENY, f"{path}.{direction}Deny", direction, spec.denials(direction))
        field = "fromRequires" if direction == "ingress" else "toRequires"
        for suffix, rules in (("", spec.rules(direction)), ("Deny", spec.denials(direction))):
            for index, rule in enumerate(rules):
                where = f"{path}.{direction}{suffix}[{index}]"
                for required in rule.get(field) or ():
                    selector = msgspec.convert(required, LabelSelector)
                    lacking = Not(self.words.endpoints(selector, self.policy.meta.namespace))
                    doubt = f"{self.policy.ref}: {where}: {field} has an effect up to Cilium 1.18 alone"
                    yield Rule(Action.DENY, (lacking,), None, where, doubt=doubt)

    def _rules(self, action: Action, path: str, direction: str, rules: Iterable[dict[str, Any]]) -> Iterator[Rule]:
        for index, rule in enumerate(rules):
            where = f"{path}[{index}]"
            try:
                yield from self._rule(action, where, direction, rule)
            except (msgspec.ValidationError, ValueError, TypeError, AttributeError, KeyError) as error:
                self.refused = self.refused or f"{self.policy.ref}: {where}: not taken: {error}"
                yield Rule(action, (Everyone(),), None, where, doubt=self.refused)

    def _rule(self, action: Action, path: str, direction: str, rule: dict[str, Any]) -> Iterator[Rule]:
        given = {name: value for name, value in rule.items() if value is not None}
        known = {*_PEERS[direction], "fromRequires", "toRequires", "toPorts", "icmps", "authentication"}
        unknown = sorted(given.keys() - known)
        if unknown:
            raise RefusedError(f"unknown field {unknown[0]}")
        peers = tuple(self._peers(direction, given))
        mode = (given.get("authentication") or {}).get("mode", "disabled")
        doubt = "" if mode == "disabled" else "authentication is not evaluated"
        for ports, narrowed in _ports(given):
            reason = narrowed or doubt
            yield Rule(action, peers, ports, path, doubt=f"{self.policy.ref}: {path}: {reason}" if reason else "")

    def _peers(self, direction: str, given: Mapping[str, Any]) -> Iterator[Peer]:
        """Yield whom a rule means: everyone, if it has ports alone; nobody, if it is empty."""
        prefix = "from" if direction == "ingress" else "to"
        lists = {name.removeprefix(prefix): given[name] for name in _PEERS[direction] if name in given}
        filled = sorted(name for name, found in lists.items() if found)
        if len(filled) > 1:
            raise RefusedError(f"{' and '.join(filled)} in one rule")
        if any(name in lists and not lists[name] for name in _EMPTY_IS_NOBODY):
            return
        if "Services" in filled and given.get("toPorts"):
            raise RefusedError("Services and ports in one rule")
        if not filled:
            if given.get("toPorts") or given.get("icmps"):
                yield Everyone()
            return
        yield from self._meant(filled[0], lists[filled[0]])

    def _meant(self, kind: str, found: list[Any]) -> Iterator[Peer]:
        if kind == "Entities":
            yield self.words.entities(found)
            return
        reads: Mapping[str, Callable[[Any], Peer]] = {
            "Endpoints": self._endpoints,
            "Nodes": self.words.chosen_nodes,
            "CIDR": self.words.cidr,
            "CIDRSet": self.words.cidr_rule,
            "Services": self.words.service,
            "FQDNs": lambda _: Undecided("the addresses behind a domain name are not known", outside_only=True),
            "Groups": lambda _: Undecided("the addresses of a cloud's groups are not known", outside_only=True),
        }
        for one in found:
            yield reads[kind](one)

    def _endpoints(self, given: object) -> Peer:
        return self.words.endpoints(msgspec.convert(given, LabelSelector), self.policy.meta.namespace)


def _ports(given: Mapping[str, Any]) -> Iterator[tuple[tuple[Port, ...] | None, str]]:
    """Yield the ports of a rule, None for all, each with what narrows them down beyond what is told here."""
    found = given.get("toPorts") or ()
    if given.get("icmps"):
        if found:
            raise RefusedError("icmps and toPorts in one rule")
        return  # ICMP has no ports
    if not found:
        yield None, ""
    for part in found:
        ports = part.get("ports") or ()
        if len(ports) > _MOST_PORTS:
            raise RefusedError(f"more than {_MOST_PORTS} ports")
        narrowed = _narrowed(part)
        if not ports:
            yield None, "toPorts without ports is not evaluated"
        elif narrowed:
            yield tuple(one for port in ports for one in _port(port)), f"layer 7 ({narrowed[0]}) is not evaluated"
    plain = [port for part in found if not _narrowed(part) for port in part.get("ports") or ()]
    if plain:
        yield tuple(one for port in plain for one in _port(port)), ""


def _narrowed(part: Mapping[str, Any]) -> list[str]:
    """Return the fields that ask something of the application."""
    rules = part.get("rules")
    asked = isinstance(rules, dict) and any(value is not None for value in rules.values())
    return sorted(name for name, value in part.items() if (asked if name == "rules" else name != "ports" and value))


def _port(port: Mapping[str, Any]) -> Iterator[Port]:
    """Yield one port, or a range, of the protocols that are meant; 0 is every port, and names come in lower case."""
    protocol, number = str(port.get("protocol") or "ANY").upper(), str(port["port"])
    if protocol in _WITHOUT_PORTS:
        return
    for chosen in PROTOCOLS if protocol == "ANY" else (protocol,):
        if not number.isdecimal():
            yield NamedPort(number.lower(), chosen)
        elif int(number) == 0:
            yield port_span(chosen)
        else:
            yield port_span(chosen, int(number), int(port.get("endPort") or number))
