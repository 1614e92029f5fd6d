"""Random RBAC worlds and questions, made so that yes and no are both common."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scanner.analysis.rbac.requests import Identity, Request
from tests.builders import binding, cluster_role, role, rule

#: Few words, so that rules, names and questions meet; the odd ones are where matching goes wrong.
VERBS = ("get", "list", "create", "update", "impersonate", "*")
GROUPS = ("", "apps", "rbac.authorization.k8s.io", "*")
RESOURCES = (
    "pods",
    "pods/exec",
    "pods/*",
    "*/scale",
    "*/exec",
    "*",
    "secrets",
    "deployments",
    "deployments/scale",
    "users",
)
NAMES = ("one", "two")
PATHS = ("/metrics", "/logs/*", "/logs/a", "/healthz", "/api/*", "/lo*gs", "*", "/**")


@dataclass(frozen=True)
class World:
    """Roles and bindings under one prefix, and the names that occur in them."""

    prefix: str
    objects: tuple[dict[str, Any], ...]
    namespaces: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]


def random_world(rng: random.Random, prefix: str, *, roles: int = 12, bindings: int = 60) -> World:
    """Make a world that a real API server accepts; some bindings refer to roles that don't exist."""
    namespaces = (f"{prefix}-a", f"{prefix}-b")
    accounts = [(namespace, name) for namespace in namespaces for name in ("default", "robot")]
    users = (f"{prefix}-jane", f"{prefix}-joe", *(f"system:serviceaccount:{ns}:{name}" for ns, name in accounts))
    groups = (f"{prefix}-ops", *(f"system:serviceaccounts:{ns}" for ns in namespaces))
    subjects = [f"User {u}" for u in users] + [f"Group {g}" for g in groups]
    subjects += [f"ServiceAccount {ns}/{name}" for ns, name in accounts]
    objects: list[dict[str, Any]] = []
    for number in range(roles):
        name = f"{prefix}-{number}"
        objects.append(cluster_role(name, *_rules(rng, with_paths=True)))
        objects.append(role(name, *_rules(rng, with_paths=False), namespace=rng.choice(namespaces)))
    for number in range(bindings):
        # One in seven names a role that is not there.
        name, chosen = f"{prefix}-{rng.randrange(roles * 7 // 6)}", rng.sample(subjects, rng.randint(0, 4))
        namespace = rng.choice((*namespaces, *namespaces, ""))
        kind = rng.choice(("Role", "ClusterRole")) if namespace else "ClusterRole"
        objects.append(binding(f"{kind} {name}", *chosen, namespace=namespace, name=f"{prefix}-{number}"))
    return World(prefix, tuple(objects), namespaces, users, groups)


def _rules(rng: random.Random, *, with_paths: bool) -> list[dict[str, Any]]:
    return [_rule(rng, with_paths=with_paths) for _ in range(rng.randint(0, 3))]


def _rule(rng: random.Random, *, with_paths: bool) -> dict[str, Any]:
    verbs = _some(rng, VERBS)
    if with_paths and rng.random() < 0.3:
        return rule(verbs, urls=_some(rng, PATHS))
    made = rule(verbs, _some(rng, RESOURCES), names=_some(rng, NAMES) if rng.random() < 0.3 else "")
    return made | {"apiGroups": rng.sample(GROUPS, rng.randint(1, 2))}


def _some(rng: random.Random, words: Sequence[str]) -> str:
    return " ".join(rng.sample(words, rng.randint(1, 2)))


def random_request(rng: random.Random, world: World) -> Request:
    """Ask something that the world may have a rule for."""
    verb = rng.choice(VERBS)
    if rng.random() < 0.2:
        return Request(verb=verb, path=rng.choice((*PATHS, "/logs/", "/logs/b/c", "/metrics/", "/lo")))
    resource, _, subresource = rng.choice(RESOURCES).partition("/")
    return Request(
        verb=verb,
        group=rng.choice(GROUPS),
        resource=resource,
        subresource=subresource,
        name=rng.choice(("", "", *NAMES)),
        namespace=rng.choice((*world.namespaces, "")),
    )


def random_identity(rng: random.Random, world: World) -> Identity:
    """Choose a user with any of the groups, as a SubjectAccessReview may; sometimes a stranger."""
    user = rng.choice((*world.users, f"{world.prefix}-stranger"))
    return Identity(user, frozenset(rng.sample(world.groups, rng.randint(0, 2))))
