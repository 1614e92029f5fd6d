"""What the policies on one class of pods let through in one direction: for each span of ports, which peers.

The line of ports is cut where a rule begins or ends. For each piece the tiers are asked in order with sets of peers, so
that the work grows with the rules on a class and not with pods or ports.

Source: https://network-policy-api.sigs.k8s.io/api-overview/ (tiers, Pass, equal priorities), and
https://kubernetes.io/docs/concepts/services-networking/network-policies/ (isolation, union of rules).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby, pairwise
from operator import and_, or_
from typing import NamedTuple, TypeAlias

from scanner.analysis.network.matching import NOBODY, Doubt, Match, Matcher
from scanner.analysis.network.pod_classes import PodClass
from scanner.analysis.network.ports import EVERY_PORT, PROTOCOLS, Span, port_span
from scanner.analysis.network.rules import Action, Direction, End, HostPods, NamedPort, Pods, Policy, Rule, Tier


class Flow(NamedTuple):
    """Peers that get through on a span of ports: certainly, and possibly."""

    span: Span
    sure: int
    maybe: int


#: Flows that cover the line of ports, in order; neighbours differ.
Flows: TypeAlias = tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Peers that a rule means on a span of ports."""

    span: Span
    match: Match


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """A rule with its peers found."""

    rule: Rule
    #: All peers, whatever the port.
    match: Match
    pieces: tuple[Piece, ...]
    #: Names that each pod that the rule is for gives to ports of its own.
    named: tuple[NamedPort, ...]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class ReadyPolicy:
    """A policy with the pods that it selects and the peers of its rules found."""

    policy: Policy
    selected: Match
    ingress: tuple[ReadyRule, ...] | None
    egress: tuple[ReadyRule, ...] | None

    def rules(self, direction: Direction) -> tuple[ReadyRule, ...] | None:
        """Return the rules of a direction; None where the policy does not concern it."""
        return self.ingress if direction is Direction.INGRESS else self.egress


def prepared(policies: Iterable[Policy], matcher: Matcher) -> tuple[ReadyPolicy, ...]:
    """Find the pods and peers of each policy, in the order in which policies are asked."""
    maker = _Maker(matcher)
    ready = [maker.policy(policy) for policy in policies]
    return tuple(sorted(ready, key=lambda p: _place(p.policy)))


def _place(policy: Policy) -> tuple[object, ...]:
    return (policy.tier, policy.priority, policy.series, policy.place, policy.ref)


class _Maker:
    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._ports = matcher.named_ports()

    def policy(self, policy: Policy) -> ReadyPolicy:
        selected = self._matcher.selected(policy.subject)
        return ReadyPolicy(
            policy=policy,
            selected=Match(0, selected.maybe) if policy.doubt else selected,
            ingress=self._rules(policy.ingress, Direction.INGRESS),
            egress=self._rules(policy.egress, Direction.EGRESS),
        )

    def _rules(self, rules: tuple[Rule, ...] | None, direction: Direction) -> tuple[ReadyRule, ...] | None:
        return None if rules is None else tuple(self._rule(rule, direction) for rule in rules)

    def _rule(self, rule: Rule, direction: Direction) -> ReadyRule:
        match = self._matcher.match(rule.peers)
        doubts = self._matcher.doubts(rule.peers)
        if rule.doubt:
            match = Match(0, match.maybe)
            doubts = (*doubts, Doubt(match.maybe, rule.doubt))
        ports = (EVERY_PORT,) if rule.ports is None else rule.ports
        pieces = [Piece(port, match) for port in ports if not isinstance(port, NamedPort)]
        named = tuple(port for port in ports if isinstance(port, NamedPort))
        if direction is Direction.EGRESS:
            pieces += [piece for port in named for piece in self._named(port, match)]
        return ReadyRule(
            rule=rule,
            match=match,
            pieces=tuple(pieces),
            named=named if direction is Direction.INGRESS else (),
            doubts=doubts,
        )

    def _named(self, port: NamedPort, match: Match) -> list[Piece]:
        """Resolve the name of a port in each of the peers; addresses outside the cluster have none."""
        return [
            Piece(port_span(protocol, number, number), match & having)
            for protocol in PROTOCOLS
            if port.protocol in {"", protocol}
            for number, having in self._ports.get((port.name, protocol), {}).items()
        ]


def flows(applied: Sequence[tuple[ReadyPolicy, bool]], pod: PodClass, direction: Direction, matcher: Matcher) -> Flows:
    """Return what gets through to (or from) pods of a class.

    `applied` are the policies that concern it in that direction, in order, and whether they certainly select it.
    """
    ready = [
        (policy, is_sure, [(rule, rule_pieces(rule, pod)) for rule in policy.rules(direction) or ()])
        for policy, is_sure in applied
    ]
    edges = {EVERY_PORT[0], EVERY_PORT[1] + 1}
    for _, _, rules in ready:
        for _, pieces in rules:
            edges.update(edge for piece in pieces for edge in (piece.span[0], piece.span[1] + 1))
    found: list[Flow] = []
    for first, end in pairwise(sorted(edges)):
        here = [
            _Applied(policy, is_sure, tuple((rule, _at(pieces, first)) for rule, pieces in rules))
            for policy, is_sure, rules in ready
        ]
        match = _decide(here, pod, matcher)
        if found and (found[-1].sure, found[-1].maybe) == (match.sure, match.maybe):
            found[-1] = found[-1]._replace(span=(found[-1].span[0], end - 1))
        else:
            found.append(Flow((first, end - 1), match.sure, match.maybe))
    return tuple(found)


