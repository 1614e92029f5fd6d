"""Random RBAC worlds and questions, made so that yes and no are both common, and odd spellings too."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scanner.analysis.rbac.requests import MASTERS, Identity, Request
from tests.builders import binding, cluster_role, role

#: Few words, so that rules, names and questions meet; the odd ones are where matching goes wrong.
VERBS = ("get", "list", "create", "update", "impersonate", "*", "GET", "")
GROUPS = ("", "apps", "rbac.authorization.k8s.io", "*", "Apps", "*.example.com")
RESOURCES = (
    "pods",
    "pods/exec",
    "pods/*",
    "*/scale",
    "*/exec",
    "*/*",
    "*",
    "secrets",
    "deployments",
    "deployments/scale",
    "users",
    "Pods",
    "pods/",
    "/exec",
    "",
)
NAMES = ("one", "two", "*", "One", "")
PATHS = (
    "/metrics",
    "/logs/*",
    "/logs/a",
    "/healthz",
    "/api/*",
    "/lo*gs",
    "*",
    "/**",
    "/Metrics",
    "",
    "metrics",
    "/logs*",
)
ASKED_PATHS = (*PATHS, "/logs/", "/logs/b/c", "/metrics/", "/lo", "/logs", "//", "/")
#: Whom Kubernetes' own bindings name, and what some of them may do.
SYSTEM_USERS = (
    "system:kube-scheduler",
    "system:kube-controller-manager",
    "system:serviceaccount:kube-system:job-controller",
    "system:serviceaccount:kube-system:generic-garbage-collector",
)
SYSTEM_GROUPS = ("system:monitoring", "system:Masters")
FEEDS = "oracle.example.com/feeds"


@dataclass(frozen=True)
class World:
    """Roles and bindings under one prefix, and the names that occur in them."""

    prefix: str
    objects: tuple[dict[str, Any], ...]
    namespaces: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]


def random_world(rng: random.Random, prefix: str, *, roles: int = 12, bindings: int = 60) -> World:
    """Make a world that a real API server accepts; some bindings refer to roles that don't exist, some roles aggregate.

    Aggregated roles have no rules yet: a controller fills them.
    """
    namespaces = (f"{prefix}-a", f"{prefix}-b")
    accounts = [(namespace, name) for namespace in namespaces for name in ("default", "robot")]
    users = (
        f"{prefix}-jane",
        f"{prefix}-joe",
        f"{prefix}-Jane",
        f"system:serviceaccount:{prefix}-a:robot:x",
        f"system:serviceaccount:{prefix}-a",
        *(f"system:serviceaccount:{ns}:{name}" for ns, name in accounts),
    )
    groups = (f"{prefix}-ops", f"{prefix}-Ops", *(f"system:serviceaccounts:{ns}" for ns in namespaces))
    subjects = [f"User {u}" for u in users] + [f"Group {g}" for g in groups]
    subjects += [f"ServiceAccount {ns}/{name}" for ns, name in accounts]
    objects: list[dict[str, Any]] = []
    for number in range(roles):
        name = f"{prefix}-{number}"
        labels = {FEEDS: f"{prefix}-{rng.randrange(3)}"} if rng.random() < 0.5 else {}
        objects.append(cluster_role(name, *_rules(rng, with_paths=True), labels=labels))
        objects.append(role(name, *_rules(rng, with_paths=False), namespace=rng.choice(namespaces)))
    objects += [
        _aggregated(f"{prefix}-all-{number}", f"{prefix}-{number}", f"{prefix}-all-{number + 1}") for number in range(3)
    ]
    # One in seven names a role that is not there.
    named = [*(f"{prefix}-{number}" for number in range(roles * 7 // 6)), *(f"{prefix}-all-{n}" for n in range(3))]
    for number in range(bindings):
        name, chosen = rng.choice(named), rng.sample(subjects, rng.randint(0, 4))
        namespace = rng.choice((*namespaces, *namespaces, ""))
        kind = rng.choice(("Role", "ClusterRole")) if namespace else "ClusterRole"
        objects.append(binding(f"{kind} {name}", *chosen, namespace=namespace, name=f"{prefix}-{number}"))
    return World(prefix, tuple(objects), namespaces, users, groups)


def _aggregated(name: str, *fed_by: str) -> dict[str, Any]:
    """Make a ClusterRole that gathers the rules of those labelled for it; it feeds others by its own label."""
    selectors = [{"matchLabels": {FEEDS: value}} for value in fed_by]
    return cluster_role(name, labels={FEEDS: name}) | {"aggregationRule": {"clusterRoleSelectors": selectors}}


def _rules(rng: random.Random, *, with_paths: bool) -> list[dict[str, Any]]:
    return [_rule(rng, with_paths=with_paths) for _ in range(rng.randint(0, 3))]


def _rule(rng: random.Random, *, with_paths: bool) -> dict[str, Any]:
    verbs = {"verbs": _some(rng, VERBS)}
    if with_paths and rng.random() < 0.3:
        return verbs | {"nonResourceURLs": _some(rng, PATHS)}
    named = {"resourceNames": _some(rng, NAMES)} if rng.random() < 0.3 else {}
    return verbs | {"apiGroups": _some(rng, GROUPS), "resources": _some(rng, RESOURCES)} | named


def _some(rng: random.Random, words: Sequence[str]) -> list[str]:
    return rng.sample(words, rng.randint(1, 3))


def random_request(rng: random.Random, world: World) -> Request:
    """Ask something that the world may have a rule for."""
    verb = rng.choice(VERBS)
    if rng.random() < 0.2:
        return Request(verb=verb, path=rng.choice(ASKED_PATHS))
    resource, _, subresource = rng.choice(RESOURCES).partition("/")
    return Request(
        verb=verb,
        group=rng.choice(GROUPS),
        resource=resource,
        subresource=subresource,
        name=rng.choice(("", "", *NAMES)),
        namespace=rng.choice((*world.namespaces, "", world.namespaces[0].upper())),
    )


def random_identity(rng: random.Random, world: World) -> Identity:
    """Choose a user with any of the groups, as a SubjectAccessReview may; sometimes a stranger, or nobody."""
    groups = frozenset(rng.sample(world.groups, rng.randint(0, 2)))
    if rng.random() < 0.02:
        return Identity(rng.choice(SYSTEM_USERS), groups | {rng.choice(SYSTEM_GROUPS)})
    if rng.random() < 0.01:
        groups |= {MASTERS}
    nobody = [""] if groups else []  # a review must name someone
    return Identity(rng.choice((*world.users, *world.users, f"{world.prefix}-stranger", *nobody)), groups)
