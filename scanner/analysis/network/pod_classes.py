"""Pods grouped by equal treatment: no policy can tell those of one class apart.

A class has only what some policy asks for: labels whose keys selectors name (a value that none names is "other"), the
namespace where it has policies of its own (else only its labels that are asked for), ports whose names rules use, and
the range of addresses that the pod lies in. So there are as many classes as policies make differences, however many
workloads there are.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.addresses import AddressSpace, address_place
from scanner.analysis.network.label_tests import LabelTests, ServiceAccountName
from scanner.analysis.network.rules import (
    Block,
    BlockMeaning,
    LabelTest,
    NamedPort,
    Nodes,
    Peer,
    Pods,
    Policy,
    Selected,
    parts_of,
)
from scanner.analysis.network.selection import GENERATED_LABELS, JOB, POD
from scanner.model.refs import ObjectRef
from scanner.model.selectors import LabelSelector
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import Workload

#: Stands for every value that no selector names; no label can have it.
_OTHER = "\0"

Labels: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PodClass:
    """Pods that every policy treats alike."""

    #: Empty where it makes no difference.
    namespace: str
    namespace_labels: Labels
    #: Whether other labels of the namespace are not known.
    is_namespace_unread: bool
    labels: Labels
    #: Whether pods run, so that they show all their labels.
    is_running: bool
    on_host_network: bool
    #: Name, protocol and number of its ports that rules name.
    ports: tuple[tuple[str, str, int], ...]
    #: Ranges of its addresses by their number; None if not known, or of no matter.
    addresses: tuple[int, ...] | None
    #: The tests of labels that it passes, and those of which that is not known.
    holds: tuple[LabelTest, ...] = ()
    hidden: tuple[LabelTest, ...] = ()


@dataclass(slots=True)
class Vocabulary:
    """What policies ask of pods."""

    #: Values by label; of namespaces, of pods anywhere, and of pods of one namespace.
    of_namespaces: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_pods: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    of_own_pods: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    #: Tests of labels; of pods anywhere, and of pods of one namespace.
    tests: set[LabelTest] = field(default_factory=set)
    own_tests: dict[str, set[LabelTest]] = field(default_factory=lambda: defaultdict(set))
    port_names: set[str] = field(default_factory=set)
    #: Whether it matters which addresses pods have.
    asks_for_addresses: bool = False

    @classmethod
    def of(cls, policies: Iterable[Policy]) -> "Vocabulary":
        """Collect what these policies ask."""
        found = cls()
        for policy in policies:
            found._add(policy.subject)
            for rule in (*(policy.ingress or ()), *(policy.egress or ())):
                for peer in rule.peers:
                    found._add(peer)
                found.port_names.update(port.name for port in rule.ports or () if isinstance(port, NamedPort))
        return found

    def _add(self, peer: Peer) -> None:
        for part in parts_of(peer):
            self._add_part(part)

    def _add_part(self, peer: Peer) -> None:
        if isinstance(peer, Selected):
            tests = {part for part in parts_of(peer.pods) if isinstance(part, LabelTest)}
            (self.own_tests[peer.namespace] if peer.namespace else self.tests).update(tests)
        if isinstance(peer, Nodes) or (isinstance(peer, Block) and peer.meaning is not BlockMeaning.OUTSIDE):
            self.asks_for_addresses = True
        if not isinstance(peer, Pods):
            return
        if peer.namespaces is not None:
            _collect(self.of_namespaces, peer.namespaces)
            _collect(self.of_pods, peer.pods)
        else:
            _collect(self.of_own_pods[peer.namespace], peer.pods)


def _collect(found: dict[str, set[str]], selector: LabelSelector) -> None:
    for key, value in (selector.match_labels or {}).items():
        found[key].add(value)
    for requirement in selector.match_expressions or ():
        found[requirement.key].update(requirement.values or ())


@dataclass(frozen=True, slots=True)
class Grouping:
    """The classes, and which of them each workload's pods are of."""

    classes: tuple[PodClass, ...]
    #: Workloads with pods, in the order of the snapshot.
    workloads: Mapping[ObjectRef, tuple[int, ...]]
    #: For workloads of several classes, that of each pod that runs, or of each template if none does, in their order.
    in_order: Mapping[ObjectRef, tuple[int, ...]] = field(default_factory=dict)

    def members(self) -> tuple[tuple[ObjectRef, ...], ...]:
        """Return the workloads of each class."""
        found: list[list[ObjectRef]] = [[] for _ in self.classes]
        for ref, numbers in self.workloads.items():
            for number in numbers:
                found[number].append(ref)
        return tuple(tuple(refs) for refs in found)


def group(snapshot: Snapshot, vocabulary: Vocabulary, space: AddressSpace, *, policy_only: bool) -> Grouping:
    """Group the pods of all workloads; by policies alone, every pod has a network of its own and no known address."""
    return _Grouper(snapshot, vocabulary, space, policy_only).group()


