"""Rule matching, as the API server does it: literally, with three wildcards and no more.

Source of every function: k8s.io/kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go and
plugin/pkg/auth/authorizer/rbac/rbac.go, RuleAllows; compared with a real API server by the tests.
"""

from scanner.analysis.rbac.requests import Request
from scanner.model.rbac import Rule

#: In verbs, apiGroups, resources and nonResourceURLs: all of them. Nowhere else.
ALL = "*"


def rule_allows(rule: Rule, request: Request) -> bool:
    """Tell whether one rule grants a request, wherever it is bound."""
    if not verb_matches(rule, request.verb):
        return False
    if request.path is not None:
        return path_matches(rule, request.path)
    return (
        group_matches(rule, request.group)
        and resource_matches(rule, request.resource, request.subresource)
        and name_matches(rule, request.name)
    )


def verb_matches(rule: Rule, verb: str) -> bool:
    """Tell whether a rule names a verb; a verb that Kubernetes does not know matches like any other."""
    return verb in rule.verbs or ALL in rule.verbs


def group_matches(rule: Rule, group: str) -> bool:
    """Tell whether a rule names an API group; the core group is empty, and missing apiGroups name none."""
    return rule.api_groups is not None and (group in rule.api_groups or ALL in rule.api_groups)


def resource_matches(rule: Rule, resource: str, subresource: str) -> bool:
    """Tell whether a rule names a resource.

    `*` names every resource and subresource; `*/scale` names that subresource of everything; `pods/*` names nothing
    special, and `pods` does not name `pods/exec`.
    """
    named = rule.resources or ()
    combined = f"{resource}/{subresource}" if subresource else resource
    return combined in named or ALL in named or (subresource != "" and f"*/{subresource}" in named)


def name_matches(rule: Rule, name: str) -> bool:
    """Tell whether a rule covers an object's name: without resourceNames it covers all.

    A request that names no object (`list` and `create`, mostly) has the empty name, which resourceNames do not hold.
    """
    return not rule.resource_names or name in rule.resource_names


def path_matches(rule: Rule, path: str) -> bool:
    """Tell whether a rule names a nonResourceURL: exactly, or by the start that stands before a final `*`."""
    return any(
        url in {ALL, path} or (url.endswith(ALL) and path.startswith(url.rstrip(ALL)))
        for url in rule.non_resource_urls or ()
    )
