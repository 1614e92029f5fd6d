"""Databases, remote shells and administration pages that the whole world may come to.

What a port or an image is for is told by the tables below; the engine tells who comes through.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.doors import DOOR_KINDS, ON_NODES, DoorKind, Seen
from scanner.analysis.network.exposure import Entry, Verdict, entries
from scanner.analysis.network.ports import Span, port_span
from scanner.analysis.network.reach import Reach, reach
from scanner.analysis.network.services import INGRESS
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, Workload

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
    "apache/airflow": "Airflow",
    "argoproj/argocd": "Argo CD",
    "argoproj/argocli": "Argo Workflows",
    "coreos/etcd": "etcd",
    "dpage/pgadmin4": "pgAdmin",
    "etcd": "etcd",
    "grafana/grafana": "Grafana",
    "grafana/grafana-enterprise": "Grafana",
    "jenkins/jenkins": "Jenkins",
    "kubernetesui/dashboard": "the Kubernetes Dashboard",
    "kubernetesui/dashboard-web": "the Kubernetes Dashboard",
    "kiali/kiali": "Kiali",
    "kubeflownotebookswg/centraldashboard": "Kubeflow",
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
    "weaveworks/scope": "Weave Scope",
}

#: Images that are other programs too: what their command or arguments then hold.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "apache/airflow": ("webserver", "api-server"),
    "argoproj/argocd": ("argocd-server",),
    "argoproj/argocli": ("server",),
    "weaveworks/scope": ("--mode=app",),
}

#: Pages that ask for a login unless someone switched it off.
_WITH_LOGIN = frozenset({"Airflow", "Argo CD", "Grafana", "Jenkins", "Portainer", "Rancher", "pgAdmin"})

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

    A door on nodes alone is one step less severe, and so is a page that asks for a login by itself. A door is unknown
    where the network plugin or the controller decides who comes through. Private load balancers, those with ranges of
    sources, and Ingresses with a login pass; the ports that load balancers have on nodes are not judged.
    """
    del now  # nothing here depends on the time
    judged = snapshot.derive(entries)
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
    return next((what for container in workload.containers for what in _pages_of(container)), "")


def _pages_of(container: Container) -> Iterator[str]:
    """Yield the administration page that a container is, if it is one."""
    name = str(container.spec.get("image") or "").partition("@")[0]
    head, _, last = name.rpartition("/")
    path = f"/{head}/{last.partition(':')[0]}"
    for image, what in ADMIN_IMAGES.items():
        if path.endswith(f"/{image}") and _is_started(container, _COMMANDS.get(image, ())):
            yield what


def _is_started(container: Container, words: tuple[str, ...]) -> bool:
    """Tell whether one of these words is in what starts a container; none at all is always."""
    started = (*(container.spec.get("command") or ()), *(container.spec.get("args") or ()))
    return not words or any(word in str(part) for word in words for part in started)


def admin_pages_within(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each administration page whether pods of every namespace certainly connect to a port of it.

    Pages are told by their images, ports are those of TCP that the container declares, but for those named after
    metrics. Pages that ask for a login by themselves are one step less severe. Pods on the network of their node, and
    clusters with pods in one namespace alone, are left out.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        pages = [(c, what) for c in workload.containers for what in _pages_of(c)]
        if pages and workload.template.spec.get("hostNetwork") is not True:
            found = snapshot.derive(reach)
            if len(found.namespaces(found.found.matcher.pods)) > 1:
                yield _judge_within(found, workload, pages)


def _judge_within(found: Reach, workload: Workload, pages: list[tuple[Container, str]]) -> Answer:
    everyone = found.namespaces(found.found.matcher.pods)
    facts: list[Fact] = []
    whats: set[str] = set()
    for container, what in pages:
        for path, port in _declared(container):
            reached = (found.namespaces(found.sure_on(n, port)) for n in found.classes_of(workload.ref))
            if everyone in reached:
                facts.append(Fact(path=path, container=container.name, note=what))
                whats.add(what)
    if not facts:
        message = "No port that it declares is open to pods of every namespace"
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Pods of every namespace can connect to {' and '.join(sorted(whats))}",
        evidence=tuple(facts),
        is_milder=whats <= _WITH_LOGIN,
    )


def _declared(container: Container) -> Iterator[tuple[str, Span]]:
    """Yield the ports of TCP that a container declares, with their paths, without those for metrics."""
    for index, port in enumerate(container.spec.get("ports") or ()):
        number = port.get("containerPort")
        is_tcp = (port.get("protocol") or "TCP") == "TCP"
        if is_tcp and isinstance(number, int) and "metrics" not in str(port.get("name") or ""):
            with suppress(ValueError):  # only a file can hold what is no port
                yield f"{container.path}.ports[{index}]", port_span("TCP", number, number)


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
        is_milder=all(find.entry.door.kind in ON_NODES or find.what in _WITH_LOGIN for find in proven),
    )


def _name(find: _Find, own: ObjectRef) -> str:
    through = find.entry.door.through
    return workload_text(own) if through == own else str(through)


def _fact(find: _Find, own: ObjectRef) -> Fact:
    through = find.entry.door.through
    return Fact(path=find.entry.door.path, object=None if through == own else through, note=find.what)
