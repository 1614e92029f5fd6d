"""The control plane as its static pods show it: flags, and versions against those of the nodes.

Static pods of the control plane are seen as mirror pods of `kube-system`. Managed services show none: there the flags
are the provider's, and unknown here.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence

import msgspec

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot, SourceKind, object_ref_of_cluster
from scanner.model.workload import Container, Workload

NODE = GroupKind("", "Node")
POD = GroupKind("", "Pod")
_NAMESPACE = "kube-system"
_VERSION = re.compile(r"^v?1\.([0-9]{1,3})(?:[.+-]|$)")
#: A kubelet may be this many minor versions older than the API server, from 1.28 on; before, two.
_OLDEST_KUBELET = 3
_OLDEST_KUBELET_BEFORE = 2
_THREE_FROM = 28
#: Parts of versions and labels of nodes by which managed services are known.
_MANAGED = (
    ("-eks-", "Amazon EKS"),
    ("-gke.", "Google GKE"),
    ("eks.amazonaws.com/", "Amazon EKS"),
    ("cloud.google.com/gke-", "Google GKE"),
    ("kubernetes.azure.com/", "Azure AKS"),
)


def control_plane_flags(  # noqa: PLR0913 - the arguments are the words of a policy
    snapshot: Snapshot,
    *,
    now: dt.datetime,
    component: str,
    flag: str,
    default: str = "",
    allow: Sequence[str] = (),
    needs: Sequence[str] = (),
    refuses: Sequence[str] = (),
    instead: Sequence[str] = (),
    least: int = 0,
) -> Iterator[Answer]:
    """Tell of each pod of a component whether a flag has a value that may be.

    `allow` lists the only values allowed; `needs` and `refuses` what a list of values must and must not have; `least`
    is the smallest number; with none of them, the flag must be set. `default` is what counts where it is not set. Flags
    of `instead` take its place: what their file says is unknown. Where no such pod is seen there is no answer:
    `control_plane_seen` says so, once.
    """
    del now  # nothing here depends on the time
    for workload, container in running(snapshot, component):
        given = flag_of(container, flag)
        other = next((name for name in instead if flag_of(container, name) is not None), "")
        value = default if given is None else given
        if given is None and other:
            message = f"--{other} names a file, which nobody here can read"
            yield Answer(resource=workload.ref, outcome=Outcome.UNKNOWN, message=message)
        elif _is_enough(value, least) if least else _is_right(value, allow, needs, refuses):
            yield Answer(resource=workload.ref, outcome=Outcome.PASS, message="As it should be")
        else:
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.FAIL,
                message=f"--{flag} of {component} is {'not set' if given is None else given or 'empty'}",
                evidence=(_fact(workload, container, flag, given),),
            )


def control_plane_seen(snapshot: Snapshot, *, now: dt.datetime, components: Sequence[str]) -> Iterator[Answer]:
    """Tell of the cluster whether the flags of these components can be seen at all: else they are unknown."""
    del now  # nothing here depends on the time
    hidden = [component for component in components if not running(snapshot, component)]
    if hidden:
        yield _unseen(snapshot, f"No pod shows the flags of {', '.join(hidden)}", "list pods")
    else:
        cluster = object_ref_of_cluster(snapshot.cluster)
        yield Answer(resource=cluster, outcome=Outcome.PASS, message="The flags of the control plane can be seen")


def version_skew(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Tell of each node whether its kubelet is a version that the API server supports: not newer, three minors older.

    Source: https://kubernetes.io/releases/version-skew-policy/
    """
    del now  # nothing here depends on the time
    server = minor_of(snapshot.server_version)
    nodes = snapshot.of(*NODE)
    if server is None or not nodes:
        yield _unseen(snapshot, "The versions of API server and nodes are not known", "list nodes")
        return
    oldest = server - (_OLDEST_KUBELET if server >= _THREE_FROM else _OLDEST_KUBELET_BEFORE)
    for node in nodes:
        version = kubelet_of(node)
        minor = minor_of(version)
        if minor is None:
            yield Answer(resource=node.ref, outcome=Outcome.UNKNOWN, message="The version of its kubelet is not known")
        elif oldest <= minor <= server:
            yield Answer(resource=node.ref, outcome=Outcome.PASS, message="Within the supported skew")
        else:
            than = "newer than" if minor > server else "too old for"
            yield Answer(
                resource=node.ref,
                outcome=Outcome.FAIL,
                message=f"Its kubelet {version} is {than} the API server {snapshot.server_version}",
                evidence=(Fact(path="status.nodeInfo.kubeletVersion", value=version),),
            )


