"""Databases, remote shells and administration pages that the whole world may come to.

What a port or an image is for is told by the tables below; the engine tells who comes through.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.doors import DOOR_KINDS, DoorKind, Seen
from scanner.analysis.network.exposure import Entry, Verdict, entries
from scanner.analysis.network.ports import port_span
from scanner.analysis.network.services import INGRESS
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

#: What the answers rest on; where policies were not read, the engine says unknown itself.
READS: tuple[GroupKind, ...] = DOOR_KINDS

#: Ports of TCP that programs use for nothing else, with what listens there by default.
ADMIN_PORTS: Mapping[int, str] = {
    22: "SSH",
    2375: "the Docker API",
    2376: "the Docker API",
    2379: "etcd",
    3306: "MySQL",
    3389: "RDP",
    5432: "PostgreSQL",
    5900: "VNC",
    6379: "Redis",
    9042: "Cassandra",
    9200: "Elasticsearch",
    10250: "the kubelet",
    11211: "memcached",
    15672: "the RabbitMQ management page",
    27017: "MongoDB",
}

#: Administration pages by the last words of their images' names.
ADMIN_IMAGES: Mapping[str, str] = {
    "adminer": "Adminer",
    "dpage/pgadmin4": "pgAdmin",
    "jenkins/jenkins": "Jenkins",
    "kubernetesui/dashboard": "the Kubernetes Dashboard",
    "kubernetesui/dashboard-web": "the Kubernetes Dashboard",
    "kiali/kiali": "Kiali",
    "mongo-express": "mongo-express",
    "phpmyadmin": "phpMyAdmin",
    "phpmyadmin/phpmyadmin": "phpMyAdmin",
    "portainer/portainer-ce": "Portainer",
    "prom/alertmanager": "Alertmanager",
    "prom/prometheus": "Prometheus",
    "prometheus/alertmanager": "Alertmanager",
    "prometheus/prometheus": "Prometheus",
    "rancher/rancher": "Rancher",
    "rediscommander/redis-commander": "Redis Commander",
}

#: Doors that the world comes to only if it comes to the nodes.
_ON_NODES = frozenset({DoorKind.NODE_PORT, DoorKind.HOST_PORT, DoorKind.HOST_NETWORK})

#: Parts of annotations by which ingress controllers ask for a login or restrict addresses.
_GUARDS = (
    "auth-url",
    "auth-type",
    "auth-tls-secret",
    "whitelist-source-range",
    "allowlist-source-range",
    "middlewares",
)


@dataclass(frozen=True, slots=True)
class _Find:
    """A door to something for administrators."""

    entry: Entry
    what: str


def admin_ports_exposed(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload with a door whether all addresses may come to something meant for administrators.

    A door on nodes alone is one step less severe. A door is unknown where the network plugin or the controller decides
    who comes through. Private load balancers, those with ranges of sources, and Ingresses with a login pass; the ports
    that load balancers have on nodes are not judged.
    """
    del now  # nothing here depends on the time
    judged = entries(snapshot)
    for workload in snapshot.workloads:
        found = judged.get(workload.ref, ())
        if found:
            yield _judge(workload, tuple(_finds(snapshot, workload, found)))


def _finds(snapshot: Snapshot, workload: Workload, found: tuple[Entry, ...]) -> Iterator[_Find]:
    page = _page(workload)
    balanced = {entry.door.through for entry in found if entry.door.kind is DoorKind.LOAD_BALANCER}
    for entry in found:
        if entry.door.kind is DoorKind.NODE_PORT and entry.door.through in balanced:
            continue
        # Proxies speak HTTP, so that the port of a database behind one leads nowhere.
        port = "" if entry.door.seen is Seen.PROXY else _purpose(entry)
        what = port or page
        if what and _may_be_public(entry) and not _is_guarded(snapshot, entry):
            yield _Find(entry, what)


def _may_be_public(entry: Entry) -> bool:
    is_limited = entry.door.is_internal or entry.door.sources is not None
    return entry.is_public or (entry.verdict is Verdict.UNKNOWN and not is_limited)


def _purpose(entry: Entry) -> str:
    """Return what listens on the port of the pods, if that is one of the table and the only one of the door."""
    numbers = (n for n in ADMIN_PORTS if entry.door.target == port_span("TCP", n, n))
    return next((ADMIN_PORTS[number] for number in numbers), "")


def _page(workload: Workload) -> str:
    """Return the administration page that a workload's image is."""
    for container in workload.containers:
        name = str(container.spec.get("image") or "").partition("@")[0]
        head, _, last = name.rpartition("/")
        path = f"/{head}/{last.partition(':')[0]}"
        for image, what in ADMIN_IMAGES.items():
            if path.endswith(f"/{image}"):
                return what
    return ""


def _is_guarded(snapshot: Snapshot, entry: Entry) -> bool:
    """Tell whether an annotation of an Ingress asks for a login or restricts addresses."""
    through = entry.door.through
    if through.group_kind != INGRESS:
        return False
    ingress = snapshot.find(*INGRESS, through.namespace, through.name)
    annotations = (ingress.meta.annotations or {}) if ingress else {}
    return any(key.endswith(_GUARDS) for key in annotations)


def _judge(workload: Workload, finds: tuple[_Find, ...]) -> Answer:
    if not finds:
        message = "Nothing for administrators is open to all addresses"
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)
    proven = tuple(find for find in finds if find.entry.verdict is Verdict.OPEN)
    shown = proven or finds
    ways = ", ".join(sorted({f"{find.entry.door.kind} of {_name(find, workload.ref)}" for find in shown}))
    whats = " and ".join(sorted({find.what for find in shown}))
    evidence = tuple(dict.fromkeys(_fact(find, workload.ref) for find in shown))
    if not proven:
        reasons = "; ".join(sorted({reason for find in shown for reason in find.entry.reasons}))
        message = f"Whether all addresses may come to {whats} through {ways} is not known: {reasons}"
        return Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, evidence=evidence)
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"All addresses may come to {whats} through {ways}",
        evidence=evidence,
        is_milder=all(find.entry.door.kind in _ON_NODES for find in proven),
    )


def _name(find: _Find, own: ObjectRef) -> str:
    through = find.entry.door.through
    return workload_text(own) if through == own else str(through)


def _fact(find: _Find, own: ObjectRef) -> Fact:
    through = find.entry.door.through
    return Fact(path=find.entry.door.path, object=None if through == own else through, note=find.what)
