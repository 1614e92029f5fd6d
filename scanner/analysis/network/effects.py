"""What NetworkPolicies really change: policies that others make moot, holes that others fill, peers that are nobody.

What policies allow adds up, so a narrow one beside a wider one for the same pods narrows nothing. All of it is decided
by the engine and by the policies alone: what network plugins do differently does not matter to what one adds to others.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from scanner.analysis.network.addresses import network_span
from scanner.analysis.network.connectivity import Connectivity, connectivity
from scanner.analysis.network.isolation import NETWORK_POLICY, NamedPolicy, network_policies
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import Span
from scanner.analysis.network.rules import Direction, Pods, Tier
from scanner.analysis.network.selection import (
    WORKLOAD_KINDS,
    is_described,
    may_select,
    missing_reads,
    pods_by_namespace,
    unread_pods,
)
from scanner.analysis.network.verdicts import Flows, ReadyPolicy, ReadyRule, flows, rule_pieces
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import NetworkPolicyPeer
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot

NAMESPACE = GroupKind("", "Namespace")

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (NETWORK_POLICY, NAMESPACE, *WORKLOAD_KINDS)


def policy_connectivity(snapshot: Snapshot) -> Connectivity:
    """Return the connectivity by the policies alone; for `Snapshot.derive`."""
    return connectivity(snapshot, policy_only=True)


def policies_without_effect(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy whether other NetworkPolicies on its pods make it moot.

    That is so if the same connections are allowed without it: others allow all that it allows, or it denies and they
    allow. All that fail may go together. An empty podSelector is for pods to come, so it passes; so do policies that no
    pod is selected by, and those with a peer that is nobody, of which other questions tell. Nor is it a failure to deny
    what another denies.
    """
    del now  # nothing here depends on the time
    found = snapshot.derive(policy_connectivity)
    gone: set[int] = set()
    answers: list[Answer] = []
    for number in reversed(range(len(found.policies))):
        if found.policies[number].policy.tier is Tier.NETWORK_POLICY and _is_native(found.policies[number]):
            answer = _judge_effect(found, number, gone)
            if answer.outcome is Outcome.FAIL:
                gone.add(number)
            answers.append(answer)
    yield from reversed(answers)


def _is_native(policy: ReadyPolicy) -> bool:
    return policy.policy.ref.group_kind == NETWORK_POLICY


def _judge_effect(found: Connectivity, number: int, gone: set[int]) -> Answer:
    policy = found.policies[number]
    ref, subject = policy.policy.ref, policy.policy.subject
    moot = Answer(resource=ref, outcome=Outcome.PASS, message="It changes what can connect, or is for pods to come")
    if not isinstance(subject, Pods) or subject.pods.is_empty or not policy.selected.maybe:
        return moot
    rules = [rule for direction in Direction for rule in policy.rules(direction) or ()]
    if any(not rule.match.maybe for rule in rules):
        return moot
    others: set[ObjectRef] = set()
    for direction in Direction:
        for own in ones(policy.selected.maybe) if policy.rules(direction) is not None else ():
            rest = [(n, is_sure) for n, is_sure in found.applied[direction][own] if n != number and n not in gone]
            beside = [found.policies[n].policy for n, is_sure in rest if is_sure]
            others_here = {p.ref for p in beside if p.tier is Tier.NETWORK_POLICY and p.rules(direction)}
            pod = found.grouping.classes[own]
            without = flows([(found.policies[n], is_sure) for n, is_sure in rest], pod, direction, found.matcher)
            now = [*rest, *((n, s) for n, s in found.applied[direction][own] if n == number)]
            whole = flows([(found.policies[n], s) for n, s in sorted(now)], pod, direction, found.matcher)
            is_denial = not policy.rules(direction)
            if not others_here or without != whole or (is_denial and not _allows_some(without)):
                return moot
            others |= others_here
    names = ", ".join(str(name) for name in sorted(others))
    is_sure = policy.selected.sure == policy.selected.maybe and all(r.match.sure == r.match.maybe for r in rules)
    return Answer(
        resource=ref,
        outcome=Outcome.FAIL if is_sure else Outcome.UNKNOWN,
        message=f"The same connections are allowed without it, by {names} for the same pods",
        evidence=(Fact(path="spec"), *(Fact(path="spec", object=name) for name in sorted(others))),
    )


def _allows_some(found: Flows) -> bool:
    return any(flow.sure for flow in found)


