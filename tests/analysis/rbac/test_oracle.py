"""The authorizer says what a real API server says: every answer is compared with a SubjectAccessReview."""

import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from scanner.analysis.rbac.authorizer import Verdict, authorizer_of
from scanner.analysis.rbac.requests import MASTERS, Identity, Request, identity_of
from scanner.model.snapshot import SourceKind
from tests.analysis.rbac.kube import RBAC_PATH, Client
from tests.analysis.rbac.worlds import World, random_identity, random_request, random_world
from tests.builders import binding, cluster_role, role, rule, snapshot
from tests.services import ControlPlane

QUESTIONS = 1000
#: The authorizer's caches follow a write within milliseconds; a busy machine may need seconds.
SETTLE_SECONDS = 30.0
KINDS = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}


@pytest.mark.control_plane
def test_every_answer_is_that_of_a_subject_access_review(control_plane: ControlPlane) -> None:
    """A thousand random questions about a random world get the API server's answers, without one difference.

    The world is read back from the API server, and taken as the files that it was made from: both answer alike.
    """
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - what makes a failure repeatable
    rng = random.Random(seed)
    world = random_world(rng, f"oracle-{uuid.uuid4().hex[:8]}")
    asked = [(random_identity(rng, world), random_request(rng, world)) for _ in range(QUESTIONS)]
    with Client(control_plane) as client, _created(client, world):
        with ThreadPoolExecutor(4) as pool:
            theirs = list(pool.map(lambda question: _review(client, *question), asked))
        live = snapshot(*_stored(client))
    files = snapshot(*world.objects, source=SourceKind.MANIFESTS)
    differences = [
        (seen.source, question, real)
        for seen in (live, files)
        for question, real in zip(asked, theirs, strict=True)
        if authorizer_of(seen).can(*question).is_allowed != real
    ]
    assert not differences, f"seed {seed}: {differences[:5]}"
    assert 20 < sum(theirs) < QUESTIONS - 20, "both answers must be common, or nothing was tried"


@pytest.mark.control_plane
def test_members_of_masters_may_do_everything(control_plane: ControlPlane) -> None:
    """No binding is needed: the API server lets `system:masters` pass before RBAC, and so do we."""
    identity, request = Identity("jane", frozenset({MASTERS})), Request(verb="get", path="/anything")
    with Client(control_plane) as client:
        assert _review(client, identity, request)
    assert authorizer_of(snapshot()).can(identity, request).verdict is Verdict.ALLOWED


@pytest.mark.control_plane
@pytest.mark.parametrize("user", ["jane", "system:serviceaccount:shop:robot"])
def test_groups_come_as_authentication_adds_them(control_plane: ControlPlane, user: str) -> None:
    """Someone of this name has, for the API server itself, the groups that we assume."""
    with Client(control_plane) as client:
        review = client.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, user=user)
    assert frozenset(review["status"]["userInfo"]["groups"]) == identity_of(user).groups


def _review(client: Client, identity: Identity, request: Request) -> bool:
    spec: dict[str, Any] = {"user": identity.user, "groups": sorted(identity.groups)}
    if request.path is not None:
        spec["nonResourceAttributes"] = {"verb": request.verb, "path": request.path}
    else:
        names = ("verb", "group", "resource", "subresource", "name", "namespace")
        spec["resourceAttributes"] = {name: getattr(request, name) for name in names}
    answer = client.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(answer["status"]["allowed"])


def _stored(client: Client) -> list[dict[str, Any]]:
    """Read back all that the API server holds, as a scan would."""
    return [
        item | {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind}
        for kind, plural in KINDS.items()
        for item in client.call("GET", f"{RBAC_PATH}/{plural}")["items"]
    ]


@contextmanager
def _created(client: Client, world: World) -> Iterator[None]:
    """Create a world, wait until the authorizer knows all of it, and remove it afterwards."""
    sentinel = f"{world.prefix}-last"
    namespace = world.namespaces[-1]
    marks = (
        cluster_role(sentinel, rule("get", urls="/last")),
        role(sentinel, rule("get", "lasts"), namespace=namespace),
        binding(f"ClusterRole {sentinel}", f"User {sentinel}", name=sentinel),
        binding(f"Role {sentinel}", f"User {sentinel}", namespace=namespace, name=sentinel),
    )
    for name in world.namespaces:
        client.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    made = [*world.objects, *marks]
    try:
        for o in made:
            client.call("POST", _folder(o), o)
        who = Identity(sentinel)
        _wait_for(client, who, Request(verb="get", path="/last"))
        _wait_for(client, who, Request(verb="get", resource="lasts", namespace=namespace))
        yield
    finally:
        for o in made:
            client.call("DELETE", f"{_folder(o)}/{o['metadata']['name']}")
        for name in world.namespaces:
            client.call("DELETE", f"/api/v1/namespaces/{name}")


def _folder(o: dict[str, Any]) -> str:
    namespace = o["metadata"].get("namespace", "")
    return f"{RBAC_PATH}/namespaces/{namespace}/{KINDS[o['kind']]}" if namespace else f"{RBAC_PATH}/{KINDS[o['kind']]}"


def _wait_for(client: Client, identity: Identity, request: Request) -> None:
    """Return once the API server allows a request: it answers from caches that follow each kind in order."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while not _review(client, identity, request):
        assert time.monotonic() < deadline, f"the authorizer never saw {request}"