class _Grouper:
    def __init__(self, snapshot: Snapshot, vocabulary: Vocabulary, space: AddressSpace, policy_only: bool) -> None:
        self._snapshot = snapshot
        self._asked = vocabulary
        self._space = space
        self._policy_only = policy_only
        self._read = {o.meta.name for o in snapshot.of("", "Namespace")}
        self._namespaces: dict[str, tuple[str, Labels, bool]] = {}
        self._pod_keys: dict[str, dict[str, set[str]]] = {}
        self._specs: dict[bytes, Mapping[str, Any]] = {}
        self._ports: dict[int, tuple[tuple[str, str, int], ...]] = {}
        self._tests = LabelTests(snapshot, vocabulary.tests, vocabulary.own_tests, are_labels_known=policy_only)

    def group(self) -> Grouping:
        numbers: dict[PodClass, int] = {}
        workloads: dict[ObjectRef, tuple[int, ...]] = {}
        in_order: dict[ObjectRef, tuple[int, ...]] = {}
        for workload in self._snapshot.workloads:
            found = tuple(numbers.setdefault(pod, len(numbers)) for pod in self._classes_of(workload))
            if found:
                workloads[workload.ref] = tuple(sorted(set(found)))
            if len(set(found)) > 1:
                in_order[workload.ref] = found
        return Grouping(tuple(numbers), workloads, in_order)

    def _classes_of(self, workload: Workload) -> Iterator[PodClass]:
        """Yield the classes of the pods that run, or of those that the templates will make."""
        namespace = workload.ref.namespace
        running = [p for p in workload.pods if not p.status.is_terminated]
        for pod in running:
            body = pod.object.body
            if body not in self._specs:
                self._specs[body] = msgspec.json.decode(body).get("spec") or {}
            known = [ip for ip in (pod.status.pod_ips or ()) if ip]
            yield self._class(namespace, pod.object.meta.labels or {}, self._specs[body], addresses=known)
        is_over = workload.ref.group_kind in {POD, JOB} and (workload.pods or self._snapshot.source is SourceKind.LIVE)
        if running or is_over:
            return
        for template in workload.templates:
            is_running = template.owner.group_kind == POD
            yield self._class(namespace, template.labels, template.spec, is_running=is_running)

    def _class(
        self,
        namespace: str,
        labels: Mapping[str, str],
        spec: Mapping[str, Any],
        *,
        is_running: bool = True,
        addresses: Iterable[str] = (),
    ) -> PodClass:
        asked = self._pod_labels_asked(namespace)
        name, namespace_labels, is_unread = self._namespace(namespace)
        hidden = not is_running and any(key in GENERATED_LABELS and key not in labels for key in asked)
        account = ServiceAccountName(namespace, str(spec.get("serviceAccountName") or "default"))
        passed, unclear = self._tests.ask(account, labels, is_running=is_running)
        return PodClass(
            namespace=name,
            namespace_labels=namespace_labels,
            is_namespace_unread=is_unread,
            labels=_reduced(labels, asked),
            is_running=not hidden,
            on_host_network=not self._policy_only and spec.get("hostNetwork") is True,
            ports=self._ports_of(spec),
            addresses=self._ranges(addresses),
            holds=passed,
            hidden=unclear,
        )

    def _pod_labels_asked(self, namespace: str) -> dict[str, set[str]]:
        if namespace not in self._pod_keys:
            merged = {key: set(values) for key, values in self._asked.of_pods.items()}
            for key, values in self._asked.of_own_pods.get(namespace, {}).items():
                merged.setdefault(key, set()).update(values)
            self._pod_keys[namespace] = merged
        return self._pod_keys[namespace]

    def _namespace(self, name: str) -> tuple[str, Labels, bool]:
        if name not in self._namespaces:
            labels = _reduced(self._snapshot.namespaces.get(name, {}), self._asked.of_namespaces)
            is_unread = not self._policy_only and name not in self._read and bool(self._asked.of_namespaces)
            has_own = name in self._asked.of_own_pods or name in self._asked.own_tests
            self._namespaces[name] = (name if has_own else "", labels, is_unread)
        return self._namespaces[name]

    def _ports_of(self, spec: Mapping[str, Any]) -> tuple[tuple[str, str, int], ...]:
        if not self._asked.port_names:
            return ()
        if id(spec) not in self._ports:  # specs live as long as the snapshot, so that no other one gets their id
            self._ports[id(spec)] = tuple(sorted(set(_named_ports(spec, self._asked.port_names))))
        return self._ports[id(spec)]

    def _ranges(self, addresses: Iterable[str]) -> tuple[int, ...] | None:
        if self._policy_only or not self._asked.asks_for_addresses:
            return None
        try:
            found = {self._space.number_of(address_place(address)) for address in addresses}
        except ValueError:  # only a file can hold what is no address
            return None
        return tuple(sorted(found)) or None


def _reduced(labels: Mapping[str, str], asked: Mapping[str, set[str]]) -> Labels:
    """Keep the labels that are asked for; values that nobody names are all the same."""
    return tuple(
        (key, labels[key] if labels[key] in values else _OTHER)
        for key, values in sorted(asked.items())
        if key in labels
    )


def _named_ports(spec: Mapping[str, Any], names: set[str]) -> Iterator[tuple[str, str, int]]:
    """Yield the ports with these names of containers that run beside each other."""
    sidecars = (c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always")
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name") in names and isinstance(port.get("containerPort"), int):
                yield str(port["name"]), str(port.get("protocol") or "TCP"), port["containerPort"]
