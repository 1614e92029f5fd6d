"""What a CEL policy can judge: containers, workloads, or objects of one kind; and the variables that it sees."""

from scanner.model.refs import GroupKind
from scanner.model.resources import BY_KIND
from scanner.model.workload import TEMPLATE_PATHS

CONTAINER = "container"
WORKLOAD = "workload"

CONTAINER_VARIABLES = ("container", "pod", "object", "namespaceObject")
WORKLOAD_VARIABLES = ("pod", "podMeta", "object", "namespaceObject")
OBJECT_VARIABLES = ("object", "namespaceObject")
CLUSTER_OBJECT_VARIABLES = ("object",)

NAMESPACE = GroupKind("", "Namespace")


def kind_of(subject: str) -> GroupKind | None:
    """Return the kind that a subject `Kind` or `Kind.group` names, if a scan reads it."""
    kind, _, group = subject.partition(".")
    found = GroupKind(group, kind)
    return found if found in BY_KIND else None


def variables_of(subject: str) -> tuple[str, ...]:
    """Return the names that an expression about this subject may use."""
    if subject == CONTAINER:
        return CONTAINER_VARIABLES
    if subject == WORKLOAD:
        return WORKLOAD_VARIABLES
    kind = kind_of(subject)
    return OBJECT_VARIABLES if kind and BY_KIND[kind].namespaced else CLUSTER_OBJECT_VARIABLES


def kinds_read_for(subject: str) -> tuple[GroupKind, ...]:
    """Return the kinds without which not every such subject is known."""
    kind = kind_of(subject)
    return tuple(TEMPLATE_PATHS) if kind is None else (kind,)
