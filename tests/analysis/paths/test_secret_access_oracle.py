"""Direct access is what a real API server grants, and what its answers hold."""

import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from scanner.analysis.paths.secret_access import SecretAccess, secret_paths
from scanner.analysis.paths.secret_rights import DIRECT, Means, rights_of
from scanner.analysis.rbac.requests import Identity, Request, identity_of, subjects_of
from scanner.model.secret import SecretRef
from scanner.model.snapshot import Snapshot
from tests.analysis.paths.builders import secret
from tests.analysis.rbac.kube import Client
from tests.analysis.rbac.oracle import ApiServer, created, stored
from tests.analysis.rbac.worlds import World, random_world
from tests.builders import binding, cluster_role, role, rule, snapshot
from tests.services import ControlPlane

NAMES = ("db", "api-key", "tls")
VERBS = tuple(means.value for means in DIRECT)


def _world(rng: random.Random, prefix: str) -> World:
    """Make a random world whose rules are mostly about Secrets, some by name."""
    world = random_world(rng, prefix, roles=6, bindings=20)
    subjects = [*(f"User {u}" for u in world.users[:3]), *(f"Group {g}" for g in world.groups)]
    subjects += [f"ServiceAccount {ns}/robot" for ns in world.namespaces]
    return replace(world, objects=(*world.objects, *_about_secrets(rng, world, subjects)))


def _about_secrets(rng: random.Random, world: World, subjects: list[str]) -> Iterator[dict[str, Any]]:
    for number in range(10):
        name, namespace = f"{world.prefix}-secrets-{number}", rng.choice(world.namespaces)
        verbs = " ".join(rng.sample([*VERBS, "create", "update", "*"], 2))
        names = " ".join(rng.sample([*NAMES, "other"], 2)) if rng.random() < 0.6 else ""
        wanted = rule(verbs, rng.choice(["secrets", "secrets pods", "*", "secrets/status"]), names=names)
        who = rng.sample(subjects, 2)
        if rng.random() < 0.3:
            yield cluster_role(name, wanted)
            yield binding(f"ClusterRole {name}", *who, namespace=rng.choice(["", namespace]), name=name)
        else:
            yield role(name, wanted, namespace=namespace)
            yield binding(f"Role {name}", *who, namespace=namespace, name=name)


def _reads(seen: Snapshot, access: SecretAccess, identity: Identity, verb: str) -> bool:
    """Tell whether our map says that an identity gets a Secret by a verb."""
    holders = {
        reach.subject
        for reach in access.reaches
        if any(route.is_direct and route.means is Means(verb) for route in reach.routes)
    }
    return any(s in holders or s in rights_of(seen).masters for s in subjects_of(identity))


@pytest.mark.control_plane
def test_direct_access_equals_subject_access_reviews(control_plane: ControlPlane) -> None:
    """Every identity, by every verb that answers with it, for every Secret of random worlds; and both answers occur."""
    rng = random.Random(7)
    run = uuid.uuid4().hex[:8]
    worlds = [_world(rng, f"secrets-{run}-{number}") for number in range(3)]
    asked = [
        (identity_of(user, groups), namespace, name, verb)
        for world in worlds
        for user in world.users
        for groups in (frozenset[str](), frozenset(world.groups[:1]))
        for namespace in world.namespaces
        for name in NAMES
        for verb in VERBS
    ]

    def review(server: ApiServer, question: tuple[Identity, str, str, str]) -> bool:
        identity, namespace, name, verb = question
        named = "" if verb == Means.DELETE_COLLECTION else name  # the path of a collection names no object
        return server.review((identity, Request(verb=verb, resource="secrets", name=named, namespace=namespace)))

    with ApiServer(control_plane) as server, created(server, worlds):
        theirs = server.each(lambda question: review(server, question), asked)
        known = [secret(name, ns) for world in worlds for ns in world.namespaces for name in NAMES]
        seen = snapshot(*stored(server), *known)
    paths = secret_paths(seen)
    accesses = {known.ref: paths.access(known) for known in paths.world.secrets}
    ours = [_reads(seen, accesses[SecretRef(ns, name)], who, verb) for who, ns, name, verb in asked]
    different = [question for question, a, b in zip(asked, theirs, ours, strict=True) if a != b]
    assert not different, f"{len(different)} of {len(asked)}: {different[:5]}"
    assert 0.05 < sum(theirs) / len(theirs) < 0.95


@pytest.mark.control_plane
def test_which_verbs_answer_with_the_value(control_plane: ControlPlane) -> None:
    """A patch and a deleted collection come back with their data, an update or a deletion does not."""
    folder = "/api/v1/namespaces/default/secrets"
    hidden = "aGlkZGVu"

    def make(client: Client) -> str:
        name = f"plimsoll-answers-{uuid.uuid4().hex[:8]}"
        client.call("POST", folder, {"metadata": {"name": name, "labels": {"answers": name}}, "data": {"k": hidden}})
        return name

    answers: dict[str, bool] = {}
    with Client(control_plane) as client:
        name = make(client)
        label = {"apiVersion": "v1", "kind": "Secret", "metadata": {"labels": {"more": "1"}}}
        answers["patch"] = hidden in str(client.apply(f"{folder}/{name}", label))
        selected = f"{folder}?labelSelector=answers%3D{name}"
        answers["deletecollection"] = hidden in str(client.call("DELETE", selected))
        name = make(client)
        answers["update"] = hidden in str(client.call("PUT", f"{folder}/{name}", {"metadata": {"name": name}}))
        client.call("DELETE", f"{folder}/{name}")
        name = make(client)
        answers["delete"] = hidden in str(client.call("DELETE", f"{folder}/{name}"))
    assert answers == {"patch": True, "deletecollection": True, "update": False, "delete": False}
