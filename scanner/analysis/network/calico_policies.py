"""Calico's NetworkPolicy and GlobalNetworkPolicy as rules.

Policies stand in tiers; in a tier they are asked by order and then by name, and their rules one by one. Of a pod that
one of them is for, what no rule decides meets the end of the tier: it is denied, or passed on. Kubernetes' own
NetworkPolicies stand in the tier `default` at order 1000. Pods that no policy is for let everything through, as the
profiles of namespaces do. Policies are for pods with a network of their own; those on the network of their node belong
to host endpoints, which are not evaluated. Staged policies have no effect, and are not read.

Source: https://docs.tigera.io/calico/latest/reference/resources/ (networkpolicy, globalnetworkpolicy, tier, profile),
and https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

import msgspec

from scanner.analysis.network.calico_rules import OwnRule, RuleReader
from scanner.analysis.network.calico_selectors import (
    EVERYONE,
    OF_ACCOUNTS,
    OF_NAMESPACES,
    OF_PODS,
    Scope,
    has,
    parsed,
)
from scanner.analysis.network.calico_world import STORED, WRITTEN, CalicoWorld, calico_objects
from scanner.analysis.network.label_tests import ACCOUNT_LABEL
from scanner.analysis.network.rules import (
    Action,
    AllOf,
    Direction,
    HostPods,
    Peer,
    Policy,
    Rule,
    Selected,
    Tier,
    Undecided,
)
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot

CALICO_KINDS: tuple[GroupKind, ...] = tuple(
    GroupKind(group, kind) for group in (STORED, WRITTEN) for kind in ("NetworkPolicy", "GlobalNetworkPolicy")
)
#: Copies of Kubernetes' policies that Calico's API server shows among its own.
_COPIES = ("knp.", "kanp.", "kbanp.", "kcnp.")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}
_OF_THE_CLUSTER = Scope("pcsa.", has(ACCOUNT_LABEL))


class _Spec(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    tier: str | None = None
    order: float | None = None
    selector: str | None = None
    namespace_selector: str | None = None
    service_account_selector: str | None = None
    types: tuple[str, ...] | None = None
    ingress: tuple[dict[str, Any], ...] | None = None
    egress: tuple[dict[str, Any], ...] | None = None
    do_not_track: bool | None = None
    pre_dnat: bool | None = msgspec.field(default=None, name="preDNAT")
    apply_on_forward: bool | None = None
    performance_hints: tuple[str, ...] | None = None


class _Body(msgspec.Struct):
    spec: _Spec = msgspec.field(default_factory=_Spec)


def calico_policies(snapshot: Snapshot, *, policy_only: bool) -> Iterator[Policy]:
    """Yield every policy of Calico; one whose rules are of different pods is several, in order.

    By policies alone, networks mean pods only as far as they are all addresses.
    """
    found = [o for kind in ("NetworkPolicy", "GlobalNetworkPolicy") for o in calico_objects(snapshot, kind)]
    world = CalicoWorld(snapshot, policy_only=policy_only)
    for policy in found:
        if not policy.meta.name.startswith(_COPIES):
            yield from _policies(policy, world)
    yield from _of_host_endpoints(world, is_calico_used=bool(found))


def _of_host_endpoints(world: CalicoWorld, *, is_calico_used: bool) -> Iterator[Policy]:
    """Yield that the traffic of pods on the network of their node is undecided where there are host endpoints."""
    if world.host_endpoints:
        ref = min(o.ref for o in world.host_endpoints)
        reason = f"{ref}: policies on host endpoints are not evaluated"
    elif world.unread_host_endpoints and is_calico_used:
        ref, reason = ObjectRef(STORED, "HostEndpoint", "", ""), world.unread_host_endpoints
    else:
        return
    yield _anything(ref, Selected(EVERYONE, host_pods=HostPods.ONLY), reason)


def _anything(ref: ObjectRef, subject: Peer, reason: str) -> Policy:
    """Return a policy that may do anything to these pods."""
    rule = (Rule(Action.UNDECIDED, (Undecided(reason),), None, "spec"),)
    return Policy(ref=ref, tier=Tier.PLUGIN_DENY, subject=subject, ingress=rule, egress=rule)


def _policies(policy: KubeObject, world: CalicoWorld) -> Iterator[Policy]:
    everyone = Selected(EVERYONE, policy.meta.namespace)
    try:
        spec = policy.decode(_Body).spec
        directions = _directions(spec)
    except (msgspec.ValidationError, ValueError) as error:  # only a file can hold what Calico refuses
        yield _anything(policy.ref, everyone, f"{policy.ref}: {error}")
        return
    claim = _subject(policy, spec)
    if (spec.apply_on_forward or spec.do_not_track or spec.pre_dnat) and world.may_mean_hosts(claim):
        # Such a policy is asked about all that the host passes on to its pods.
        yield _anything(policy.ref, Selected(EVERYONE), f"{policy.ref}: policies on host endpoints are not evaluated")
    if spec.do_not_track or spec.pre_dnat:
        return  # these are for host endpoints alone
    subject = Selected(claim, policy.meta.namespace)
    tier = world.tier(spec.tier or "")
    if tier is None:
        reason = f"{policy.ref}: its tier {(spec.tier or '')[:100]} is not known"
        undecided = _anything(policy.ref, subject, reason)
        yield replace(
            undecided,
            ingress=undecided.ingress if Direction.INGRESS in directions else None,
            egress=undecided.egress if Direction.EGRESS in directions else None,
        )
        return
    yield from _in_tier(policy, spec, world, Policy(policy.ref, tier, subject, None, None), directions)


def _subject(policy: KubeObject, spec: _Spec) -> Peer:
    """Return which pods a policy is for, of its namespace if it has one; one that cannot be read may mean any."""
    of_accounts = OF_ACCOUNTS if policy.meta.namespace else _OF_THE_CLUSTER
    claims = [_claim(policy, "selector", spec.selector, OF_PODS)]
    if not policy.meta.namespace:
        claims.append(_claim(policy, "namespaceSelector", spec.namespace_selector, OF_NAMESPACES))
    claims.append(_claim(policy, "serviceAccountSelector", spec.service_account_selector, of_accounts))
    return AllOf(tuple(claims))


def _claim(policy: KubeObject, field: str, selector: str | None, scope: Scope) -> Peer:
    try:
        return parsed(selector or "", scope)
    except ValueError as error:  # only a file can hold what Calico refuses
        return Undecided(f"{policy.ref}: spec.{field}: {error}")


def _directions(spec: _Spec) -> frozenset[Direction]:
    """Return the directions of a policy: those that it names, else those that it has rules for, else ingress."""
    if spec.types:
        unknown = [name for name in spec.types if name not in _TYPES]
        if unknown:
            raise ValueError(f"unknown type {unknown[0][:20]!r}")
        return frozenset(_TYPES[name] for name in spec.types)
    if spec.egress:
        return frozenset(Direction) if spec.ingress else frozenset({Direction.EGRESS})
    return frozenset({Direction.INGRESS})


def _in_tier(
    policy: KubeObject, spec: _Spec, world: CalicoWorld, blank: Policy, directions: frozenset[Direction]
) -> Iterator[Policy]:
    """Yield the rules of a policy in its place among others; a policy without rules is for its pods all the same."""
    name = policy.meta.name.removeprefix(f"{spec.tier or 'default'}.")
    placed = replace(blank, priority=math.inf if spec.order is None else spec.order, series=policy.kind, place=name)
    reader = RuleReader(world, policy.meta.namespace, str(policy.ref))
    ingress = _rules(reader, spec.ingress or (), Direction.INGRESS) if Direction.INGRESS in directions else None
    egress = _rules(reader, spec.egress or (), Direction.EGRESS) if Direction.EGRESS in directions else None
    if all(rule.own is None for rule in (*(ingress or ()), *(egress or ()))):
        whole = replace(placed, ingress=_plain(ingress), egress=_plain(egress))
        yield whole
        return
    for rules, direction in ((ingress, Direction.INGRESS), (egress, Direction.EGRESS)):
        if rules is not None:
            yield from _split(placed, rules, direction)


def _plain(rules: tuple[OwnRule, ...] | None) -> tuple[Rule, ...] | None:
    return None if rules is None else tuple(rule.rule for rule in rules)


def _split(placed: Policy, rules: tuple[OwnRule, ...], direction: Direction) -> Iterator[Policy]:
    """Yield a policy for all of the pods, and one for each run of rules that is for some of them."""
    runs = [(None, ()), *((own, tuple(run)) for own, run in groupby(rules, key=lambda rule: rule.own))]
    for own, run in runs:
        subject = placed.subject if own is None else AllOf((placed.subject, own))
        found = tuple(rule.rule for rule in run)
        yield replace(
            placed,
            subject=subject,
            ingress=found if direction is Direction.INGRESS else None,
            egress=found if direction is Direction.EGRESS else None,
        )


def _rules(reader: RuleReader, rules: tuple[dict[str, Any], ...], direction: Direction) -> tuple[OwnRule, ...]:
    found = [reader.rule(rule, direction, f"spec.{direction}[{i}]") for i, rule in enumerate(rules)]
    return tuple(rule for rule in found if rule is not None)
