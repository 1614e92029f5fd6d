"""The API server as the oracle: makes random worlds in it, and asks it thousands of SubjectAccessReviews."""

import http.client
import random
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from scanner.analysis.rbac.answers import can
from scanner.analysis.rbac.requests import Identity, Request
from scanner.model.snapshot import Snapshot, SourceKind
from tests.analysis.rbac.worlds import World, random_identity, random_request, random_world
from tests.builders import binding, cluster_role, role, rule, snapshot
from tests.services import ControlPlane

T = TypeVar("T")
R = TypeVar("R")

#: Who wants to do what.
Question = tuple[Identity, Request]

RBAC_PATH = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
KINDS = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
#: The authorizer's caches follow a write within milliseconds; a busy machine may need seconds.
SETTLE_SECONDS = 60.0
#: More threads only wait for each other: making and reading JSON takes most of the time.
THREADS = 4
QUESTIONS_A_WORLD = 1000


class ApiServer:
    """Calls the test control plane as its administrator, each thread over a connection of its own."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._host = urlsplit(control_plane.url).netloc
        self._context = ssl.create_default_context(cafile=control_plane.ca_file)
        self._headers = {"Authorization": f"Bearer {control_plane.token}", "Content-Type": "application/json"}
        self._local = threading.local()
        self._open: list[http.client.HTTPSConnection] = []
        self._pool = ThreadPoolExecutor(THREADS)

    def __enter__(self) -> Self:
        """Open it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._pool.shutdown()
        for connection in self._open:
            connection.close()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Make one request and return the decoded answer; raises `AssertionError` if it is refused."""
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer, text = self._exchange(method, path, content)
        except http.client.RemoteDisconnected:  # the API server closes connections that were idle for 90 seconds
            self._connection().close()
            answer, text = self._exchange(method, path, content)
        assert answer.status < http.client.BAD_REQUEST, f"{method} {path}: {answer.status} {text!r}"
        return msgspec.json.decode(text)

    def each(self, do: Callable[[T], R], things: Iterable[T]) -> list[R]:
        """Do something for each of many things, several at a time; the results come in order."""
        return list(self._pool.map(do, things))

    def review(self, question: Question) -> bool:
        """Ask whether someone may do something."""
        return bool(self.call("POST", REVIEWS, {"spec": spec_of(*question)})["status"]["allowed"])

    def _exchange(self, method: str, path: str, content: bytes | None) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection()
        connection.request(method, path, content, self._headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def _connection(self) -> http.client.HTTPSConnection:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=60)
            self._open.append(self._local.connection)
        found: http.client.HTTPSConnection = self._local.connection
        return found


def spec_of(identity: Identity, request: Request) -> dict[str, Any]:
    """Write a question as the spec of a SubjectAccessReview."""
    spec: dict[str, Any] = {"user": identity.user, "groups": sorted(identity.groups)}
    if request.path is not None:
        return spec | {"nonResourceAttributes": {"verb": request.verb, "path": request.path}}
    names = ("verb", "group", "resource", "subresource", "name", "namespace")
    return spec | {"resourceAttributes": {name: getattr(request, name) for name in names}}


@dataclass(frozen=True)
class Comparison:
    """What came of many questions: how often the API server said yes, and where we said otherwise."""

    seed: int
    worlds: int
    questions: int
    allowed: int
    differences: tuple[tuple[SourceKind, Question, bool], ...]
    seconds: float

    def __str__(self) -> str:
        """Say it in one line."""
        return (
            f"oracle: {self.worlds} worlds, {self.questions:,} SubjectAccessReviews, "
            f"{self.allowed / self.questions:.1%} yes, {len(self.differences)} differences, "
            f"{self.seconds:.0f} s, seed {self.seed}"
        )


def compare(control_plane: ControlPlane, questions: int, seed: int) -> Comparison:
    """Ask many random questions about random worlds, and compare the API server's answers with ours.

    Ours are given twice: of the worlds read back from the API server all together, as a scan would, and of each world
    taken as the files that it was made from.
    """
    started = time.monotonic()
    rng = random.Random(seed)
    run = uuid.uuid4().hex[:8]
    worlds = [random_world(rng, f"oracle-{run}-{number}") for number in range(max(1, questions // QUESTIONS_A_WORLD))]
    asked = [(world, question) for world in worlds for question in _questions(rng, world, questions // len(worlds))]
    with ApiServer(control_plane) as server, created(server, worlds):
        theirs = server.each(lambda ask: server.review(ask[1]), asked)
        live = snapshot(*stored(server))
    files = {world.prefix: snapshot(*world.objects, source=SourceKind.MANIFESTS) for world in worlds}
    differences = [
        (seen.source, question, real)
        for (world, question), real in zip(asked, theirs, strict=True)
        for seen in (live, files[world.prefix])
        if _ours(seen, question) != real
    ]
    return Comparison(seed, len(worlds), len(asked), sum(theirs), tuple(differences), time.monotonic() - started)


def _ours(seen: Snapshot, question: Question) -> bool:
    return can(seen, *question).is_allowed


def _questions(rng: random.Random, world: World, number: int) -> Iterator[Question]:
    return ((random_identity(rng, world), random_request(rng, world)) for _ in range(number))


def stored(server: ApiServer) -> list[dict[str, Any]]:
    """Read back all roles and bindings that the API server holds, as a scan would."""
    return [
        item | {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind}
        for kind, plural in KINDS.items()
        for item in server.call("GET", f"{RBAC_PATH}/{plural}")["items"]
    ]


@contextmanager
def created(server: ApiServer, worlds: Sequence[World]) -> Iterator[None]:
    """Create worlds, wait until the authorizer knows all of them, and remove them afterwards."""
    marks = _marks(worlds[-1])
    made = [o for world in worlds for o in world.objects]
    namespaces = [name for world in worlds for name in world.namespaces]
    try:
        server.each(lambda name: server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}), namespaces)
        server.each(lambda o: server.call("POST", folder_of(o), o), made)
        _aggregate(server, made)
        for mark in marks:
            server.call("POST", folder_of(mark), mark)
        _wait_for_marks(server, worlds[-1])
        yield
    finally:
        # Deleted one by one: of a world that was made in part, each that is there goes.
        server.each(lambda path: _delete(server, path), [_path_of(o) for o in (*made, *marks)])
        server.each(lambda path: _delete(server, path), [f"/api/v1/namespaces/{name}" for name in namespaces])


def _aggregate(server: ApiServer, made: Iterable[Mapping[str, Any]]) -> None:
    """Do what the aggregation controller does, which is no part of the API server: let that select, and copy the rules.

    Like the controller it goes on until nothing changes, since what one gathers feeds another.
    """
    gathering = [o for o in made if "aggregationRule" in o]
    changed = True
    while changed:
        changed = any([_gather(server, o) for o in gathering])  # noqa: C419 - every one of them, not until the first


def _gather(server: ApiServer, o: Mapping[str, Any]) -> bool:
    """Write the rules of the selected ClusterRoles into one that aggregates, and tell whether that changed it."""
    current = server.call("GET", _path_of(o))
    rules: list[Any] = []
    for selector in o["aggregationRule"]["clusterRoleSelectors"]:
        labels = ",".join(f"{key}={value}" for key, value in selector["matchLabels"].items())
        selected = server.call("GET", f"{RBAC_PATH}/clusterroles?labelSelector={quote(labels)}")["items"]
        for feeder in sorted(selected, key=lambda found: found["metadata"]["name"]):
            if feeder["metadata"]["name"] != o["metadata"]["name"]:
                rules += [found for found in feeder["rules"] or [] if found not in rules]
    if rules == (current["rules"] or []):
        return False
    server.call("PUT", _path_of(o), current | {"rules": rules})
    return True


def _marks(world: World) -> tuple[dict[str, Any], ...]:
    """Make the last object of each kind: who sees all four has seen everything before them."""
    name, namespace = f"{world.prefix}-last", world.namespaces[-1]
    return (
        cluster_role(name, rule("get", urls="/last")),
        role(name, rule("get", "lasts"), namespace=namespace),
        binding(f"ClusterRole {name}", f"User {name}", name=name),
        binding(f"Role {name}", f"User {name}", namespace=namespace, name=name),
    )


def _wait_for_marks(server: ApiServer, world: World) -> None:
    """Return once the API server knows the marks: it answers from caches that follow each kind in order."""
    who = Identity(f"{world.prefix}-last")
    deadline = time.monotonic() + SETTLE_SECONDS
    for request in (
        Request(verb="get", path="/last"),
        Request(verb="get", resource="lasts", namespace=world.namespaces[-1]),
    ):
        while not server.review((who, request)):
            assert time.monotonic() < deadline, f"the authorizer never saw {request}"


def folder_of(o: Mapping[str, Any]) -> str:
    """Return the collection that a role or binding belongs to."""
    namespace = o["metadata"].get("namespace", "")
    place = f"namespaces/{namespace}/" if namespace else ""
    return f"{RBAC_PATH}/{place}{KINDS[o['kind']]}"


def _path_of(o: Mapping[str, Any]) -> str:
    return f"{folder_of(o)}/{o['metadata']['name']}"


def _delete(server: ApiServer, path: str) -> None:
    try:
        server.call("DELETE", path)
    except AssertionError as error:
        assert ": 404 " in str(error), error  # noqa: PT017 - what was never made needs no removal