def holes_filled(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy with an `except` whether rules allow the same pods what it leaves out.

    A hole is filled if all of it is allowed on every port of its rule.
    """
    del now  # nothing here depends on the time
    found = snapshot.derive(policy_connectivity)
    ready = {policy.policy.ref: number for number, policy in enumerate(found.policies)}
    for policies in snapshot.derive(network_policies).values():
        for policy in policies:
            holes = list(_holes(policy))
            if holes:
                yield _judge_holes(found, ready[policy.ref], holes)


@dataclass(frozen=True, slots=True)
class _Hole:
    direction: Direction
    rule: int
    path: str
    cidr: str
    span: Span


def _holes(policy: NamedPolicy) -> Iterator[_Hole]:
    for direction, rule, path, peer in _peers(policy):
        for index, cidr in enumerate((peer.ip_block.except_ if peer.ip_block else None) or ()):
            try:
                yield _Hole(direction, rule, f"{path}.ipBlock.except[{index}]", cidr, network_span(cidr))
            except ValueError:  # only a file can hold what is no network
                continue


def _peers(policy: NamedPolicy) -> Iterator[tuple[Direction, int, str, NetworkPolicyPeer]]:
    """Yield every peer of the directions that a policy concerns, with its rule and path."""
    ingress = policy.spec.ingress if policy.isolates("ingress") else None
    egress = policy.spec.egress if policy.isolates("egress") else None
    for number, into in enumerate(ingress or ()):
        for index, peer in enumerate(into.from_ or ()):
            yield Direction.INGRESS, number, f"spec.ingress[{number}].from[{index}]", peer
    for number, out in enumerate(egress or ()):
        for index, peer in enumerate(out.to or ()):
            yield Direction.EGRESS, number, f"spec.egress[{number}].to[{index}]", peer


def _judge_holes(found: Connectivity, number: int, holes: list[_Hole]) -> Answer:
    policy = found.policies[number]
    facts: list[Fact] = []
    names: set[ObjectRef] = set()
    for hole in holes:
        fillers = _fillers(found, policy, hole)
        if fillers:
            facts.append(Fact(path=hole.path, value=hole.cidr))
            names |= fillers
    if not facts:
        return Answer(resource=policy.policy.ref, outcome=Outcome.PASS, message="What it leaves out stays out")
    cidrs = ", ".join(str(fact.value) for fact in facts)
    by = ", ".join(str(name) for name in sorted(names))
    return Answer(
        resource=policy.policy.ref,
        outcome=Outcome.FAIL,
        message=f"It leaves out {cidrs}, which {by} allows the same pods on the same ports",
        evidence=(*facts, *(Fact(path="spec", object=name) for name in sorted(names - {policy.policy.ref}))),
    )


def _fillers(found: Connectivity, policy: ReadyPolicy, hole: _Hole) -> set[ObjectRef]:
    """Return the policies that allow some pods all of a hole, if the ports of its rule are all open to it."""
    bits = found.space.bits([hole.span]) << len(found.grouping.classes)
    rules = policy.rules(hole.direction) or ()
    rule = rules[hole.rule] if hole.rule < len(rules) else None
    for own in ones(policy.selected.sure) if rule else ():
        if rule and _is_open(found, own, hole, bits, rule):
            return {
                found.policies[n].policy.ref
                for n, _ in found.applied[hole.direction][own]
                for other in found.policies[n].rules(hole.direction) or ()
                if other.match.sure & bits == bits
            }
    return set()


def _is_open(found: Connectivity, own: int, hole: _Hole, bits: int, rule: ReadyRule) -> bool:
    spans = [piece.span for piece in rule_pieces(rule, found.grouping.classes[own])]
    allowed = found.flows(own, hole.direction)
    return bool(spans) and all(
        flow.sure & bits == bits
        for span in spans
        for flow in allowed
        if flow.span[0] <= span[1] and span[0] <= flow.span[1]
    )


def peers_that_are_nobody(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy whether a selector in its rules matches no pod and no pod template.

    An empty podSelector for the policy's own namespace waits for whatever comes and passes. In files, peers of other
    namespaces, or made by an operator, may be elsewhere: those are unknown.
    """
    del now  # nothing here depends on the time
    found = snapshot.derive(policy_connectivity)
    for policies in snapshot.derive(network_policies).values():
        for policy in policies:
            peers = [(path, peer) for _, _, path, peer in _peers(policy) if _selects_by_label(peer)]
            nobody = [(path, peer) for path, peer in peers if not _is_somebody(found, policy, peer)]
            yield _judge_peers(snapshot, policy, nobody)


def _selects_by_label(peer: NetworkPolicyPeer) -> bool:
    selectors = (peer.pod_selector, peer.namespace_selector)
    return peer.ip_block is None and any(s is not None and not s.is_empty for s in selectors)


def _is_somebody(found: Connectivity, policy: NamedPolicy, peer: NetworkPolicyPeer) -> bool:
    own = "" if peer.namespace_selector is not None else policy.ref.namespace
    pods = Pods(peer.pod_selector or LabelSelector(), peer.namespace_selector, own)
    return bool(found.matcher.match([pods]).maybe)


def _judge_peers(snapshot: Snapshot, policy: NamedPolicy, nobody: list[tuple[str, NetworkPolicyPeer]]) -> Answer:
    if not nobody:
        return Answer(resource=policy.ref, outcome=Outcome.PASS, message="Its selectors of peers match pods")
    proven = [path for path, peer in nobody if _is_absent(snapshot, policy, peer)]
    paths = proven or [path for path, _ in nobody]
    evidence = tuple(Fact(path=path) for path in paths)
    if proven:
        message = f"No pod and no pod template is what {', '.join(proven)} selects"
        return Answer(resource=policy.ref, outcome=Outcome.FAIL, message=message, evidence=evidence)
    message = f"No pod that was read is what {', '.join(paths)} selects"
    missing = missing_reads(snapshot, (NAMESPACE, *WORKLOAD_KINDS), "") or unread_pods(snapshot)
    return Answer(resource=policy.ref, outcome=Outcome.UNKNOWN, message=message, evidence=evidence, missing=missing)


def _is_absent(snapshot: Snapshot, policy: NamedPolicy, peer: NetworkPolicyPeer) -> bool:
    """Tell whether it is certain that there is no such pod."""
    if peer.namespace_selector is not None:
        return not missing_reads(snapshot, (NAMESPACE, *WORKLOAD_KINDS), "") and not unread_pods(snapshot)
    namespace, selector = policy.ref.namespace, peer.pod_selector or LabelSelector()
    pods = snapshot.derive(pods_by_namespace).get(namespace, ())
    return (
        not missing_reads(snapshot, WORKLOAD_KINDS, namespace)
        and is_described(snapshot, namespace)
        and not any(may_select(selector, pod) for pod in pods)
    )