def managed_service(snapshot: Snapshot) -> str:
    """Return the name of the managed service that the cluster belongs to, by versions and labels; empty if none."""
    words = [snapshot.server_version]
    for node in snapshot.of(*NODE):
        words += [kubelet_of(node), *(node.meta.labels or {})]
    return next((name for sign, name in _MANAGED if any(sign in word for word in words)), "")


class _Info(msgspec.Struct, rename="camel"):
    kubelet_version: str = ""


class _Status(msgspec.Struct, rename="camel"):
    node_info: _Info | None = None


def kubelet_of(node: KubeObject) -> str:
    """Return the version of a node's kubelet, empty if its status has none."""
    status = msgspec.json.decode(node.status, type=_Status) if node.status else _Status()
    return status.node_info.kubelet_version if status.node_info else ""


def minor_of(version: str) -> int | None:
    """Return the minor of a version of Kubernetes 1.x: 37 for `v1.37.2`; None for what is no such version."""
    found = _VERSION.match(version)
    return int(found[1]) if found else None


def _unseen(snapshot: Snapshot, message: str, read: str) -> Answer:
    cluster: ObjectRef = object_ref_of_cluster(snapshot.cluster)
    managed = snapshot.derive(managed_service)
    where = f": it is {managed}'s" if managed else ", and files do not tell" * (snapshot.source is SourceKind.MANIFESTS)
    return Answer(resource=cluster, outcome=Outcome.UNKNOWN, message=f"{message}{where}", missing=(read,))


def running(snapshot: Snapshot, component: str) -> list[tuple[Workload, Container]]:
    """Return the containers that run a component; a mirror pod belongs to its node, but lies in the namespace."""
    return [
        (workload, container)
        for workload in snapshot.workloads
        for container in workload.template.containers
        if container.owner.namespace == _NAMESPACE and _program(container) == component
    ]


def _program(container: Container) -> str:
    """Return the name of the program that a container runs, without its folder."""
    words = [*(container.spec.get("command") or ()), *(container.spec.get("args") or ())]
    return str(words[0]).rpartition("/")[2] if words else ""


def flag_of(container: Container, flag: str) -> str | None:
    """Return the value of a flag: `--name=value`, `--name value`, or `true` for `--name` alone; the last one counts."""
    words = [str(w) for field in ("command", "args") for w in container.spec.get(field) or ()]
    found = None
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in {f"--{flag}", f"-{flag}"}:
            following = words[index + 1] if index + 1 < len(words) else "-"
            found = value if equals else "true" if following.startswith("-") else following
    return found


def _is_right(value: str, allow: Sequence[str], needs: Sequence[str], refuses: Sequence[str]) -> bool:
    if not (allow or needs or refuses):
        return bool(value)
    parts = {part.strip() for part in value.split(",")}
    return (not allow or value in allow) and parts.issuperset(needs) and parts.isdisjoint(refuses)


def _is_enough(value: str, least: int) -> bool:
    return value.isdecimal() and value.isascii() and int(value[:9]) >= least


def _fact(workload: Workload, container: Container, flag: str, given: str | None) -> Fact:
    holder = container.owner if container.owner != workload.ref else None
    return Fact(
        path=f"{container.path}.command", value=given, container=container.name, object=holder, note=f"--{flag}"
    )
