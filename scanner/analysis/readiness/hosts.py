"""Addresses that were right on the old machine: databases on localhost, and hosts that are written down."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping

from scanner.analysis.readiness.endpoints import Endpoint, told
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import IngressBody, ServiceBody
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, ContainerRole, Workload

SERVICE = GroupKind("", "Service")
INGRESS = GroupKind("networking.k8s.io", "Ingress")

#: Why an endpoint is wrong, and the object that shows it; None if it is right.
_Judge = Callable[[Endpoint], tuple[str, ObjectRef | None] | None]


def local_databases(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads are told that their database is on localhost, although they are the only thing there.

    In a pod, localhost is the pod. Another container beside it may be the database, or a proxy to it: that passes.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        beside = sum(c.role in {ContainerRole.REGULAR, ContainerRole.SIDECAR} for c in workload.template.containers)
        yield _answer(
            snapshot, workload, _local if beside <= 1 else _right, "Its database is said to be on its own localhost"
        )


def written_down_hosts(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell which workloads are told of a peer by its address, or by a name under which this cluster serves outside.

    Loopback, unspecified and link-local addresses are left out: the last are the node's and the cloud's own.
    """
    del now  # nothing here depends on the time
    inside = snapshot.derive(names_inside)

    def judge(endpoint: Endpoint) -> tuple[str, ObjectRef | None] | None:
        address = endpoint.address
        if address is not None:
            if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
                return None
            return f"{endpoint.host} is an address", inside.get(endpoint.host)
        if endpoint.host in inside:
            return f"{endpoint.host} is served by this cluster", inside[endpoint.host]
        return None

    for workload in snapshot.workloads:
        yield _answer(snapshot, workload, judge, "Its peers are written down")


def names_inside(snapshot: Snapshot) -> Mapping[str, ObjectRef]:
    """Return the hosts of Ingresses and the addresses of Services, with the object that has each."""
    found: dict[str, ObjectRef] = {}
    for ingress in snapshot.of(*INGRESS):
        for rule in ingress.decode(IngressBody).spec.rules or ():
            if rule.host and "*" not in rule.host:
                found.setdefault(rule.host.lower(), ingress.ref)
    for service in snapshot.of(*SERVICE):
        address = service.decode(ServiceBody).spec.cluster_ip
        if address and address != "None":
            found.setdefault(address, service.ref)
    return found


def _right(endpoint: Endpoint) -> None:
    del endpoint  # whatever it is


def _local(endpoint: Endpoint) -> tuple[str, None] | None:
    return (endpoint.host, None) if endpoint.is_database and endpoint.is_local else None


def _answer(snapshot: Snapshot, workload: Workload, judge: _Judge, what: str) -> Answer:
    wrong = [
        (container, endpoint, found)
        for container in workload.template.containers
        for endpoint in told(snapshot, container).endpoints
        if (found := judge(endpoint)) is not None
    ]
    if not wrong:
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message="None seen in its template")
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"{what}: {', '.join(sorted({why for _, _, (why, _) in wrong}))}",
        evidence=tuple(_fact(workload, container, endpoint, shown) for container, endpoint, (_, shown) in wrong),
    )


def _fact(workload: Workload, container: Container, endpoint: Endpoint, shown: ObjectRef | None) -> Fact:
    """Name the place; the value may hold a credential, so that the note says the host alone."""
    return Fact(
        path=f"{container.path}.{endpoint.path}",
        container=container.name,
        object=container.owner if container.owner != workload.ref else None,
        note=f"names {endpoint.host}" + (f", which is {shown}" if shown else ""),
    )
