"""CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy as rules, as far as labels, entities, CIDRs and ports go.

What a policy allows adds to what NetworkPolicies allow; what it denies goes before everything. A pod that a rule
selects is isolated in the rule's direction. Selectors never mean pods on the network of a node, CIDRs never pods. What
is not modelled (layer 7, FQDNs, Services, groups, requirements, default deny switched off) leaves in doubt what the
rule may mean, and nothing else.

Source: https://docs.cilium.io/en/stable/security/policy/ (intro, layer3, layer4, deny), and the CRD of cilium.io/v2.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from scanner.analysis.network.addresses import network_span, without
from scanner.analysis.network.cilium import CILIUM_KINDS
from scanner.analysis.network.ports import PROTOCOLS, port_span
from scanner.analysis.network.rules import (
    Action,
    Block,
    BlockMeaning,
    Entities,
    Everyone,
    HostPods,
    NamedPort,
    Peer,
    Pods,
    Policy,
    Port,
    Rule,
    Tier,
    Undecided,
)
from scanner.analysis.network.selectors import complaint
from scanner.model.objects import KubeObject
from scanner.model.selectors import LabelSelector, Requirement
from scanner.model.snapshot import Snapshot

_NAMESPACE = "io.kubernetes.pod.namespace"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
#: Labels that Cilium gives endpoints and an object does not show.
_CILIUM_LABEL = "io.cilium.k8s.policy."

#: Fields of a rule that are read; any other leaves the rule in doubt.
_READ = {
    "ingress": frozenset({"fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "toPorts"}),
    "egress": frozenset({"toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toPorts"}),
}


class _Spec(msgspec.Struct, rename="camel"):
    endpoint_selector: LabelSelector | None = None
    ingress: tuple[dict[str, Any], ...] = ()
    ingress_deny: tuple[dict[str, Any], ...] = ()
    egress: tuple[dict[str, Any], ...] = ()
    egress_deny: tuple[dict[str, Any], ...] = ()
    enable_default_deny: dict[str, bool] | None = None


class _Body(msgspec.Struct):
    spec: _Spec | None = None
    specs: tuple[_Spec, ...] = ()


def cilium_policies(snapshot: Snapshot) -> Iterator[Policy]:
    """Yield what each Cilium policy allows, and what it denies, as policies of their tiers."""
    for kind in CILIUM_KINDS:
        for o in snapshot.of(*kind):
            yield from _policies(o)


def _policies(policy: KubeObject) -> Iterator[Policy]:
    try:
        body = policy.decode(_Body)
        for spec in (*((body.spec,) if body.spec else ()), *body.specs):
            if spec.endpoint_selector is not None:  # rules with a nodeSelector are for nodes
                yield from _of_spec(policy, spec)
    except (msgspec.ValidationError, ValueError) as error:
        yield _in_doubt(policy, str(error))


def _in_doubt(policy: KubeObject, fault: str) -> Policy:
    """Return a policy that may do anything to pods of its namespace, or of the cluster."""
    everywhere = None if policy.meta.namespace else LabelSelector()
    rule = Rule(Action.UNDECIDED, (Undecided(f"{policy.ref}: {fault}"),), None, "spec")
    subject = Pods(LabelSelector(), everywhere, policy.meta.namespace, HostPods.NEVER)
    return Policy(ref=policy.ref, tier=Tier.PLUGIN_DENY, subject=subject, ingress=(rule,), egress=(rule,))


def _of_spec(policy: KubeObject, spec: _Spec) -> Iterator[Policy]:
    subject = _pods(spec.endpoint_selector or LabelSelector(), policy.meta.namespace)
    if spec.enable_default_deny:
        yield _in_doubt(policy, "enableDefaultDeny is not evaluated")
        return
    allowed, denied = (
        {
            direction: tuple(_rule(policy, action, f"{direction}{suffix}", i, rule) for i, rule in enumerate(rules))
            for direction, rules in found
        }
        for action, suffix, found in (
            (Action.ALLOW, "", (("ingress", spec.ingress), ("egress", spec.egress))),
            (Action.DENY, "Deny", (("ingress", spec.ingress_deny), ("egress", spec.egress_deny))),
        )
    )
    isolated = {d: allowed[d] if allowed[d] or denied[d] else None for d in allowed}
    yield Policy(policy.ref, Tier.NETWORK_POLICY, subject, isolated["ingress"], isolated["egress"])
    yield Policy(policy.ref, Tier.PLUGIN_DENY, subject, denied["ingress"] or None, denied["egress"] or None)


def _rule(policy: KubeObject, action: Action, field: str, index: int, rule: dict[str, Any]) -> Rule:
    path = f"spec.{field}[{index}]"
    direction = field.removesuffix("Deny")
    given = {name: value for name, value in rule.items() if value is not None}
    unread = sorted(given.keys() - _READ[direction])
    try:
        ports, is_layer_7 = _ports(given.get("toPorts"))
        peers = tuple(_peers(given, policy.meta.namespace))
    except (ValueError, TypeError, AttributeError, KeyError, msgspec.ValidationError) as error:
        reason = f"{policy.ref}: {path}: not read: {error}"
        return Rule(action, (Everyone(),), None, path, doubt=reason)
    reason = f"{policy.ref}: {path}: {', '.join(unread) or 'layer 7'} is not evaluated"
    if unread:
        # Another field may narrow a rule, or be its only peers.
        return Rule(action, (Everyone(),), ports, path, doubt=reason)
    return Rule(action, peers, ports, path, doubt=reason if is_layer_7 else "")


def _peers(rule: dict[str, Any], namespace: str) -> Iterator[Peer]:
    """Yield whom a rule means: everyone, if it has ports alone; nobody, if it is empty."""
    fields = {name.removeprefix("from").removeprefix("to"): v for name, v in rule.items() if name != "toPorts"}
    if not fields and "toPorts" in rule:
        yield Everyone()
    if any(not found for found in fields.values()):
        raise ValueError("an empty list of peers")
    for selector in fields.get("Endpoints", ()):
        yield _pods(msgspec.convert(selector, LabelSelector), namespace)
    for entity in fields.get("Entities", ()):
        yield from _entity(entity)
    for cidr in fields.get("CIDR", ()):
        yield Block((network_span(cidr),), BlockMeaning.OUTSIDE)
    for block in fields.get("CIDRSet", ()):
        if block.keys() - {"cidr", "except"}:
            raise ValueError("a CIDR that another object names")
        holes = [network_span(hole) for hole in block.get("except") or ()]
        yield Block(without(network_span(block["cidr"]), holes), BlockMeaning.OUTSIDE)


def _entity(name: str) -> Iterator[Peer]:
    match name:
        case "all":
            yield Everyone()
        case "world":
            yield Entities(world=True)
        case "cluster":
            yield Entities(cluster=True)
        case "none":
            return
        case _:
            yield Undecided(f"which addresses Cilium's entity {name} has is not known", outside_only=True)


def _ports(found: list[dict[str, Any]] | None) -> tuple[tuple[Port, ...] | None, bool]:
    """Return the ports of a rule, and whether some are narrowed by what is asked of the application."""
    if found is None:
        return None, False
    is_layer_7 = any(part.keys() - {"ports"} for part in found)
    named: list[dict[str, Any]] = [one for part in found for one in part.get("ports") or [{}]]
    ports = [port for one in named for port in _port(one)]
    return tuple(ports) or None, is_layer_7


def _port(port: dict[str, Any]) -> Iterator[Port]:
    protocol, number = str(port.get("protocol") or "ANY").upper(), str(port.get("port") or "0")
    for chosen in PROTOCOLS if protocol == "ANY" else (protocol,):
        if not number.isdecimal():
            yield NamedPort(number, chosen)
        elif number == "0":
            yield port_span(chosen)
        else:
            yield port_span(chosen, int(number), int(port.get("endPort") or number))


def _pods(selector: LabelSelector, namespace: str) -> Pods:
    """Return whom a selector of endpoints means; one that names no namespace stays in that of its policy."""
    wanted = [Requirement(k, "In", (v,)) for k, v in (selector.match_labels or {}).items()]
    of_pods: list[Requirement] = []
    of_namespaces: list[Requirement] = []
    for requirement in (*wanted, *(selector.match_expressions or ())):
        key = requirement.key.removeprefix("k8s:").removeprefix("any:")
        if ":" in key or key.startswith(_CILIUM_LABEL):
            raise ValueError(f"label {key} is not one of Kubernetes")
        if key == _NAMESPACE:
            of_namespaces.append(Requirement(_NAMESPACE_NAME, requirement.operator, requirement.values))
        elif key.startswith(_NAMESPACE_LABEL):
            name = key.removeprefix(_NAMESPACE_LABEL)
            of_namespaces.append(Requirement(name, requirement.operator, requirement.values))
        else:
            of_pods.append(Requirement(key, requirement.operator, requirement.values))
    chosen = LabelSelector(match_expressions=tuple(of_pods) or None)
    spaces = LabelSelector(match_expressions=tuple(of_namespaces) or None)
    fault = complaint(chosen) or complaint(spaces)
    if fault:
        raise ValueError(fault)
    if of_namespaces or not namespace:
        return Pods(chosen, spaces, host_pods=HostPods.NEVER)
    return Pods(chosen, None, namespace, HostPods.NEVER)
