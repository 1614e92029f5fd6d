"""Aggregated ClusterRoles: what the aggregation controller would write into them.

A live cluster's ClusterRoles hold their rules already. Manifests hold an aggregationRule and empty rules, which a
controller fills in as soon as they are applied.

Source: k8s.io/kubernetes/pkg/controller/clusterroleaggregation, syncClusterRole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scanner.model.objects import labels_of
from scanner.model.rbac import Role, Rule


def with_aggregated_rules(roles: Mapping[str, Role]) -> Mapping[str, Role]:
    """Return ClusterRoles by name, the empty ones that aggregate filled from the ClusterRoles that they select.

    Roles that aggregate may select each other; the rules then settle as they do in a cluster, where the controller runs
    until nothing changes. They only ever grow, so this ends.
    """
    settled = dict(roles)
    pending = [name for name, role in sorted(roles.items()) if role.aggregation and not role.rules]
    feeders = {name: _selected(roles[name], roles.values()) for name in pending}
    changed = True
    while changed:
        changed = False
        for name in pending:
            rules = _union(settled[feeder].rules for feeder in feeders[name])
            if rules != settled[name].rules:
                settled[name] = replace(settled[name], rules=rules)
                changed = True
    return settled


def feeders(roles: Mapping[tuple[str, str, str], Role]) -> tuple[str, ...]:
    """Name, sorted, the ClusterRoles whose rules are copied into others; roles come by kind, namespace and name."""
    cluster_roles = [role for (kind, _, _), role in roles.items() if kind == "ClusterRole"]
    selected = (_selected(role, cluster_roles) for role in cluster_roles if role.aggregation)
    return tuple(sorted({name for names in selected for name in names}))


def sources_of(role: Role, cluster_roles: Iterable[Role]) -> tuple[Role, ...]:
    """Return the ClusterRoles whose rules an aggregated one ends up with, sorted by name; none of them aggregates."""
    candidates = {other.meta.name: other for other in cluster_roles}
    pending, seen = [role.meta.name], {role.meta.name}
    while pending:
        for name in _selected(candidates[pending.pop()], candidates.values()):
            if name not in seen:
                seen.add(name)
                pending.append(name)
    return tuple(candidates[name] for name in sorted(seen) if not candidates[name].aggregation)


def _selected(role: Role, candidates: Iterable[Role]) -> tuple[str, ...]:
    """Name the ClusterRoles that a role takes its rules from, in the controller's order; never itself."""
    by_name = sorted((r for r in candidates if r.meta.name != role.meta.name), key=lambda r: r.meta.name)
    return tuple(r.meta.name for selector in role.aggregation for r in by_name if selector.matches(labels_of(r.meta)))


def _union(rules: Iterable[tuple[Rule, ...]]) -> tuple[Rule, ...]:
    """Join lists of rules in order, each rule once."""
    return tuple(dict.fromkeys(rule for some in rules for rule in some))
