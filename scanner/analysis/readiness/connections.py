"""Many copies on one database: how many connections the workloads that share it may open, against what it takes."""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scanner.analysis.readiness.endpoints import RELATIONAL, told
from scanner.analysis.readiness.scale import scale_of
from scanner.analysis.readiness.serving import services_by_namespace
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, Workload

#: Variables that hold the whole address of a database, when they come from a Secret.
_ADDRESS_VARIABLE = re.compile(
    r"^(?:\w{0,40}_)?(?:DATABASE_URL|DB_URL|DB_URI|DATABASE_URI|DATABASE_DSN|DB_DSN|DATASOURCE_URL)$"
)
#: Programs that share few connections to a database among many clients; by the last part of the image's name.
_POOLER = re.compile(r"(?:^|[/_-])(?:pgbouncer|pgcat|odyssey|pgpool|proxysql|maxscale|supavisor)")
_LIMIT = re.compile(r"(?:^|[\s=])-{0,2}max[_-]connections=([0-9]{1,6})(?:\s|$)")
_LABELS_OF_SERVICE = 2


@dataclass(frozen=True, slots=True)
class Client:
    """A workload that connects to a database."""

    workload: Workload
    container: Container
    #: Path below the container that names the database.
    path: str
    #: Connections of one copy, None if nothing says it.
    pool: int | None
    #: The most copies; None for kinds that have no number.
    copies: int | None


#: What clients share: the host and port of a database, or the key of a Secret; in words for people.
Databases = Mapping[str, Sequence[Client]]


def shared_databases(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell of each workload with a relational database whether all copies that share it may open too many connections.

    Copies times pool, summed over the workloads that share the address, or the Secret that holds it, is compared with
    the `max_connections` in the arguments of the database's own containers. A pooler between them passes. What is not
    visible (pool sizes in code, limits in ConfigMaps and outside of the cluster) makes it unknown, with the number of
    copies; a single copy passes.
    """
    del now  # nothing here depends on the time
    databases = snapshot.derive(databases_of)
    by_workload: dict[ObjectRef, list[tuple[str, Client]]] = defaultdict(list)
    for name, clients in databases.items():
        for client in clients:
            by_workload[client.workload.ref].append((name, client))
    judged = {name: _judge(snapshot, name, clients) for name, clients in databases.items()}
    for workload in snapshot.workloads:
        used = by_workload.get(workload.ref)
        if not used:
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="No relational database in its template")
        for name, client in used or ():
            outcome, message = judged[name]
            facts = (_fact(client), *_limit_facts(snapshot, name)) if outcome is not Outcome.PASS else ()
            yield Answer(resource=workload.ref, outcome=outcome, message=message, evidence=facts)


def databases_of(snapshot: Snapshot) -> Databases:
    """Return the clients of each database; names of Services are written in full, so that namespaces keep apart."""
    found: dict[str, dict[ObjectRef, Client]] = defaultdict(dict)
    for workload in snapshot.workloads:
        scale = scale_of(snapshot, workload)
        copies = scale.most if scale else None
        for container in workload.template.containers:
            said = told(snapshot, container)
            for endpoint in said.endpoints:
                if endpoint.scheme in RELATIONAL and not endpoint.is_local:
                    name = _full(endpoint.host, workload.ref.namespace)
                    client = Client(workload, container, endpoint.path, said.pool, copies)
                    found[name].setdefault(workload.ref, client)
            for path, name in _secret_addresses(container, workload.ref.namespace):
                found[name].setdefault(workload.ref, Client(workload, container, path, said.pool, copies))
    return {name: tuple(clients.values()) for name, clients in sorted(found.items())}


def _secret_addresses(container: Container, namespace: str) -> Iterator[tuple[str, str]]:
    for index, variable in enumerate(container.spec.get("env") or ()):
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
        if reference.get("name") and _ADDRESS_VARIABLE.match(str(variable.get("name") or "").upper()):
            name = f"Secret {namespace}/{reference['name']}, key {reference.get('key', '')}"
            yield f"env[{index}].valueFrom.secretKeyRef", name


def _full(host: str, namespace: str) -> str:
    """Write `db` and `db.shop.svc.cluster.local` as `db.shop`, as far as that is a Service's name."""
    labels = host.split(".")
    if len(labels) == 1:
        return f"{host}.{namespace}"
    if len(labels) > _LABELS_OF_SERVICE and labels[2] == "svc":
        return ".".join(labels[:_LABELS_OF_SERVICE])
    return host


def _judge(snapshot: Snapshot, name: str, clients: Sequence[Client]) -> tuple[Outcome, str]:
    counted = [client.copies for client in clients if client.copies is not None]
    copies = sum(counted)
    several = f"{copies} copies of {len(clients)} workloads" if len(clients) > 1 else f"{copies} copies"
    behind = snapshot.derive(workloads_by_service).get(name, ())
    if copies <= 1 and len(counted) == len(clients):
        return Outcome.PASS, "A single copy uses the database"
    if any(_is_pooler(container) for workload in behind for container in workload.template.containers):
        return Outcome.PASS, "A pooler stands before the database"
    pools = [client.pool for client in clients]
    limit = _limit(behind)
    known = sum((client.copies or 0) * (client.pool or 0) for client in clients)
    if limit is not None and known > limit[0]:
        return Outcome.FAIL, f"{several} may open {known} connections to {name}, which takes {limit[0]}"
    if limit is None or None in pools or len(counted) < len(clients):
        lacking = "how many it takes" if limit is None else "how many each copy opens"
        return Outcome.UNKNOWN, f"Up to {several} connect to {name}, with no pooler seen; {lacking} is not visible"
    return Outcome.PASS, f"{several} open at most {known} of {limit[0]} connections"


def workloads_by_service(snapshot: Snapshot) -> Mapping[str, Sequence[Workload]]:
    """Return the workloads behind each Service, by `name.namespace`."""
    by_namespace: dict[str, list[Workload]] = defaultdict(list)
    for workload in snapshot.workloads:
        by_namespace[workload.ref.namespace].append(workload)
    return {
        f"{service.ref.name}.{namespace}": tuple(
            workload
            for workload in by_namespace[namespace]
            if (service.spec.selector or {}).items() <= workload.template.labels.items()
        )
        for namespace, services in snapshot.derive(services_by_namespace).items()
        for service in services
    }


def _is_pooler(container: Container) -> bool:
    return bool(_POOLER.search(str(container.spec.get("image") or "").rpartition("/")[2]))


def _limit(behind: Sequence[Workload]) -> tuple[int, Fact] | None:
    """Return `max_connections` as a container of the database's workload is told it, and where."""
    for workload in behind:
        for container in workload.template.containers:
            words = " ".join(str(w) for field in ("command", "args") for w in container.spec.get(field) or ())
            found = _LIMIT.search(words)
            if found:
                fact = Fact(path=f"{container.path}.args", container=container.name, object=workload.ref)
                return int(found[1]), fact
    return None


def _limit_facts(snapshot: Snapshot, name: str) -> tuple[Fact, ...]:
    limit = _limit(snapshot.derive(workloads_by_service).get(name, ()))
    return (limit[1],) if limit else ()


def _fact(client: Client) -> Fact:
    """Name the place that names the database; its value may hold a password."""
    holder = client.container.owner if client.container.owner != client.workload.ref else None
    return Fact(path=f"{client.container.path}.{client.path}", container=client.container.name, object=holder)
