"""Whether the parts of the control plane and of nodes are of versions that the API server supports."""

import datetime as dt
import re
from collections.abc import Iterator

from scanner.analysis.readiness.control_plane import minor_of
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS, Container, Workload

READS = tuple(TEMPLATE_PATHS)
_NAMESPACE = "kube-system"
#: Programs, and how many minor versions older than the API server each may be; none may be newer.
#: Source: https://kubernetes.io/releases/version-skew-policy/
_OLDER = {"kube-controller-manager": 1, "kube-scheduler": 1, "cloud-controller-manager": 1, "kube-proxy": 3}
#: Before Kubernetes 1.28, kube-proxy too was held to two.
_PROXY_BEFORE, _THREE_FROM = 2, 28
#: API servers of one cluster may be one minor version apart, while they are upgraded.
_API_SERVERS_APART = 1
_API_SERVER = "kube-apiserver"
_TAG = re.compile(r":(v?1\.[0-9]{1,3}(?:[.+-][^@]{0,100})?)(?:@|$)")


def component_skew(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell of each workload that runs a part of Kubernetes whether the API server supports its version.

    Only those of `kube-system` are looked at.

    The version is that of the image's tag; without one it is unknown. Where the API server's own is not known, so is
    every skew; where no such part is seen there is no answer.
    """
    del now  # nothing here depends on the time
    server = minor_of(snapshot.server_version)
    for workload in snapshot.workloads:
        for container in workload.template.containers if _is_of_system(workload) else ():
            name = _image_name(container)
            if name in _OLDER or name == _API_SERVER:
                yield _judge(snapshot, workload, container, name, server)


def _judge(snapshot: Snapshot, workload: Workload, container: Container, name: str, server: int | None) -> Answer:
    image = str(container.spec.get("image") or "")
    tag = _TAG.search(image)
    minor = minor_of(tag[1]) if tag else None
    if minor is None or server is None:
        message = f"The version of {name} or of the API server is not known"
        return Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message, key=name)
    if _is_supported(name, minor, server):
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message="Within the supported skew", key=name)
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"{name} 1.{minor} is not supported with the API server {snapshot.server_version}",
        evidence=(Fact(path=f"{container.path}.image", value=image, container=container.name),),
        key=name,
    )


def _is_supported(name: str, minor: int, server: int) -> bool:
    if name == _API_SERVER:
        return abs(server - minor) <= _API_SERVERS_APART
    older = _PROXY_BEFORE if name == "kube-proxy" and server < _THREE_FROM else _OLDER[name]
    return server - older <= minor <= server


def _is_of_system(workload: Workload) -> bool:
    """Tell whether its pods are in the system's namespace; a mirror pod belongs to its node, but lies there."""
    return workload.template.owner.namespace == _NAMESPACE


def _image_name(container: Container) -> str:
    image = str(container.spec.get("image") or "")
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
