"""What a primitive is, and how it is tried on a real API server.

In every text of a primitive, names and paths alike, `$NS` stands for a namespace of its own, so that tests run side by
side; names of what has no namespace contain it too (`$NS-role`). The attacker is the service account `robot` there,
with a token of its own, no rights but those given, and the groups that come by themselves.
"""

import enum
import importlib
import pkgutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, TypeVar

import httpx
import msgspec

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.requests import identity_of, user_of
from scanner.model.finding import Outcome
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policy
from tests import builders
from tests.builders import NOW, binding, cluster_role
from tests.kube import Kube
from tests.policies.fixtures import ROOT

T = TypeVar("T")
NS = "$NS"
ROBOT = "ServiceAccount $NS/robot"
#: The authorizer's caches follow a write within milliseconds; a busy machine may need seconds.
SETTLE_SECONDS = 30.0


class Gain(enum.StrEnum):
    """What the holder of a primitive gets, greatest first."""

    CLUSTER_ADMIN = "cluster-admin"
    NODE = "a node"
    SECRETS_EVERYWHERE = "all Secrets of the cluster"
    NAMESPACE = "a namespace with its Secrets"
    TRAFFIC = "traffic of others"
    SECRETS = "all Secrets of a namespace"
    IDENTITY = "one identity"
    DENIAL = "denial of service"
    READING = "reading"
    PERSISTENCE = "keeping or sharing what it has"


class DeniedError(Exception):
    """The API server said 403, or what it gave was not what the attacker was after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Rules bound to someone: everywhere, or by a RoleBinding where a namespace is given."""

    rules: tuple[Mapping[str, Any], ...] = ()
    namespace: str = ""
    to: str = ROBOT
    #: Instead of rules: a ClusterRole that every cluster has.
    role: str = ""


def everywhere(*rules: Mapping[str, Any], to: str = ROBOT) -> Grant:
    """Grant rules by a ClusterRoleBinding."""
    return Grant(rules=rules, to=to)


def within(*rules: Mapping[str, Any], namespace: str = NS, to: str = ROBOT) -> Grant:
    """Grant rules by a RoleBinding."""
    return Grant(rules=rules, namespace=namespace, to=to)


@dataclass(frozen=True)
class Attacker:
    """Talks to the API server with the token of its service account, and nothing else."""

    client: httpx.Client
    namespace: str
    token: str

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        dry_run: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Make one request and return the decoded answer, or its text; `$NS` is replaced everywhere.

        A body is sent as JSON, by PATCH as a merge patch. `headers` add to the attacker's own or replace them; an empty
        `Authorization` makes the request anonymous.
        Raises `DeniedError` for 403; anything else that fails is the test's fault.
        """
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = self.client.build_request(
            method,
            self.named(path),
            params={"dryRun": "All"} if dry_run else None,
            content=None if body is None else msgspec.json.encode(self.named(body)),
        )
        request.headers.update(
            {"Authorization": f"Bearer {self.token}", "Content-Type": kind} | self.named(dict(headers or {}))
        )
        if not request.headers["Authorization"]:
            del request.headers["Authorization"]  # the client's own is the administrator's
        answer = self.client.send(request)
        if answer.status_code == HTTPStatus.FORBIDDEN:
            raise DeniedError(answer.text)
        assert answer.is_success, f"{method} {request.url}: {answer.status_code} {answer.text}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.content

    def named(self, value: T) -> T:
        """Put the namespace in the place of `$NS`."""
        return named(value, self.namespace)


#: One thing that the attacker does; raises `DeniedError` if it is refused or gains nothing.
Step = Callable[[Attacker], object]


def call(
    method: str,
    path: str,
    body: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    dry_run: bool = False,
    headers: Mapping[str, str] | None = None,
) -> Step:
    """Make a step of one request."""
    return lambda attacker: attacker.call(method, path, body, dry_run=dry_run, headers=headers)


def reads(step: Step, text: str) -> Step:
    """Make a step that counts only if its answer holds a text."""

    def read(attacker: Attacker) -> None:
        if attacker.named(text) not in str(step(attacker)):
            raise DeniedError(f"{text} is not in the answer")

    return read


def eventually(step: Step) -> Step:
    """Make a step that follows a change of rights, which the authorizer takes in a moment later."""

    def wait(attacker: Attacker) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not _succeeds(attacker, (step,)):
            assert time.monotonic() < deadline, "it never succeeded"

    return wait


def may(verb: str, resource: str, *, group: str = "", name: str = "", namespace: str = "") -> Step:
    """Make a step that asks the API server whether it would let the attacker do something (`pods/exec` on a name)."""
    plural, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
        "name": name,
        "namespace": namespace,
    }

    def ask(attacker: Attacker) -> None:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        review = {"spec": {"resourceAttributes": attributes}}
        if not attacker.call("POST", path, review)["status"]["allowed"]:
            raise DeniedError(f"may not {verb} {resource} {name}")

    return ask


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A grant that looks like the primitive and yields nothing."""

    #: What is missing, as an end of the sentence "no gain: …".
    why: str
    given: tuple[Grant, ...]
    #: What is tried; what the primitive does if empty.
    attempt: tuple[Step, ...] = ()
    #: What exists besides; what the primitive has if empty.
    world: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """A right, or several together, that yield something; one row of the table."""

    #: Rows of the list of primitives that it stands for: `8`, `20-22`.
    rows: str
    #: In words: `create serviceaccounts/token`.
    name: str
    policy: str
    gains: Gain
    #: What the policy must say of it.
    severity: Severity
    given: tuple[Grant, ...]
    attempt: tuple[Step, ...]
    near_misses: tuple[NearMiss, ...]
    #: What exists besides, made by the administrator. In namespaces other than `$NS` it may exist already, and stays.
    world: tuple[Mapping[str, Any], ...] = ()
    #: Paths of what the attacker leaves behind outside of `$NS`.
    leaves: tuple[str, ...] = ()
    #: Which resource the policy must fail for.
    about: str = ROBOT
    #: Why the API server alone cannot show the gain; the steps then show only what it would allow or take.
    not_executable: str = ""
    #: What the scan is told of the cluster's release.
    server_version: str = "v1.37.2"

    def __str__(self) -> str:
        """Name it by its rows and its words."""
        return f"{self.rows} {self.name}"


