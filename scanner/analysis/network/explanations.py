"""Why a connection is allowed, denied or undecided: the policies and rules that have a say, in the order of asking."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.matching import HOST_NETWORK, LABELS_UNKNOWN
from scanner.analysis.network.ports import Span
from scanner.analysis.network.rules import Direction, End, Tier
from scanner.analysis.network.verdicts import ReadyPolicy, ReadyRule, rule_pieces
from scanner.model.refs import ObjectRef

#: A pod whose containers give one name to several ports is the one doubt that no rule shows.
_AMBIGUOUS_NAME = "a port has one name in several containers of a pod"


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """What one rule says of a peer, or that a policy isolates and has no rule for it."""

    policy: ObjectRef
    #: `spec.ingress[0]`; empty where no rule of the policy means the peer.
    path: str
    name: str
    #: `Allow`, `Deny`, `Pass`, `Undecided`, or `Isolate`.
    action: str
    spans: tuple[Span, ...]
    is_sure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One direction of a connection as one class of pods sees it."""

    direction: Direction
    says: tuple[Say, ...]
    allowed: tuple[Span, ...]
    unknown: tuple[Span, ...]


def side(found: Connectivity, own: int, peer: int, direction: Direction) -> Side:
    """Return what the policies on a class, or on none for an address, say of one peer."""
    flows = found.flows(own, direction)
    allowed = tuple(f.span for f in flows if f.sure >> peer & 1)
    unknown = tuple(f.span for f in flows if (f.maybe & ~f.sure) >> peer & 1)
    return Side(direction=direction, says=tuple(_says(found, own, peer, direction)), allowed=allowed, unknown=unknown)


def _applied(found: Connectivity, own: int, direction: Direction) -> Iterator[tuple[ReadyPolicy, bool]]:
    """Yield the policies on a class, in order; none are on addresses."""
    if own < len(found.grouping.classes):
        for number, is_sure in found.applied[direction][own]:
            yield found.policies[number], is_sure


def _says(found: Connectivity, own: int, peer: int, direction: Direction) -> Iterator[Say]:
    applied = list(_applied(found, own, direction))
    said = [tuple(_of_policy(found, one, own, peer, direction)) for one in applied]
    # Rules that are for some of a policy's pods alone are policies of their own here, with the name of the whole.
    heard = {says[0].policy for says in said if says}
    for (policy, is_sure), says in zip(applied, said, strict=True):
        yield from says
        ref = policy.policy.ref
        if policy.policy.tier.end is End.DENY and ref not in heard:
            heard.add(ref)
            yield Say(policy=ref, path="", name="", action="Isolate", spans=(), is_sure=is_sure)


def _of_policy(
    found: Connectivity, applied: tuple[ReadyPolicy, bool], own: int, peer: int, direction: Direction
) -> Iterator[Say]:
    policy, is_sure = applied
    for rule in policy.rules(direction) or ():
        spans, is_match_sure = _meant(found, rule, own, peer)
        if spans:
            yield Say(
                policy=policy.policy.ref,
                path=rule.rule.path,
                name=rule.rule.name,
                action=rule.rule.action,
                spans=spans,
                is_sure=is_sure and is_match_sure,
            )


def _meant(found: Connectivity, rule: ReadyRule, own: int, peer: int) -> tuple[tuple[Span, ...], bool]:
    """Return the ports on which a rule means a peer, and whether all of that is certain."""
    pieces = [p for p in rule_pieces(rule, found.grouping.classes[own]) if p.match.maybe >> peer & 1]
    return tuple(p.span for p in pieces), all(p.match.sure >> peer & 1 for p in pieces)


def why_unknown(found: Connectivity, source: int, destination: int) -> tuple[str, ...]:
    """Return what keeps a connection between two classes, or a class and an address, from being decided."""
    sides = ((source, destination, Direction.EGRESS), (destination, source, Direction.INGRESS))
    undecided = [one for one in sides if side(found, *one).unknown]
    reasons = {reason for one in undecided for reason in _doubts(found, *one)}
    return tuple(sorted(reasons)) or ((_AMBIGUOUS_NAME,) if undecided else ())


def _doubts(found: Connectivity, own: int, peer: int, direction: Direction) -> Iterator[str]:
    applied = list(_applied(found, own, direction))
    for policy, is_sure in applied:
        if not is_sure:
            yield _subject_doubt(found, policy, own)
        if policy.policy.tier.spares_nodes and found.matcher.host_pods >> peer & 1:
            yield HOST_NETWORK
        for rule in policy.rules(direction) or ():
            yield from (doubt.reason for doubt in rule.doubts if doubt.peers >> peer & 1)
    yield from _contests([policy for policy, _ in applied], peer, direction)


def _subject_doubt(found: Connectivity, policy: ReadyPolicy, own: int) -> str:
    if policy.policy.doubt:
        return policy.policy.doubt
    reasons = found.matcher.doubts([policy.policy.subject])
    return next((doubt.reason for doubt in reasons if doubt.peers >> own & 1), LABELS_UNKNOWN)


def _contests(policies: list[ReadyPolicy], peer: int, direction: Direction) -> Iterator[str]:
    """Yield where policies of one priority both have a rule for a peer."""
    ordered = [p for p in policies if p.policy.tier != Tier.PLUGIN_DENY]
    for _, equals in groupby(ordered, key=lambda p: (p.policy.tier, p.policy.priority)):
        saying = {
            p.policy.ref: p.policy.series or str(p.policy.ref)
            for p in equals
            if any(r.match.maybe >> peer & 1 for r in p.rules(direction) or ())
        }
        actions = {
            r.rule.action for p in policies if p.policy.ref in saying for r in p.rules(direction) or () if r.match.maybe
        }
        names = [str(ref) for ref in saying]
        if len(set(saying.values())) > 1 and len(actions) > 1:
            yield f"{' and '.join(names)} have the same priority: which of them decides is not defined"