def rule_pieces(rule: ReadyRule, pod: PodClass) -> tuple[Piece, ...]:
    """Return whom a rule on a pod means on which ports, with names of ports resolved in the pod that is reached."""
    return (*rule.pieces, *_own_ports(rule, pod))


def _own_ports(rule: ReadyRule, pod: PodClass) -> list[Piece]:
    """Resolve the names of ports in the pod that the rule is for."""
    found: list[Piece] = []
    for wanted in rule.named:
        meant = [p for p in pod.ports if p[0] == wanted.name and wanted.protocol in {"", p[1]}]
        for _, protocol, number in meant:
            is_only = sum(p[1] == protocol for p in meant) == 1
            match = rule.match if is_only else Match(0, rule.match.maybe)
            found.append(Piece(port_span(protocol, number, number), match))
    return found


def _at(pieces: tuple[Piece, ...], place: int) -> Match:
    return reduce(or_, (p.match for p in pieces if p.span[0] <= place <= p.span[1]), NOBODY)


@dataclass(frozen=True, slots=True)
class _Applied:
    """A policy on a class, with whom its rules mean on one span of ports."""

    policy: ReadyPolicy
    is_sure: bool
    rules: tuple[tuple[ReadyRule, Match], ...]


@dataclass(slots=True)
class _Fates:
    """What may become of each peer; it is certain where it has one possible fate. Peers may have several."""

    #: Not decided yet.
    open: int
    allowed: int = 0
    denied: int = 0
    passed: int = 0


def _decide(applied: list[_Applied], pod: PodClass, matcher: Matcher) -> Match:
    """Return who gets through on one span of ports."""
    fates = _Fates(open=matcher.everyone)
    for tier, policies in groupby(applied, key=lambda a: a.policy.policy.tier):
        _ask_tier(tier, list(policies), fates, pod, matcher)
    # What no policy decides gets through.
    return Match(matcher.everyone & ~fates.denied, fates.allowed | fates.open)


def _ask_tier(tier: Tier, policies: list[_Applied], fates: _Fates, pod: PodClass, matcher: Matcher) -> None:
    """Ask the policies of a tier, and leave open what it passes on."""
    if tier.spares_nodes:
        fates.allowed |= fates.open & matcher.host_pods
    asked = fates.open
    for _, equals in groupby(policies, key=lambda a: a.policy.policy.priority):
        _ask_equals(list(equals), fates)
    if tier.end is End.DENY:
        fates.denied |= fates.open & _ending(policies, asked, pod)
        if any(p.is_sure for p in policies):
            fates.open = 0
    fates.open |= fates.passed
    fates.passed = 0


def _ask_equals(policies: list[_Applied], fates: _Fates) -> None:
    """Ask policies of one priority. Which of several series decides first is left open, so each of them may."""
    left = fates.open
    rest = [
        reduce(lambda open_, policy: _ask_rules(policy, open_, fates), members, left)
        for _, members in groupby(policies, key=_series)
    ]
    fates.open = reduce(and_, rest)


def _series(applied: _Applied) -> object:
    return applied.policy.policy.series or id(applied)


def _ending(policies: list[_Applied], asked: int, pod: PodClass) -> int:
    """Return the peers that may come to the end of a tier: that takes one policy that applies and none that decides.

    Where it is certain of none that it applies, any one may alone. Those whose say over the host network is up to the
    plugin apply together, if nothing else is in doubt.
    """
    if any(p.is_sure for p in policies):
        return asked
    left = [(p, asked & ~reduce(or_, (match.sure for _, match in p.rules), 0)) for p in policies]
    hinges = pod.on_host_network and pod.is_running and not pod.is_namespace_unread
    together = [open_ for p, open_ in left if hinges and _is_up_to_plugin(p)]
    alone = [open_ for p, open_ in left if not (hinges and _is_up_to_plugin(p))]
    return reduce(or_, alone, reduce(and_, together) if together else 0)


def _is_up_to_plugin(applied: _Applied) -> bool:
    policy = applied.policy.policy
    return isinstance(policy.subject, Pods) and policy.subject.host_pods is HostPods.PLUGIN and not policy.doubt


def _ask_rules(applied: _Applied, open_: int, fates: _Fates) -> int:
    """Ask the rules of one policy in order, of which the first that means a peer decides; return who may be left."""
    for rule, match in applied.rules:
        meant, action = match.maybe & open_, rule.rule.action
        if action in {Action.ALLOW, Action.UNDECIDED}:
            fates.allowed |= meant
        if action in {Action.DENY, Action.UNDECIDED}:
            fates.denied |= meant
        if action in {Action.PASS, Action.UNDECIDED}:
            fates.passed |= meant
        if applied.is_sure:
            open_ &= ~match.sure
    return open_
