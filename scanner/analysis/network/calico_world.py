"""What Calico's policies refer to: tiers, network sets and host endpoints.

A selector in a rule means pods and, by the same labels, the networks of network sets and the addresses of host
endpoints. Where these could not be read, a selector may mean more than is known.

Source: https://docs.tigera.io/calico/latest/reference/resources/ (tier, networkset, globalnetworkset, hostendpoint).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_

import msgspec

from scanner.analysis.network.addresses import address_place, network_span
from scanner.analysis.network.calico_selectors import EVERYONE, equals
from scanner.analysis.network.label_tests import NAME_LABEL, NAMESPACE_LABEL, NAMESPACE_PREFIX, TestIndex
from scanner.analysis.network.matching import NOBODY, Match, ones
from scanner.analysis.network.ports import Span, merged
from scanner.analysis.network.rules import (
    AllOf,
    AnyOf,
    Block,
    BlockMeaning,
    End,
    HostPods,
    LabelTest,
    Not,
    Peer,
    Selected,
    Tier,
    Undecided,
    parts_of,
)
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot, SourceKind

#: The group under which Calico keeps its objects, and the one under which people write them.
STORED, WRITTEN = "crd.projectcalico.org", "projectcalico.org"
#: What policies refer to.
CALICO_REFERENCES: tuple[GroupKind, ...] = tuple(
    GroupKind(group, kind)
    for group in (STORED, WRITTEN)
    for kind in ("Tier", "NetworkSet", "GlobalNetworkSet", "HostEndpoint")
)
#: Tiers that are always there, under the names of several releases; who may set their order finds it refused.
_FIXED_TIERS = {
    "default": Tier.NETWORK_POLICY,
    "kube-admin": Tier.ADMIN,
    "adminnetworkpolicy": Tier.ADMIN,
    "kube-baseline": Tier.BASELINE,
    "baselineadminnetworkpolicy": Tier.BASELINE,
}
_ENDS = {"": End.DENY, "Deny": End.DENY, "Pass": End.NEXT}


class _TierSpec(msgspec.Struct, rename="camel"):
    order: float | None = None
    default_action: str | None = None


class _TierBody(msgspec.Struct):
    spec: _TierSpec = msgspec.field(default_factory=_TierSpec)


class _SetSpec(msgspec.Struct, rename="camel"):
    nets: tuple[str, ...] | None = None
    #: Of host endpoints: addresses instead of networks.
    expected_i_ps: tuple[str, ...] | None = msgspec.field(default=None, name="expectedIPs")


class _SetBody(msgspec.Struct):
    spec: _SetSpec = msgspec.field(default_factory=_SetSpec)


@dataclass(frozen=True, slots=True)
class _AddressSet:
    """A network set or host endpoint: its labels as a selector sees them, and what it means as a peer."""

    labels: Mapping[str, str]
    #: Whether other labels of its namespace are not known.
    is_namespace_unread: bool
    peer: Peer


def calico_objects(snapshot: Snapshot, kind: str) -> tuple[KubeObject, ...]:
    """Return Calico's objects of a kind, one of each: what is kept comes before what is written."""
    found: dict[tuple[str, str], KubeObject] = {}
    for group in (STORED, WRITTEN):
        for o in snapshot.of(group, kind):
            found.setdefault((o.meta.namespace, o.meta.name.removeprefix("default.")), o)
    return tuple(found.values())


def not_read(snapshot: Snapshot, *kinds: str) -> str:
    """Return why there may be more of Calico's objects of these kinds than were read; empty if there are none."""
    if snapshot.source is not SourceKind.LIVE:
        return ""
    missing = snapshot.inconclusive([GroupKind(group, kind) for group in (STORED, WRITTEN) for kind in kinds])
    return f"not read: {missing[0].missing}" if missing else ""


