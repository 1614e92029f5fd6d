"""Our CEL policies as real ValidatingAdmissionPolicies: the sentence that audits what exists stops what would come.

The generated policies judge every kind that holds pods, so that a Deployment is refused before its pods are. Pods that
a controller makes are judged once more when they come, with the same answer. Names of a policy's language (`pod`,
`container`) are bound by macros over lists of one element, never by rewriting the expression.
"""

from collections.abc import Sequence
from typing import Any

from scanner.errors import PolicyError
from scanner.model.policy import Policy
from scanner.model.refs import GroupKind
from scanner.model.resources import BY_KIND
from scanner.model.workload import TEMPLATE_PATHS, ContainerRole
from scanner.policy.subjects import CONTAINER, WORKLOAD, kind_of
from scanner.policy.vap import API_VERSION, BINDING, POLICY

#: Refusing something there can keep a cluster from repairing itself.
SYSTEM_NAMESPACES = ("kube-node-lease", "kube-public", "kube-system")

_POD_KIND = GroupKind("", "Pod")

# `dyn` keeps the API server from type-checking each branch against each matched kind.
_POD = (
    "request.kind.kind == 'Pod' ? dyn(object).spec : request.kind.kind == 'CronJob' "
    "? dyn(object).spec.jobTemplate.spec.template.spec : dyn(object).spec.template.spec"
)
_POD_METADATA = (
    "request.kind.kind == 'Pod' ? dyn(object).metadata : request.kind.kind == 'CronJob' "
    "? dyn(object).spec.jobTemplate.spec.template.?metadata.orValue({}) "
    ": dyn(object).spec.template.?metadata.orValue({})"
)
_POD_META = (
    "{'labels': variables.metadata.?labels.orValue({}), 'annotations': variables.metadata.?annotations.orValue({})}"
)

_INIT = "variables.pod.?initContainers.orValue([])"
_IS_SIDECAR = "c.?restartPolicy.orValue('') == 'Always'"
_LISTS = {
    ContainerRole.INIT: f"{_INIT}.filter(c, !({_IS_SIDECAR}))",
    ContainerRole.SIDECAR: f"{_INIT}.filter(c, {_IS_SIDECAR})",
    ContainerRole.REGULAR: "variables.pod.?containers.orValue([])",
    ContainerRole.EPHEMERAL: "variables.pod.?ephemeralContainers.orValue([])",
}


def admission_name(policy: Policy) -> str:
    """Return the name of the generated objects: `plimsoll.pods.privileged-container`."""
    return f"plimsoll.{policy.id.replace('/', '.')}"


def to_admission(policy: Policy, *, actions: Sequence[str] = ("Deny",)) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a ValidatingAdmissionPolicy that forbids what the policy forbids, and its binding.

    The binding leaves the namespaces of Kubernetes itself alone. Raises `PolicyError` for a policy that asks a
    question: only a policy on one object can be decided at admission.
    """
    if not policy.forbid:
        raise PolicyError(f"{policy.id}: asks about more than one object, which admission cannot")
    metadata = {
        "name": admission_name(policy),
        "labels": {"app.kubernetes.io/managed-by": "plimsoll", "plimsoll.dev/severity": str(policy.severity)},
        "annotations": {"plimsoll.dev/policy": policy.id, "plimsoll.dev/title": policy.title},
    }
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": _rules(policy)},
        "variables": _variables(policy),
        "validations": [_validation(policy)],
    }
    binding_spec = {
        "policyName": metadata["name"],
        "validationActions": list(actions),
        "matchResources": {"namespaceSelector": {"matchExpressions": [_outside_system()]}},
    }
    return (
        {"apiVersion": API_VERSION, "kind": POLICY.kind, "metadata": metadata, "spec": spec},
        {"apiVersion": API_VERSION, "kind": BINDING.kind, "metadata": dict(metadata), "spec": binding_spec},
    )


def _outside_system() -> dict[str, Any]:
    return {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SYSTEM_NAMESPACES)}


def _rules(policy: Policy) -> list[dict[str, Any]]:
    kind = kind_of(policy.subject)
    if kind is not None:
        return [_rule(kind, "CREATE", "UPDATE")]
    # What a pod runs cannot be updated, but for its ephemeral containers.
    ephemeral = _rule(_POD_KIND, "UPDATE") | {"resources": ["pods/ephemeralcontainers"]}
    controllers = [_rule(k, "CREATE", "UPDATE") for k in TEMPLATE_PATHS if k != _POD_KIND]
    return [_rule(_POD_KIND, "CREATE"), ephemeral, *controllers]


def _rule(kind: GroupKind, *operations: str) -> dict[str, Any]:
    resource = BY_KIND[kind]
    return {
        "apiGroups": [resource.group],
        "apiVersions": list(resource.versions),
        "resources": [resource.plural],
        "operations": list(operations),
    }


def _variables(policy: Policy) -> list[dict[str, str]]:
    pod = {"name": "pod", "expression": _POD}
    match policy.subject:
        case "container":
            lists = " + ".join(_LISTS[ContainerRole(role)] for role in policy.container_roles)
            return [pod, {"name": "containers", "expression": lists}]
        case "workload":
            metadata = {"name": "metadata", "expression": _POD_METADATA}
            return [pod, metadata, {"name": "podMeta", "expression": _POD_META}]
        case _:
            return []


def _validation(policy: Policy) -> dict[str, str]:
    message = {"message": policy.title, "reason": "Forbidden"}
    # The line end keeps a comment at the end of an expression from swallowing the bracket.
    forbid = f"({policy.forbid}\n)"
    said = f"string({policy.message}\n)"
    if policy.subject == CONTAINER:
        expression = f"![variables.pod].exists(pod, variables.containers.exists(container, {forbid}))"
        found = f"variables.containers.filter(container, {forbid}).map(container, {said})"
        said = f"[variables.pod].map(pod, {found})[0].join('; ')"
    elif policy.subject == WORKLOAD:
        expression = f"![variables.pod].exists(pod, [variables.podMeta].exists(podMeta, {forbid}))"
        said = f"[variables.pod].map(pod, [variables.podMeta].map(podMeta, {said})[0])[0]"
    else:
        expression = f"![dyn(object)].exists(object, {forbid})"
        said = f"[dyn(object)].map(object, {said})[0]"
    return {"expression": expression, **message} | ({"messageExpression": said} if policy.message else {})
