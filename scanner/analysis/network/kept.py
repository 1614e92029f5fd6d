"""The part of a snapshot that decides who can connect to whom, for a service that is asked about scans of the past.

Pods are most of a snapshot. Here those of one owner that no policy can tell apart are one: the same labels, the same
containers, and addresses in the same range, of which the first address stands for all. Everything else loses what the
analyses of this package do not read. What is left gives the same connectivity, explanations and exposure as the whole;
the names of pods are lost.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import msgspec

from scanner.analysis.network.addresses import AddressSpace, address_place, range_text
from scanner.analysis.network.calico_policies import CALICO_KINDS
from scanner.analysis.network.classes import CLASS_KINDS
from scanner.analysis.network.connectivity import POLICY_KINDS, effective_policies, spans_told_apart
from scanner.analysis.network.endpoints import ENDPOINTS, Endpoints
from scanner.analysis.network.exposure import READS
from scanner.analysis.network.gateways import GATEWAY
from scanner.analysis.network.services import INGRESS, SERVICE
from scanner.model.coverage import Read
from scanner.model.objects import KubeObject, ObjectMeta, OwnerReference
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import BY_KIND
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS, Pod, PodStatus

POD = GroupKind("", "Pod")
NODE = GroupKind("", "Node")
NAMESPACE = GroupKind("", "Namespace")
SERVICE_ACCOUNT = GroupKind("", "ServiceAccount")
#: The kinds that are kept.
KINDS = frozenset({*READS, ENDPOINTS, *CLASS_KINDS, *TEMPLATE_PATHS})

#: Of these a controller gives each pod another value; no two pods would be alike.
_PER_POD = (
    "apps.kubernetes.io/pod-index",
    "statefulset.kubernetes.io/pod-name",
    "batch.kubernetes.io/job-completion-index",
)

#: The last byte of an IPv4 address as it is written.
_BYTES = frozenset(map(str, range(256)))

_Name: TypeAlias = tuple[GroupKind, str, str]


class _Port(msgspec.Struct, rename="camel", omit_defaults=True):
    name: Any = None
    container_port: Any = None
    protocol: Any = None
    host_port: Any = None
    host_ip: Any = msgspec.field(default=None, name="hostIP")


class _Container(msgspec.Struct, rename="camel", omit_defaults=True):
    name: str = ""
    image: Any = None
    restart_policy: Any = None
    ports: tuple[_Port, ...] | None = None


class _PodSpec(msgspec.Struct, rename="camel", omit_defaults=True):
    host_network: Any = None
    service_account_name: Any = None
    service_account: Any = None
    containers: tuple[_Container, ...] | None = None
    init_containers: tuple[_Container, ...] | None = None
    ephemeral_containers: tuple[_Container, ...] | None = None


class _TemplateMeta(msgspec.Struct, omit_defaults=True):
    labels: dict[str, str] | None = None


class _Template(msgspec.Struct, omit_defaults=True):
    spec: _PodSpec | None = None
    metadata: _TemplateMeta | None = None


class _ControllerSpec(msgspec.Struct, omit_defaults=True):
    template: _Template | None = None
    replicas: int | None = None


class _Controller(msgspec.Struct, omit_defaults=True):
    spec: _ControllerSpec | None = None


class _CronJobSpec(msgspec.Struct, rename="camel", omit_defaults=True):
    job_template: _Controller | None = None


class _CronJob(msgspec.Struct, omit_defaults=True):
    spec: _CronJobSpec | None = None


class _PodBody(msgspec.Struct, omit_defaults=True):
    spec: _PodSpec | None = None


class _NodeStatus(msgspec.Struct, omit_defaults=True):
    addresses: msgspec.Raw | None = None


def kept(snapshot: Snapshot) -> Snapshot:
    """Return the part of a snapshot that decides who can connect to whom.

    Its time stays; two scans between which nothing of that changed differ in nothing else.
    """
    keeper = _Keeper(snapshot)
    names = {BY_KIND[kind].name if kind in BY_KIND else str(kind) for kind in KINDS}
    return replace(
        snapshot,
        objects={kind: objects for kind, objects in keeper.objects() if objects},
        coverage=tuple(_uncounted(read) for read in snapshot.coverage if read.resource in names),
    )


def _uncounted(read: Read) -> Read:
    """Forget how many objects there were, which differs with every pod."""
    return msgspec.structs.replace(read, count=0)


class _Keeper:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._bodies: dict[tuple[bool, bytes], bytes] = {}
        self._owners = _owners(snapshot)
        # The ranges alone: all of the connectivity takes many times as long, and a scan may not need it.
        ranges = spans_told_apart(snapshot, tuple(effective_policies(snapshot, policy_only=False)))
        # A pod that an endpoint names keeps its address, alone in its range.
        endpoints = [(place, place) for place in snapshot.derive(Endpoints).all_places()]
        self._ranges = Ranges(AddressSpace.cut_at([*ranges, *endpoints]))
        self._dropped = tuple(key for key in _PER_POD if not _is_asked(snapshot, key))

    def objects(self) -> Iterator[tuple[GroupKind, tuple[KubeObject, ...]]]:
        """Yield what is kept of each kind, in the order of the snapshot."""
        for kind, found in self._snapshot.objects.items():
            if kind == POD:
                yield kind, tuple(self._pods(found))
            elif kind in TEMPLATE_PATHS:
                yield kind, tuple(self._controller(o) for o in found)
            elif kind == NODE:
                yield kind, tuple(_node(o) for o in found)
            elif kind == NAMESPACE:
                yield kind, tuple(_bare(o, labels=o.meta.labels) for o in found)
            elif kind in KINDS:
                yield kind, tuple(_whole(o) for o in found)
            elif kind == SERVICE_ACCOUNT and any(self._snapshot.of(*calico) for calico in CALICO_KINDS):
                # Calico alone asks for their labels.
                yield kind, tuple(_bare(o, labels=o.meta.labels) for o in found)
            else:
                owners = (o for o in found if (kind, o.meta.namespace, o.meta.name) in self._owners)
                yield kind, tuple(_bare(o) for o in owners)

    def _controller(self, o: KubeObject) -> KubeObject:
        return _bare(o, body=self._body(o), created=True)

    def _body(self, o: KubeObject) -> bytes:
        """Return the fields of a template that matter, made once for equal bodies."""
        is_pod = o.group_kind == POD
        key = (is_pod, o.body)
        if key not in self._bodies:
            shape: type[msgspec.Struct] = _PodBody if is_pod else _CronJob if o.kind == "CronJob" else _Controller
            try:
                self._bodies[key] = msgspec.json.encode(msgspec.json.decode(o.body, type=shape))
            except msgspec.ValidationError:  # only a file can hold what the API refuses; as it is, it does no harm
                self._bodies[key] = o.body
        return self._bodies[key]

    def _pods(self, pods: Iterable[KubeObject]) -> Iterator[KubeObject]:
        """Yield one pod for those that are alike; those that a person made, or that own others, keep their names."""
        alike: set[tuple[object, ...]] = set()
        counts: dict[str, int] = {}
        for pod in pods:
            trimmed = self._pod(pod)
            if pod.meta.controller is None or (POD, pod.meta.namespace, pod.meta.name) in self._owners:
                yield trimmed
                continue
            labels = tuple(sorted((trimmed.meta.labels or {}).items()))
            key = (pod.meta.namespace, pod.meta.owner_references, labels, trimmed.body, trimmed.status)
            if key in alike:
                continue
            alike.add(key)
            number = counts[pod.meta.namespace] = counts.get(pod.meta.namespace, 0) + 1
            # Numbered in the order of their names; none can have such a name, with an underscore, itself.
            meta = msgspec.structs.replace(trimmed.meta, name=f"pod_{number:08}", uid="")
            yield msgspec.structs.replace(trimmed, meta=meta)

    def _pod(self, pod: KubeObject) -> KubeObject:
        status = Pod(pod).status
        kept_status = PodStatus(
            phase="Succeeded" if status.is_terminated else "",
            pod_ips=() if status.is_terminated else tuple(self._addresses(status.pod_ips or ())),
        )
        labels = {k: v for k, v in (pod.meta.labels or {}).items() if k not in self._dropped}
        return _bare(pod, labels=labels, body=self._body(pod), status=msgspec.json.encode(kept_status))

    def _addresses(self, addresses: Iterable[str]) -> list[str]:
        """Return the first address of each range that a pod lies in; what is no address stays as it is."""
        return list(dict.fromkeys(self._ranges.first(address) for address in addresses if address))


class Ranges:
    """Finds the first address of the range that an address lies in; 256 IPv4 neighbours mostly lie in one."""

    def __init__(self, space: AddressSpace) -> None:
        """Know nothing yet of these ranges."""
        self._space = space
        #: By the first three bytes as written, where their 256 addresses lie in one range.
        self._of_neighbours: dict[str, str] = {}

    def first(self, address: str) -> str:
        """Return it as text; what is no address stays as it is."""
        head, _, last = address.rpartition(".")
        if last in _BYTES and head in self._of_neighbours:
            return self._of_neighbours[head]
        try:
            place = address_place(address)
        except ValueError:  # only a file can hold what is no address
            return address
        start, end = self._space.range(self._space.number_of(place))
        found = range_text((start, start)).partition("-")[0]
        if last in _BYTES and ":" not in head and start <= place - int(last) and place - int(last) + 255 <= end:
            self._of_neighbours[head] = found
        return found


def _owners(snapshot: Snapshot) -> frozenset[_Name]:
    """Return who controls what is kept, and who controls those, of whatever kind: workloads come from there."""
    found: set[_Name] = set()
    wanted = [o for kind in TEMPLATE_PATHS for o in snapshot.of(*kind)]
    while wanted:
        following: list[KubeObject] = []
        for o in wanted:
            for name in _above(o.meta.controller, o.meta.namespace):
                if name not in found and name in snapshot.by_name:
                    found.add(name)
                    following.append(snapshot.by_name[name])
        wanted = following
    return frozenset(found)


def _above(owner: OwnerReference | None, namespace: str) -> tuple[_Name, ...]:
    if owner is None:
        return ()
    kind = GroupKind(group_of(owner.api_version), owner.kind)
    return (kind, namespace, owner.name), (kind, "", owner.name)


def _is_asked(snapshot: Snapshot, label: str) -> bool:
    """Tell whether some selector may ask for a label, by any text of the name in it."""
    text = label.rpartition("/")[2].encode()
    return any(text in o.body or b"\\u" in o.body for kind in (*POLICY_KINDS, SERVICE) for o in snapshot.of(*kind))


def _bare(
    o: KubeObject,
    *,
    labels: Mapping[str, str] | None = None,
    body: bytes = b"{}",
    status: bytes = b"",
    created: bool = False,
) -> KubeObject:
    """Return an object with its name, its owners, and nothing but what is given."""
    meta = ObjectMeta(
        name=o.meta.name,
        namespace=o.meta.namespace,
        uid=o.meta.uid,
        labels=dict(labels) if labels else None,
        owner_references=o.meta.owner_references,
        creation_timestamp=o.meta.creation_timestamp if created else None,
    )
    return KubeObject(o.api_version, o.kind, meta, body, status)


def _whole(o: KubeObject) -> KubeObject:
    """Return an object without what changes by itself."""
    meta = msgspec.structs.replace(o.meta, resource_version="", generation=None, creation_timestamp=None)
    # Of the status, only what says whether a controller serves it arrives.
    return KubeObject(o.api_version, o.kind, meta, o.body, o.status if o.group_kind in {INGRESS, GATEWAY} else b"")


def _node(o: KubeObject) -> KubeObject:
    status = msgspec.json.decode(o.status, type=_NodeStatus) if o.status else _NodeStatus()
    return _bare(o, labels=o.meta.labels, status=msgspec.json.encode(status) if status.addresses else b"")