class CalicoWorld:
    """What policies refer to, in one snapshot."""

    def __init__(self, snapshot: Snapshot, *, policy_only: bool) -> None:
        """Find it; by policies alone, pods have addresses only as far as a network is all of them."""
        self._snapshot = snapshot
        self._tiers = dict(_tiers(snapshot))
        self.meaning = BlockMeaning.WHOLE if policy_only else BlockMeaning.PODS
        self.host_endpoints = calico_objects(snapshot, "HostEndpoint")
        self.unread_host_endpoints = "" if policy_only else not_read(snapshot, "HostEndpoint")
        self._unread_sets = "" if policy_only else not_read(snapshot, "NetworkSet", "GlobalNetworkSet")
        self._are_labels_known = policy_only
        self._read_namespaces = {o.meta.name for o in snapshot.of("", "Namespace")}
        kinds = ("NetworkSet", "GlobalNetworkSet", "HostEndpoint")
        self._sets = [self._address_set(o) for kind in kinds for o in calico_objects(snapshot, kind)]
        self._hosts = ((1 << len(self.host_endpoints)) - 1) << (len(self._sets) - len(self.host_endpoints))
        self._indexed: dict[LabelTest, Match] = {}
        self._sets_by_claim: dict[tuple[Peer, str], tuple[Peer, ...]] = {}

    def tier(self, name: str) -> Tier | None:
        """Return a tier; None if it is not known, as where it is not among the files."""
        return self._tiers.get(name or "default")

    def selected(self, claim: Peer, namespace: str = "") -> Peer:
        """Return whom a selector in a rule means: pods, of one namespace if it is given, and what has addresses."""
        key = (claim, namespace)
        if key not in self._sets_by_claim:
            self._sets_by_claim[key] = tuple(self._addresses(claim, namespace))
        return AnyOf((Selected(claim, namespace), *self._sets_by_claim[key]))

    def may_mean_hosts(self, claim: Peer) -> bool:
        """Tell whether a selector may mean a host endpoint."""
        return bool(self.unread_host_endpoints or self._meant(claim, "").maybe & self._hosts)

    def _addresses(self, claim: Peer, namespace: str) -> Iterator[Peer]:
        meant = self._meant(claim, namespace)
        yield from (self._sets[number].peer for number in ones(meant.sure))
        reason = Undecided("the labels of a network set's namespace are not known")
        yield from (AllOf((self._sets[number].peer, reason)) for number in ones(meant.maybe & ~meant.sure))
        if self._unread_sets:
            yield Undecided(self._unread_sets)

    def _meant(self, claim: Peer, namespace: str) -> Match:
        if not self._sets:
            return NOBODY
        own = AllOf((equals(NAMESPACE_LABEL, namespace), claim)) if namespace else claim
        self._index(part for part in parts_of(own) if isinstance(part, LabelTest))
        return self._evaluated(own)

    def _index(self, tests: Iterable[LabelTest]) -> None:
        """Find the sets that pass tests that were not asked before."""
        new = TestIndex({test for test in tests if test not in self._indexed})
        for asked in new.by_key.values():
            self._indexed |= dict.fromkeys(asked, NOBODY)
        if not new.by_key:
            return
        for number, found in enumerate(self._sets):
            for test in new.passed(found.labels.items()):
                self._indexed[test] |= Match(1 << number, 1 << number)
            hidden = [key for key in new.by_key if found.is_namespace_unread and _is_hidden(key)]
            for test in (test for key in hidden for test in new.by_key[key]):
                self._indexed[test] |= Match(0, 1 << number)

    def _evaluated(self, claim: Peer) -> Match:
        everyone = (1 << len(self._sets)) - 1
        match claim:
            case LabelTest():
                return self._indexed[claim]
            case AllOf(parts=parts):
                return reduce(and_, map(self._evaluated, parts), Match(everyone, everyone))
            case AnyOf(parts=parts):
                return reduce(or_, map(self._evaluated, parts), NOBODY)
            case Not(part=part):
                found = self._evaluated(part)
                return Match(everyone & ~found.maybe, everyone & ~found.sure)
            case _:
                return Match(0, everyone)

    def _address_set(self, found: KubeObject) -> _AddressSet:
        namespace = found.meta.namespace
        labels = dict(labels_of(found))
        if namespace:
            own = self._snapshot.namespaces.get(namespace, {})
            labels |= {NAMESPACE_PREFIX + key: value for key, value in own.items()}
            labels |= {NAMESPACE_LABEL: namespace, NAMESPACE_PREFIX + NAME_LABEL: namespace}
        is_unread = bool(namespace) and not self._are_labels_known and namespace not in self._read_namespaces
        return _AddressSet(labels, is_unread, self._peer(found))

    def _peer(self, found: KubeObject) -> Peer:
        try:
            spec = found.decode(_SetBody).spec
            if found.kind != "HostEndpoint":
                return self.block(spec.nets or ())
            if spec.expected_i_ps:
                return self.block(spec.expected_i_ps)
        except (msgspec.ValidationError, ValueError) as error:
            return Undecided(f"{found.ref}: {error}")
        unknown = Undecided(f"which addresses {found.ref} has is not known")
        hosts = Selected(EVERYONE, host_pods=HostPods.ONLY)
        return AnyOf((AllOf((hosts, unknown)), Undecided(unknown.reason, outside_only=True)))

    def block(self, networks: Iterable[str]) -> Block:
        """Return networks, or single addresses, as a peer; raises `ValueError` if one is neither."""
        return Block(merged(_span(network) for network in networks), self.meaning)


def _span(network: str) -> Span:
    if "/" in network:
        return network_span(network)
    place = address_place(network)
    return (place, place)


def _is_hidden(key: str) -> bool:
    return key.startswith(NAMESPACE_PREFIX) and key != NAMESPACE_PREFIX + NAME_LABEL


def _tiers(snapshot: Snapshot) -> Iterator[tuple[str, Tier]]:
    for found in calico_objects(snapshot, "Tier"):
        try:
            spec = found.decode(_TierBody).spec
        except msgspec.ValidationError:  # only a file can hold what the schema of Calico refuses
            continue
        end = _ENDS.get(spec.default_action or "")
        if end is not None:
            order = math.inf if spec.order is None else spec.order
            yield found.meta.name, Tier(order, found.meta.name, end, spares_nodes=True)
    yield from _FIXED_TIERS.items()
