"""Which Services a workload names in what starts it: the values of its variables, its commands and its arguments.

That is all that a cluster declares of who calls whom. ConfigMaps and Secrets are not read, and a program may look a
name up elsewhere, so that what is not named may be called all the same.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from scanner.analysis.network.services import SERVICE
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

#: A DNS name that stands as a host: alone, in a URL, in a list, or with a port; `--web` and `web_1` are none.
_HOST = re.compile(r"(?:^|[\s=,;@/\"'(\[])([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)\.?(?=$|[\s,;:/?\"')\]])")


class ServiceName(NamedTuple):
    """A Service by namespace and name."""

    namespace: str
    name: str


def callers(snapshot: Snapshot) -> Mapping[ServiceName, tuple[Workload, ...]]:
    """Return the workloads that name each Service, in the order of the snapshot."""
    known = {ServiceName(o.meta.namespace, o.meta.name) for o in snapshot.of(*SERVICE)}
    found: dict[ServiceName, list[Workload]] = {}
    for workload in snapshot.workloads:
        hosts = {host for text in _texts(workload) for host in _HOST.findall(text)}
        named = {service for host in hosts for service in _meant(host, workload.ref.namespace) if service in known}
        for service in named:
            found.setdefault(service, []).append(workload)
    return {service: tuple(workloads) for service, workloads in sorted(found.items())}


def _texts(workload: Workload) -> Iterator[str]:
    for container in workload.containers:
        yield from map(str, (*(container.spec.get("command") or ()), *(container.spec.get("args") or ())))
        yield from (str(v.get("value") or "") for v in container.spec.get("env") or ())


def _meant(host: str, namespace: str) -> Iterator[ServiceName]:
    """Yield the Services that a host may mean in a namespace: `svc`, `svc.ns`, `svc.ns.svc…`, `pod.svc.ns.svc…`."""
    labels = host.split(".")
    if len(labels) == 1:
        yield ServiceName(namespace, host)
        return
    yield ServiceName(labels[1], labels[0])
    for place, label in enumerate(labels[2:], start=2):
        if label == "svc":  # a pod of a headless Service has a name before the Service's
            yield ServiceName(labels[place - 1], labels[place - 2])
