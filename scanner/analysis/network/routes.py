"""Routes of the Gateway API that lead to no Service, and references to other namespaces that nobody granted.

Such a reference is refused, so that users get errors; a Service that is missing may be made by whoever may create one.
"""

import datetime as dt
from collections.abc import Iterator

from scanner.analysis.network.gateways import GATEWAY, ROUTE_KINDS, BackendRef, backends_of, certificates_of
from scanner.analysis.network.selection import missing_reads
from scanner.analysis.network.services import SERVICE, are_services_known
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.network import ServiceBody
from scanner.model.objects import KubeObject
from scanner.model.reference_grants import REFERENCE_GRANT, is_granted, missing_grants
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot

#: What the answers rest on.
BACKEND_READS: tuple[GroupKind, ...] = (*ROUTE_KINDS, SERVICE)
GRANT_READS: tuple[GroupKind, ...] = (GATEWAY, *ROUTE_KINDS, REFERENCE_GRANT)


def routes_without_backend(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each route whether one of its Services does not exist or lacks the port.

    Backends of other kinds are not judged. A Service that is missing in files which hold neither workloads nor Services
    of its namespace is unknown.
    """
    del now  # nothing here depends on the time
    for route, backends in backends_of(snapshot):
        services = [(path, ref) for path, ref in backends if (ref.group, ref.kind) == SERVICE]
        if services:
            yield _judge_route(snapshot, route, services)


def _judge_route(snapshot: Snapshot, route: KubeObject, backends: list[tuple[str, BackendRef]]) -> Answer:
    proven: dict[str, str] = {}
    unproven: dict[str, str] = {}
    missing: set[str] = set()
    for path, ref in backends:
        namespace = ref.namespace or route.meta.namespace
        service = snapshot.find(*SERVICE, namespace, ref.name)
        if service is None:
            unread = missing_reads(snapshot, (SERVICE,), namespace)
            is_known = not unread and are_services_known(snapshot, namespace)
            (proven if is_known else unproven)[f"{path}.name"] = f"Service {namespace}/{ref.name} does not exist"
            missing |= set() if is_known else set(unread or ("list services",))
        elif not _has_port(service, ref.port):
            proven[f"{path}.port"] = f"Service {namespace}/{ref.name} has no port {ref.port}"
    if not proven and not unproven:
        return Answer(resource=route.ref, outcome=Outcome.PASS, message="Its Services exist and have the ports")
    shown = proven or unproven
    message = "; ".join(sorted(set(shown.values())))
    return Answer(
        resource=route.ref,
        outcome=Outcome.FAIL if proven else Outcome.UNKNOWN,
        message=message if proven else f"{message} in what was read",
        evidence=tuple(Fact(path=path, note=text) for path, text in shown.items()),
        missing=() if proven else tuple(sorted(missing)),
    )


def _has_port(service: KubeObject, port: int) -> bool:
    """Tell whether a Service listens on a port; one of type ExternalName need not list any."""
    spec = service.decode(ServiceBody).spec
    return spec.type == "ExternalName" or any(p.port == port for p in spec.ports or ())


def references_not_granted(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each route and Gateway that refers to other namespaces whether ReferenceGrants let it.

    Those are the backends of routes and the certificates of listeners. In files, a grant may lie elsewhere: unknown.
    """
    del now  # nothing here depends on the time
    for route, backends in backends_of(snapshot):
        wanted = [(path, GroupKind(r.group, r.kind), r.namespace, r.name) for path, r in backends]
        yield from _judge_references(snapshot, route, wanted)
    for gateway in snapshot.of(*GATEWAY):
        wanted = [(path, GroupKind(r.group, r.kind), r.namespace, r.name) for path, r in certificates_of(gateway)]
        yield from _judge_references(snapshot, gateway, wanted)


def _judge_references(
    snapshot: Snapshot, source: KubeObject, wanted: list[tuple[str, GroupKind, str, str]]
) -> Iterator[Answer]:
    own, kind = source.meta.namespace, source.ref.group_kind
    abroad = [reference for reference in wanted if reference[2] not in {"", own}]
    if not abroad:
        return
    refused = [reference for reference in abroad if not is_granted(snapshot, kind, own, *reference[1:])]
    if not refused:
        yield Answer(resource=source.ref, outcome=Outcome.PASS, message="ReferenceGrants let it")
        return
    names = ", ".join(sorted({f"{target} {namespace}/{name}" for _, target, namespace, name in refused}))
    missing = tuple(sorted({m for _, _, namespace, _ in refused for m in missing_grants(snapshot, namespace)}))
    yield Answer(
        resource=source.ref,
        outcome=Outcome.UNKNOWN if missing else Outcome.FAIL,
        message=f"No ReferenceGrant {'that was read ' if missing else ''}lets it use {names}",
        evidence=tuple(Fact(path=path) for path, *_ in refused),
        missing=missing,
    )
