"""What was meant to be narrow and is not: rules that another policy widens, and holes that leave private networks in.

What policies allow adds up: a rule for few peers does not restrict a port that another policy for the same pods opens
to more. Policies that others make moot as a whole are told by `effects`.
"""

import datetime as dt
from collections.abc import Iterator

from scanner.analysis.network.addresses import network_span, range_text, without
from scanner.analysis.network.connectivity import Connectivity
from scanner.analysis.network.effects import policy_connectivity
from scanner.analysis.network.isolation import NETWORK_POLICY, NamedPolicy, network_policies
from scanner.analysis.network.matching import ones
from scanner.analysis.network.ports import Span
from scanner.analysis.network.rules import Direction
from scanner.analysis.network.verdicts import Piece, ReadyRule, rule_pieces
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import IPBlock
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot

#: Networks that are nobody's on the internet, the last but one with the metadata of clouds.
PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7")

_EVERY_ADDRESS = frozenset({"0.0.0.0/0", "::/0"})


def rules_widened(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy whether other policies open a port of one of its rules to more peers.

    That is so if for every pod of the policy another NetworkPolicy certainly allows all peers of the rule and others on
    the same ports. Policies all of whose rules are such are moot and pass here; so do those that select no pod.
    """
    del now  # nothing here depends on the time
    found = snapshot.derive(policy_connectivity)
    for number, policy in enumerate(found.policies):
        if policy.policy.ref.group_kind == NETWORK_POLICY:
            rules = [(d, rule) for d in Direction for rule in policy.rules(d) or ()]
            widened = {rule.rule.path: by for d, rule in rules if (by := _wideners(found, number, d, rule))}
            yield _judge(policy.policy.ref, widened if len(widened) < len(rules) else {})


def _wideners(found: Connectivity, number: int, direction: Direction, rule: ReadyRule) -> frozenset[ObjectRef]:
    """Return the policies that open some ports of a rule to more, for every pod; empty if one pod is spared."""
    policy = found.policies[number]
    names: set[ObjectRef] = set()
    for own in ones(policy.selected.sure):
        pod = found.grouping.classes[own]
        beside = [
            (found.policies[n].policy.ref, piece)
            for n, is_sure in found.applied[direction][own]
            if is_sure and n != number and found.policies[n].policy.ref.group_kind == NETWORK_POLICY
            for other in found.policies[n].rules(direction) or ()
            for piece in rule_pieces(other, pod)
        ]
        here = {ref for piece in rule_pieces(rule, pod) for ref, other in beside if _is_wider(other, piece)}
        if not here:
            return frozenset()
        names |= here
    return frozenset(names)


def _is_wider(other: Piece, piece: Piece) -> bool:
    """Tell whether one piece certainly allows all peers and ports of another, and more peers."""
    is_covered = other.span[0] <= piece.span[0] and piece.span[1] <= other.span[1]
    return is_covered and bool(piece.match.maybe) and _holds_more(other.match.sure, piece.match.maybe)


def _holds_more(more: int, some: int) -> bool:
    return more & some == some and more != some


def _judge(ref: ObjectRef, widened: dict[str, frozenset[ObjectRef]]) -> Answer:
    if not widened:
        return Answer(
            resource=ref, outcome=Outcome.PASS, message="No other policy opens its ports to more, or it is moot"
        )
    names = sorted({name for names in widened.values() for name in names})
    by = ", ".join(str(name) for name in names)
    return Answer(
        resource=ref,
        outcome=Outcome.FAIL,
        message=f"{by} lets more peers to the same pods on ports of {', '.join(sorted(widened))}",
        evidence=(*(Fact(path=path) for path in sorted(widened)), *(Fact(path="spec", object=n) for n in names)),
    )


def holes_that_leave_private(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each NetworkPolicy with egress to all addresses but for some whether private networks are left in."""
    del now  # nothing here depends on the time
    for policies in snapshot.derive(network_policies).values():
        for policy in policies:
            blocks = tuple(_blocks_with_holes(policy)) if policy.isolates("egress") else ()
            if blocks:
                yield _judge_blocks(policy.ref, blocks)


def _blocks_with_holes(policy: NamedPolicy) -> Iterator[tuple[str, IPBlock]]:
    for number, rule in enumerate(policy.spec.egress or ()):
        for index, peer in enumerate(rule.to or ()):
            if peer.ip_block and peer.ip_block.cidr in _EVERY_ADDRESS and peer.ip_block.except_:
                yield f"spec.egress[{number}].to[{index}].ipBlock.except", peer.ip_block


def _judge_blocks(ref: ObjectRef, blocks: tuple[tuple[str, IPBlock], ...]) -> Answer:
    facts = [
        Fact(path=path, value=list(block.except_ or ()), note=f"leaves in {', '.join(left)}")
        for path, block in blocks
        if (left := tuple(_left(block)))
    ]
    if not facts:
        return Answer(resource=ref, outcome=Outcome.PASS, message="What is private is left out")
    return Answer(
        resource=ref,
        outcome=Outcome.FAIL,
        message="; ".join(sorted({f"Its `except` {fact.note}" for fact in facts})),
        evidence=tuple(facts),
    )


def _left(block: IPBlock) -> Iterator[str]:
    """Yield the private networks that a block leaves in, and what is left of those that it leaves in partly."""
    holes = [span for text in block.except_ or () for span in _spans(text)]
    for text in PRIVATE_NETWORKS:
        if (":" in text) == (":" in block.cidr):
            network = network_span(text)
            left = without(network, holes)
            if left:
                yield text if left == (network,) else f"{', '.join(map(range_text, left))} of {text}"


def _spans(text: str) -> Iterator[Span]:
    try:
        yield network_span(text)
    except ValueError:  # only a file can hold what is no network
        return