@dataclass(frozen=True, slots=True)
class Case:
    """One execution: of the primitive itself, or of a near miss."""

    primitive: Primitive
    near_miss: NearMiss | None = None

    def __str__(self) -> str:
        """Name the test."""
        return f"{self.primitive}: {f'not {self.near_miss.why}' if self.near_miss else 'gains'}"

    @property
    def given(self) -> tuple[Grant, ...]:
        """Who is granted what."""
        return self.near_miss.given if self.near_miss else self.primitive.given

    @property
    def attempt(self) -> tuple[Step, ...]:
        """What the attacker does."""
        return (self.near_miss.attempt if self.near_miss else ()) or self.primitive.attempt

    @property
    def world(self) -> tuple[Mapping[str, Any], ...]:
        """What exists besides."""
        return (self.near_miss.world if self.near_miss else ()) or self.primitive.world


def all_primitives() -> tuple[Primitive, ...]:
    """Return the primitives of all modules beside this one, by their rows."""
    package = importlib.import_module(__package__ or "")
    modules = (importlib.import_module(f"{__package__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found = (p for module in modules for p in getattr(module, "PRIMITIVES", ()))
    return tuple(sorted(found, key=lambda p: (int(p.rows.replace(",", "-").split("-")[0]), p.rows, p.name)))


def cases_of(primitives: Sequence[Primitive]) -> tuple[Case, ...]:
    """Return what is to execute."""
    return tuple(Case(p, near_miss) for p in primitives for near_miss in (None, *p.near_misses))


@dataclass(frozen=True, slots=True)
class Observed:
    """What the API server and the policy said."""

    #: Whether every step went through.
    gained: bool
    #: Severity of the policy's finding; None without one.
    finding: Severity | None


def expected(case: Case) -> Observed:
    """Return what both must say."""
    return (
        Observed(gained=False, finding=None)
        if case.near_miss
        else Observed(gained=True, finding=case.primitive.severity)
    )


def observe(server: Kube, case: Case) -> Observed:
    """Set a case up, let the attacker try, judge the same grants by the policy, and tidy up."""
    namespace = f"primitive-{uuid.uuid4().hex[:8]}"
    granted = [o for number, grant in enumerate(case.given) for o in _objects(grant, number)]
    granted = named(granted, namespace)
    with _set_up(server, case, namespace, granted) as attacker:
        gained = _succeeds(attacker, case.attempt)
    judged = evaluate(
        builders.snapshot(
            *_bootstrap(),
            *granted,
            *named(case.world, namespace),
            # Where the attacker sits: a right that no pod carries would be less severe.
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "robot", "namespace": namespace},
                "spec": {"serviceAccountName": "robot", "containers": [builders.container()]},
            },
            server_version=case.primitive.server_version,
        ),
        [_policy(case.primitive.policy)],
        now=NOW,
    )
    about = named(case.primitive.about, namespace)
    found = [f.severity for f in judged.findings if f.outcome is Outcome.FAIL and str(f.resource) == about]
    return Observed(gained, found[0] if found else None)


