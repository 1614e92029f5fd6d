"""Which requests a ValidatingAdmissionPolicy or its binding is about, as the API server decides it.

An existing object stands for the request that would create it: operation CREATE, its own apiVersion, no subresource.

Source: k8s.io/apiserver/pkg/admission/plugin: policy/matching/matching.go, webhook/predicates/{rules,namespace,object}.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scanner.model.objects import KubeObject, labels_of
from scanner.model.refs import GroupKind, group_of
from scanner.model.resources import BY_KIND, plural_of
from scanner.model.selectors import LabelSelector
from scanner.policy.vap import GROUP, MatchResources, ResourceRule

_OPERATION = "CREATE"
_NAMESPACE = GroupKind("", "Namespace")


@dataclass(frozen=True, slots=True)
class Request:
    """The request that would create an object."""

    object: KubeObject
    group: str
    version: str
    resource: str
    #: Empty for cluster-scoped objects; for a Namespace its own name, as the API server has it.
    namespace: str
    #: Labels of the namespace (for a Namespace its own); None if they are not known.
    namespace_labels: Mapping[str, str] | None

    @property
    def is_cluster_scoped(self) -> bool:
        """Tell whether the object is in no namespace; Namespaces themselves are not."""
        return not self.object.meta.namespace


def request_for(thing: KubeObject, namespaces: Mapping[str, Mapping[str, str]], *, knows_namespaces: bool) -> Request:
    """Describe the request that would create an object."""
    is_namespace = thing.group_kind == _NAMESPACE
    namespace = thing.meta.name if is_namespace else thing.meta.namespace
    labels: Mapping[str, str] | None = namespaces.get(namespace, {}) if knows_namespaces else None
    if is_namespace:
        labels = labels_of(thing) | {"kubernetes.io/metadata.name": thing.meta.name}
    return Request(
        object=thing,
        group=group_of(thing.api_version),
        version=thing.api_version.rpartition("/")[2],
        resource=plural_of(thing.group_kind),
        namespace=namespace,
        namespace_labels=labels,
    )


def is_exempt(request: Request) -> bool:
    """Tell whether admission policies never see such a request: those on admission policies and webhooks."""
    return request.group == GROUP and request.object.kind.startswith(("Validating", "Mutating"))


def matches(criteria: MatchResources, request: Request) -> bool | str:
    """Tell whether a request is matched; a text says why that is not known."""
    selected = _namespace_matches(criteria.namespace_selector, request)
    if selected is False:
        return False
    if criteria.object_selector is not None and not criteria.object_selector.matches(labels_of(request.object)):
        return False
    excluded = _any_rule(criteria.exclude_resource_rules or (), criteria.match_policy, request)
    if excluded is not False:
        return excluded if isinstance(excluded, str) else False
    if criteria.resource_rules:
        ruled = _any_rule(criteria.resource_rules, criteria.match_policy, request)
        if ruled is not True:
            return ruled
    return selected


def _namespace_matches(selector: LabelSelector | None, request: Request) -> bool | str:
    if selector is None or selector.is_empty or not request.namespace:
        return True
    if request.namespace_labels is None:
        return f"the labels of namespace {request.namespace} are not known"
    return selector.matches(request.namespace_labels)


def _any_rule(rules: Iterable[ResourceRule], match_policy: str, request: Request) -> bool | str:
    """Tell whether one of the rules names the request, exactly or (if it may) in another version of its group."""
    named = [r for r in rules if not r.resource_names or request.object.meta.name in r.resource_names]
    if any(_rule_matches(rule, request, request.version) for rule in named):
        return True
    if match_policy == "Exact":
        return False
    kind = request.object.group_kind
    for rule in named:
        for version in rule.api_versions:
            # Of a kind that a scan does not read, other versions may be served, but not in the core group.
            is_served = version in BY_KIND[kind].versions if kind in BY_KIND else bool(kind.group)
            if is_served and _rule_matches(rule, request, version):
                return f"the API server would convert it to {version} first, which an audit cannot"
    return False


def _rule_matches(rule: ResourceRule, request: Request, version: str) -> bool:
    return (
        _scope_matches(rule.scope, request)
        and _is_named(_OPERATION, rule.operations)
        and _is_named(request.group, rule.api_groups)
        and _is_named(version, rule.api_versions)
        and any(_resource_matches(named, request.resource) for named in rule.resources)
    )


def _scope_matches(scope: str, request: Request) -> bool:
    match scope:
        case "*":
            return True
        case "Namespaced":
            return not request.is_cluster_scoped
        case "Cluster":
            return request.is_cluster_scoped
        case _:
            return False


def _is_named(value: str, names: Iterable[str]) -> bool:
    return any(name in {"*", value} for name in names)


def _resource_matches(named: str, resource: str) -> bool:
    """Tell whether a rule's resource names the resource itself: `pods`, `*`, and with `/*` subresources and itself."""
    name, _, subresource = named.partition("/")
    return name in {"*", resource} and subresource in {"", "*"}
