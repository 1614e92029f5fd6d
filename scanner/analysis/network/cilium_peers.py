"""Whom the words of Cilium's policies mean: selectors of endpoints, entities, CIDRs, Services, nodes.

Endpoints are pods with a network of their own. A selector that names no namespace stays in that of its policy. CIDRs
mean what is outside the cluster: whether they mean nodes as well is a setting (policy-cidr-match-mode) that no object
shows, and so is whether selectors see some labels.

Source: https://docs.cilium.io/en/stable/security/policy/layer3/ and kubernetes/ (namespaces, service accounts),
https://docs.cilium.io/en/stable/operations/performance/scalability/identity-relevant-labels/, and the comments of
pkg/policy/api and pkg/k8s/apis/cilium.io/utils of github.com/cilium/cilium.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from scanner.analysis.network.addresses import EVERY_IPV4, EVERY_IPV6, address_place, network_span, without
from scanner.analysis.network.label_tests import ACCOUNT_LABEL
from scanner.analysis.network.matching import node_spans
from scanner.analysis.network.ports import Span
from scanner.analysis.network.rules import (
    AllOf,
    AnyOf,
    Block,
    BlockMeaning,
    Entities,
    Everyone,
    HostPods,
    LabelTest,
    Nodes,
    Not,
    Peer,
    Pods,
    Selected,
    TestKind,
    Undecided,
)
from scanner.analysis.network.selectors import complaint
from scanner.model.network import ServiceBody
from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind
from scanner.model.selectors import LabelSelector, Requirement
from scanner.model.snapshot import Snapshot, SourceKind

CIDR_GROUP = GroupKind("cilium.io", "CiliumCIDRGroup")
_NODE = GroupKind("", "Node")
_SERVICE = GroupKind("", "Service")

#: Labels that Cilium gives every endpoint besides those of its pod.
_NAMESPACE = "io.kubernetes.pod.namespace"
_NAMESPACE_LABEL = "io.cilium.k8s.namespace.labels."
_ACCOUNT = "io.cilium.k8s.policy.serviceaccount"
_CLUSTER = "io.cilium.k8s.policy.cluster"
_NAMESPACE_NAME = "kubernetes.io/metadata.name"

#: Sources of labels that mean those of Kubernetes; a key without source is of any.
_KUBERNETES = frozenset({"", "k8s", "any"})
#: Sources of labels that only addresses outside the cluster have.
_OUTSIDE = frozenset({"cidr", "cidrgroup", "fqdn"})
#: Labels that are left out of identities unless a setting says otherwise, matched at the start of a key.
_LEFT_OUT = re.compile(
    r"(io\.kubernetes|kubernetes\.io|statefulset\.kubernetes\.io/pod-name|apps\.kubernetes\.io/pod-index"
    r"|batch\.kubernetes\.io/(job-completion-index|controller-uid)|.*beta\.kubernetes\.io|k8s\.io"
    r"|pod-template-(generation|hash)|controller-(revision-hash|uid)|annotation|etcd_node)"
)

NOBODY = AnyOf()
EVERY_POD = Pods(LabelSelector(), LabelSelector(), host_pods=HostPods.NEVER)
_HOST_PODS = Pods(LabelSelector(), LabelSelector(), host_pods=HostPods.ONLY)


class RefusedError(ValueError):
    """Cilium does not take a policy with this in it."""


class _GroupSpec(msgspec.Struct, rename={"external_cidrs": "externalCIDRs"}):
    external_cidrs: tuple[str, ...] = ()


class _GroupBody(msgspec.Struct):
    spec: _GroupSpec = msgspec.field(default_factory=_GroupSpec)


class _ServiceName(msgspec.Struct, rename="camel"):
    service_name: str = ""
    namespace: str = ""


class _ServiceSelector(msgspec.Struct):
    selector: LabelSelector = LabelSelector()
    namespace: str = ""


class _Service(msgspec.Struct, rename={"by_name": "k8sService", "by_label": "k8sServiceSelector"}):
    by_name: _ServiceName | None = None
    by_label: _ServiceSelector | None = None


class _CidrRule(msgspec.Struct, rename="camel"):
    cidr: str = ""
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")
    cidr_group_ref: str = ""
    cidr_group_selector: LabelSelector | None = None


def _cidrs_of(group: KubeObject) -> tuple[str, ...] | None:
    """Return the networks of a group; None if it holds something else, which only a file can."""
    try:
        cidrs = group.decode(_GroupBody).spec.external_cidrs
        for cidr in cidrs:
            network_span(cidr)
    except (msgspec.ValidationError, ValueError):
        return None
    return cidrs


def _in_doubt(peer: Peer, reason: str) -> Peer:
    """Return a claim that may mean these peers or none of them."""
    return AllOf((peer, Undecided(reason)))


def requirements_of(selector: LabelSelector) -> tuple[Requirement, ...]:
    """Return a selector as requirements alone; raises `RefusedError` for one that is not sound."""
    fault = complaint(selector)
    if fault:
        raise RefusedError(fault)
    wanted = (Requirement(k, "In", (v,)) for k, v in (selector.match_labels or {}).items())
    return (*wanted, *(selector.match_expressions or ()))


def _split(key: str) -> tuple[str, str]:
    """Return the source of a label, and its name."""
    source, colon, name = key.partition(":")
    return (source, name) if colon else ("", key)


def plain(selector: LabelSelector) -> tuple[LabelSelector, bool]:
    """Return a selector of nodes or other objects without sources, and whether that is all of it."""
    found = [(_split(r.key), r) for r in requirements_of(selector)]
    kept = tuple(Requirement(name, r.operator, r.values) for (source, name), r in found if source in _KUBERNETES)
    return LabelSelector(match_expressions=kept or None), len(kept) == len(found)


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of policies mean in one snapshot."""

    snapshot: Snapshot
    #: The addresses of nodes, as far as they are known.
    nodes: Peer
    #: The labels and CIDRs of groups by name; CIDRs are None where they cannot be read.
    groups: Mapping[str, tuple[Mapping[str, str], tuple[str, ...] | None]]
    #: Whether groups and Services that are not there do not exist.
    is_whole: Mapping[GroupKind, bool]
    policy_only: bool

    @classmethod
    def of(cls, snapshot: Snapshot, *, policy_only: bool) -> "Words":
        """Collect what the words refer to; by policies alone, no node has an address."""
        is_live = snapshot.source is SourceKind.LIVE
        unread = {kind: snapshot.inconclusive([kind]) for kind in (_NODE, _SERVICE, CIDR_GROUP)}
        nodes: Peer = NOBODY
        if is_live and not policy_only:
            nodes = Block(node_spans(snapshot), BlockMeaning.OUTSIDE)
            if unread[_NODE]:
                nodes = _in_doubt(Entities(world=True), f"not read: {unread[_NODE][0].missing}")
        groups = {o.meta.name: (labels_of(o), _cidrs_of(o)) for o in snapshot.of(*CIDR_GROUP)}
        whole = {kind: is_live and not missing for kind, missing in unread.items()}
        return cls(snapshot, nodes, groups, whole, policy_only)

    def subject(self, selector: LabelSelector, namespace: str) -> Peer:
        """Return the pods that a policy is for, which never leave its namespace.

        A namespace that `k8s:` names there is replaced by its own.
        """
        if not namespace:
            return self.endpoints(selector, "")
        own = f"k8s:{_NAMESPACE}"
        labels = {k: v for k, v in (selector.match_labels or {}).items() if k != own}
        rest = LabelSelector(match_labels=labels or None, match_expressions=selector.match_expressions)
        return AllOf((self.endpoints(rest, namespace), Pods(LabelSelector(), None, namespace, HostPods.NEVER)))

    def endpoints(self, selector: LabelSelector, namespace: str) -> Peer:
        """Return whom a selector of endpoints means in a policy of a namespace, or of the cluster."""
        found = [(*_split(r.key), r) for r in requirements_of(selector)]
        if any(source == "reserved" for source, _, _ in found):
            return self._reserved([(source, name, r) for source, name, r in found])
        of_pods: list[Requirement] = []
        of_namespaces: list[Requirement] = []
        others: list[Peer] = []
        for source, name, requirement in found:
            renamed = Requirement(name, requirement.operator, requirement.values)
            if source not in _KUBERNETES:
                reason = f"which peers have labels of source {source} is not known"
                others.append(Undecided(reason, outside_only=source in _OUTSIDE))
            elif name == _NAMESPACE:
                of_namespaces.append(Requirement(_NAMESPACE_NAME, requirement.operator, requirement.values))
            elif name.startswith(_NAMESPACE_LABEL):
                key = name.removeprefix(_NAMESPACE_LABEL)
                of_namespaces.append(Requirement(key, requirement.operator, requirement.values))
            elif name == _ACCOUNT:
                others.append(_of_account(renamed))
            elif name == _CLUSTER:
                others.append(Undecided("the name that Cilium has for the cluster is not known"))
            elif _LEFT_OUT.match(name):
                others.append(Undecided(f"whether Cilium takes label {name} into account is not known"))
            else:
                of_pods.append(renamed)
        if any(source in _OUTSIDE for source, _, _ in found):
            return AllOf(tuple(others))
        chosen = LabelSelector(match_expressions=tuple(of_pods) or None)
        spaces = LabelSelector(match_expressions=tuple(of_namespaces) or None)
        stays = bool(namespace) and not of_namespaces
        pods = Pods(chosen, None if stays else spaces, namespace if stays else "", HostPods.NEVER)
        return AllOf((pods, *others)) if others else pods

    def _reserved(self, found: list[tuple[str, str, Requirement]]) -> Peer:
        """Return whom a selector means that names a reserved identity; others beside it leave it in doubt."""
        names = [
            name
            for source, name, r in found
            if source == "reserved" and (r.operator == "Exists" or (r.operator, r.values) == ("In", ("",)))
        ]
        meant = tuple(self.entities([name]) for name in names)
        if len(names) == len(found):
            return AllOf(meant)
        return AllOf((*meant, Undecided("a selector asks for more than one reserved label")))

    def entities(self, names: Iterable[str]) -> Peer:
        """Return whom entities mean; raises `RefusedError` for one that there is not."""
        wanted = set(names)
        if {"host", "remote-node"} <= wanted:  # the one and all others
            return AnyOf((self._on_nodes, *(self._entity(name) for name in sorted(wanted - {"host", "remote-node"}))))
        return AnyOf(tuple(self._entity(name) for name in sorted(wanted)))

    @property
    def _on_nodes(self) -> Peer:
        return AnyOf((_HOST_PODS, self.nodes))

    def _entity(self, name: str) -> Peer:  # noqa: PLR0911 - one for each word
        outside = Not(self.nodes)
        match name:
            case "all":
                return Everyone()
            case "world":
                return AllOf((Entities(world=True), outside))
            case "world-ipv4" | "world-ipv6":
                family = EVERY_IPV4 if name == "world-ipv4" else EVERY_IPV6
                return AllOf((Block((family,), BlockMeaning.OUTSIDE), outside))
            case "cluster":
                return AnyOf((Entities(cluster=True), self.nodes))
            case "host" | "remote-node":
                return _in_doubt(self._on_nodes, f"on which node pods run decides whom {name} means")
            case "kube-apiserver":
                reason = "which addresses the API server has is not known"
                return _in_doubt(AnyOf((_HOST_PODS, Entities(world=True))), reason)
            case "unmanaged":
                return _in_doubt(EVERY_POD, "which pods Cilium does not manage is not known")
            case "health" | "ingress" | "init" | "none":  # neither pods nor outside the cluster
                return NOBODY
            case _:
                raise RefusedError(f"unknown entity {name!r}")

    def cidr(self, text: str) -> Peer:
        """Return whom a network, or an address, means."""
        place = None if "/" in text else address_place(text)
        return self._block((network_span(text) if place is None else (place, place),))

    def cidr_rule(self, given: object) -> Peer:
        """Return whom a network with holes means, or the networks of groups."""
        rule = msgspec.convert(given, _CidrRule)
        if rule.cidr:
            return self._block(self._networks([rule.cidr], rule, is_strict=True))
        if rule.cidr_group_ref:
            chosen = [cidrs for name, (_, cidrs) in self.groups.items() if name == rule.cidr_group_ref]
        elif rule.cidr_group_selector is not None:
            selector, is_all = plain(rule.cidr_group_selector)
            if not is_all:
                return Undecided("which groups have labels of other sources is not known", outside_only=True)
            chosen = [cidrs for labels, cidrs in self.groups.values() if selector.matches(labels)]
        else:
            raise RefusedError("neither cidr nor a group of them")
        if None in chosen:
            return Undecided("a CiliumCIDRGroup cannot be read", outside_only=True)
        block = self._block(self._networks([c for cidrs in chosen for c in cidrs or ()], rule, is_strict=False))
        if self.is_whole[CIDR_GROUP] or (chosen and rule.cidr_group_ref):
            return block
        return AnyOf((block, Undecided("which CiliumCIDRGroups there are is not known", outside_only=True)))

    @staticmethod
    def _networks(cidrs: list[str], rule: _CidrRule, *, is_strict: bool) -> tuple[Span, ...]:
        holes = [network_span(hole) for hole in rule.except_ or ()]
        spans = [network_span(cidr) for cidr in cidrs]
        if is_strict and any(not (s[0] <= h[0] <= s[1]) for s in spans for h in holes):
            raise RefusedError("an exception that is not within its network")
        return tuple(left for span in spans for left in without(span, holes))

    def _block(self, spans: tuple[Span, ...]) -> Peer:
        block = Block(spans, BlockMeaning.OUTSIDE)
        if self.policy_only or not spans:
            return block
        doubt = "whether a CIDR means nodes is a setting of Cilium"
        on_nodes = AnyOf((AllOf((block, self.nodes)), _HOST_PODS))
        if isinstance(self.nodes, Block):
            known = self.nodes.spans
            if not any(a[0] <= b[1] and b[0] <= a[1] for a in spans for b in known):
                return block
        return AnyOf((AllOf((block, Not(self.nodes))), _in_doubt(on_nodes, doubt)))

    def chosen_nodes(self, given: object) -> Peer:
        """Return whom a selector of nodes means as a peer, which takes a setting that no object shows."""
        if self.policy_only:
            return NOBODY
        selector, _ = plain(msgspec.convert(given, LabelSelector))
        return _in_doubt(AllOf((Nodes(selector), self._on_nodes)), "whether Cilium tells nodes apart is a setting")

    def host_pods(self, given: LabelSelector) -> Peer:
        """Return the pods that a policy for nodes is for."""
        selector, _ = plain(given)
        return AllOf((_HOST_PODS, Nodes(selector)))

    def service(self, given: object) -> Peer:
        """Return the pods, or addresses, that stand behind Services."""
        wanted = msgspec.convert(given, _Service)
        found = tuple(self._behind(wanted))
        if self.is_whole[_SERVICE] or (found and wanted.by_name):
            return AnyOf(found)
        return AnyOf((*found, Undecided("which Services there are is not known")))

    def _behind(self, wanted: _Service) -> Iterator[Peer]:
        for service in self.snapshot.of(*_SERVICE):
            if not _is_meant(wanted, service.meta.namespace, service.meta.name, labels_of(service)):
                continue
            spec = service.decode(ServiceBody).spec
            if not spec.selector or spec.type == "ExternalName":
                yield Undecided(f"the addresses behind {service.ref} are not known", outside_only=True)
                continue
            labels = LabelSelector(match_labels=dict(spec.selector))
            pods = Pods(labels, None, service.meta.namespace, HostPods.NEVER)
            is_open = wanted.by_name is not None and not wanted.by_name.namespace
            yield _in_doubt(pods, f"no namespace is named for {service.ref}") if is_open else pods


def _is_meant(wanted: _Service, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
    if wanted.by_label is not None:
        selector, is_all = plain(wanted.by_label.selector)
        return is_all and wanted.by_label.namespace in {"", namespace} and selector.matches(labels)
    named = wanted.by_name
    return named is not None and named.service_name == name and named.namespace in {"", namespace}


def _of_account(requirement: Requirement) -> Peer:
    """Return the pods whose service account has a name."""
    tests: tuple[Any, ...] = tuple(
        Selected(LabelTest(ACCOUNT_LABEL, TestKind.EQUALS, value), host_pods=HostPods.ALWAYS)
        for value in requirement.values or ()
    )
    match requirement.operator:
        case "In":
            return AnyOf(tests)
        case "NotIn":
            return Not(AnyOf(tests))
        case "Exists":
            return Everyone()
        case _:
            return NOBODY