def named(value: T, namespace: str) -> T:
    """Put a namespace in the place of `$NS` in a JSON value."""
    text = msgspec.json.encode(value).decode().replace(NS, namespace)
    result: T = msgspec.json.decode(text)
    return tuple(result) if isinstance(value, tuple) and isinstance(result, list) else result  # type: ignore[return-value]  # JSON knows no tuples


@contextmanager
def _set_up(server: Kube, case: Case, namespace: str, granted: Sequence[Mapping[str, Any]]) -> Iterator[Attacker]:
    place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    robot = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": namespace}}
    with ExitStack() as undo:
        for thing in (place, robot, *named(case.world, namespace), *granted):
            _create(server, thing, namespace, undo)
        for path in named(case.primitive.leaves, namespace):
            undo.callback(server.client.delete, path)
        answer = server.client.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/robot/token", json={"spec": {}})
        answer.raise_for_status()
        for grant in case.given:
            _wait_until_known(server, grant, namespace)
        yield Attacker(server.client, namespace, answer.json()["status"]["token"])


def _create(server: Kube, thing: Mapping[str, Any], namespace: str, undo: ExitStack) -> None:
    answer = server.create(thing)
    where = thing["metadata"].get("namespace", "")
    if answer.status_code == HTTPStatus.CONFLICT and where not in {"", namespace}:
        return
    assert answer.is_success, answer.text
    if where in {"", namespace}:
        undo.callback(server.client.delete, f"{server.path(thing)}/{thing['metadata']['name']}")


def _succeeds(attacker: Attacker, attempt: Sequence[Step]) -> bool:
    try:
        for step in attempt:
            step(attacker)
    except DeniedError:
        return False
    return True


def _objects(grant: Grant, number: int) -> Iterator[dict[str, Any]]:
    name = f"$NS-{number}"
    if not grant.role:
        yield cluster_role(name, *grant.rules)
    yield binding(f"ClusterRole {grant.role or name}", grant.to, namespace=grant.namespace, name=name)


def _wait_until_known(server: Kube, grant: Grant, namespace: str) -> None:
    """Return once the authorizer knows a grant: every rule is asked for in its own words, which it always allows."""
    rules = grant.rules or _rules_of(grant.role)
    for given in rules:
        if "nonResourceURLs" in given and grant.namespace:
            continue  # a RoleBinding grants no path, so there is nothing to wait for
        spec = named(_review(given, grant), namespace)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            answer = server.client.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", json={"spec": spec})
            if answer.json()["status"]["allowed"]:
                break
            assert time.monotonic() < deadline, f"the authorizer never saw {given}"


def _review(given: Mapping[str, Any], grant: Grant) -> dict[str, Any]:
    kind, _, name = grant.to.partition(" ")
    user = user_of(*name.split("/")) if kind == "ServiceAccount" else name if kind == "User" else "somebody"
    groups = [name] if kind == "Group" else sorted(identity_of(user).groups)
    verb = given["verbs"][0]
    if "nonResourceURLs" in given:
        return {
            "user": user,
            "groups": groups,
            "nonResourceAttributes": {"verb": verb, "path": given["nonResourceURLs"][0]},
        }
    resource, _, subresource = given["resources"][0].partition("/")
    attributes = {
        "verb": verb,
        "group": given["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "name": given.get("resourceNames", [""])[0],
        "namespace": grant.namespace,
    }
    return {"user": user, "groups": groups, "resourceAttributes": attributes}


@cache
def _policy(policy: str) -> Policy:
    return load_policy(ROOT / policy / "policy.yaml", PolicyId(policy))


@cache
def _bootstrap() -> tuple[dict[str, Any], ...]:
    """Return Kubernetes' own roles and bindings as plain objects."""
    text = files(bootstrap.__package__).joinpath("bootstrap.json").read_bytes()
    return msgspec.json.decode(text, type=tuple[dict[str, Any], ...])


def _rules_of(role: str) -> Sequence[Mapping[str, Any]]:
    found = next(o for o in _bootstrap() if o["kind"] == "ClusterRole" and o["metadata"]["name"] == role)
    rules: Sequence[Mapping[str, Any]] = found["rules"]
    return rules
