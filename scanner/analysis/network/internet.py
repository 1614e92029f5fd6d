"""Which workloads the internet reaches: doors that policies really leave open to all addresses.

A door on nodes alone leads there from the internet only where a node has a public address.
"""

import datetime as dt
from collections.abc import Iterator

import msgspec

from scanner.analysis.network.connections import workload_text
from scanner.analysis.network.doors import DOOR_KINDS, ON_NODES, Door
from scanner.analysis.network.exposure import Entry, Verdict, entries
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.policy import Severity
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Workload

_NODE = GroupKind("", "Node")

#: What the answers rest on; where policies were not read, the engine says unknown itself.
READS: tuple[GroupKind, ...] = (*DOOR_KINDS, _NODE)

#: Parts of a node that a pod may share or mount, so that whoever owns the pod owns more than that.
_NAMESPACES_OF_NODES = ("hostIPC", "hostNetwork", "hostPID")


class _Address(msgspec.Struct):
    type: str = ""


class _NodeStatus(msgspec.Struct):
    addresses: tuple[_Address, ...] | None = None


def reachable_from_internet(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload with a door whether all addresses certainly come through one.

    High where the workload is privileged or has parts of its node, so that the way in leads on to the node. Private
    load balancers and those with ranges of sources pass. Doors on nodes count only where a node has an ExternalIP.
    """
    del now  # nothing here depends on the time
    judged = snapshot.derive(entries)
    nodes_are_public = _has_public_node(snapshot)
    for workload in snapshot.workloads:
        found = [e for e in judged.get(workload.ref, ()) if nodes_are_public or e.door.kind not in ON_NODES]
        if found:
            yield _judge(workload, found)


def _has_public_node(snapshot: Snapshot) -> bool:
    statuses = (msgspec.json.decode(n.status, type=_NodeStatus) for n in snapshot.of(*_NODE) if n.status)
    return any(address.type == "ExternalIP" for status in statuses for address in status.addresses or ())


def _judge(workload: Workload, found: list[Entry]) -> Answer:
    public = [entry for entry in found if entry.is_public]
    if public:
        parts = _parts_of_node(workload)
        onward = f", and it has {' and '.join(parts)}, which leads on to the node" if parts else ""
        return Answer(
            resource=workload.ref,
            outcome=Outcome.FAIL,
            message=f"All addresses may come to it through {_ways(public, workload.ref)}{onward}",
            evidence=_evidence(public, workload.ref),
            severity=Severity.HIGH if parts else None,
        )
    unknown = [e for e in found if e.verdict is Verdict.UNKNOWN and not e.door.is_internal and e.door.sources is None]
    if unknown:
        reasons = "; ".join(sorted({reason for entry in unknown for reason in entry.reasons}))
        return Answer(
            resource=workload.ref,
            outcome=Outcome.UNKNOWN,
            message=f"Whether all addresses may come through {_ways(unknown, workload.ref)} is not known: {reasons}",
            evidence=_evidence(unknown, workload.ref),
        )
    return Answer(resource=workload.ref, outcome=Outcome.PASS, message="No door is open to all addresses")


def _parts_of_node(workload: Workload) -> list[str]:
    """Return what a workload has of its node: a privileged container, namespaces, paths."""
    spec = workload.template.spec
    is_privileged = any((c.spec.get("securityContext") or {}).get("privileged") is True for c in workload.containers)
    mounts = any((volume or {}).get("hostPath") is not None for volume in spec.get("volumes") or ())
    return [
        *(["a privileged container"] if is_privileged else []),
        *(name for name in _NAMESPACES_OF_NODES if spec.get(name) is True),
        *(["a path of its node"] if mounts else []),
    ]


def _ways(found: list[Entry], own: ObjectRef) -> str:
    return ", ".join(sorted({_way(entry.door, own) for entry in found}))


def _way(door: Door, own: ObjectRef) -> str:
    if door.kind == door.through.kind:
        return str(door.through)
    return f"{door.kind} of {workload_text(own) if door.through == own else door.through}"


def _evidence(found: list[Entry], own: ObjectRef) -> tuple[Fact, ...]:
    doors = ((e.door.path, e.door.through) for e in found)
    return tuple(dict.fromkeys(Fact(path=p, object=None if through == own else through) for p, through in doors))
