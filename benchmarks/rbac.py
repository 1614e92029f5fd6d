"""How long an index over 10,000 roles and bindings takes, answers from it, and all policies about RBAC.

Run it as `python -m benchmarks.rbac`. All rules differ, which is the worst case: equal ones are kept once. Each figure
is the median of its rounds, as processor time: answers take about as long as a busy machine looks elsewhere. Ratios
are to what cannot be left out, on the same objects: decoding them, and trying each rule on a request.
"""

import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from scanner.analysis.rbac.authorizer import Authorizer, authorizer_of
from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import Identity, Request, identity_of, user_of
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW, binding, cluster_role, role, rule, snapshot, workload

T = TypeVar("T")

ROLES = 5000
NAMESPACES = 500
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete"]
RESOURCES = [
    *("pods", "pods/log", "pods/exec", "secrets", "configmaps", "services", "serviceaccounts", "endpoints", "events"),
    *("deployments", "jobs", "cronjobs", "ingresses", "leases"),
]
#: What the figures are promised for.
INDEX_SECONDS, ANSWER_SECONDS = 2.0, 0.010
#: By one policy, findings joined with workloads; taste: a scan by all of them then takes less than reading the cluster.
JUDGE_SECONDS = 0.5
ROUNDS, INDEX_ROUNDS = 20, 5
#: In one batch.
QUESTIONS = 10_000


def main() -> None:
    """Print the figures; exit with 1 if one is not reached."""
    rng = random.Random(1)  # noqa: S311 - the same world each time
    objects = [o for number in range(ROLES) for o in _bound_role(rng, number)]
    seconds, decoding, authorizer = _indexing(objects)
    print(
        f"index over {len(objects):,} roles and bindings: {seconds:.2f} s (promised {INDEX_SECONDS} s), "
        f"{seconds / decoding:.1f} times their decoding"
    )
    times = {request: _median(partial(authorizer.who_can, request)) for request in _requests()}
    request, slowest = max(times.items(), key=lambda item: item[1])
    trying = _median(lambda: _allowed(authorizer, request))
    print(
        f"slowest who-can, {request}: {slowest * 1000:.2f} ms (promised {ANSWER_SECONDS * 1000:.0f} ms), "
        f"{slowest / trying:.2f} of trying each rule"
    )
    asked = [_question(rng) for _ in range(QUESTIONS)]
    answering, _ = _timed(lambda: [authorizer.can(*question) for question in asked])
    print(f"{QUESTIONS:,} questions: {answering:.2f} s, {answering / QUESTIONS * 1e6:.0f} µs each")
    policies = load_policies(builtin_policies_root(), only=["rbac/*"])
    judging, found = _timed(lambda: evaluate(snapshot(*objects, *_workloads()), policies, now=NOW))
    each = judging / len(policies)
    print(
        f"{len(found.findings):,} findings of {len(policies)} policies: {each:.2f} s each (promised {JUDGE_SECONDS} s)"
    )
    raise SystemExit(seconds > INDEX_SECONDS or slowest > ANSWER_SECONDS or each > JUDGE_SECONDS)


def _bound_role(rng: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    name, namespace = f"role-{number}", f"ns-{number % NAMESPACES}"
    subjects = (f"ServiceAccount {namespace}/robot-{number % 7}", f"Group team-{number % 90}")
    rules = [_rule(rng) for _ in range(rng.randint(1, 6))]
    if number % 20 == 0:
        return cluster_role(name, *rules), binding(f"ClusterRole {name}", *subjects)
    return role(name, *rules, namespace=namespace), binding(f"Role {name}", *subjects, namespace=namespace)


def _rule(rng: random.Random) -> dict[str, Any]:
    verbs, resources = rng.sample(VERBS, rng.randint(1, 7)), rng.sample(RESOURCES, rng.randint(1, 6))
    return rule(" ".join(verbs), " ".join(resources), group=rng.choice(("", "apps", "batch")))


def _workloads() -> list[dict[str, Any]]:
    """Make a workload for one service account of each namespace."""
    return [workload("robot", namespace=f"ns-{n}", serviceAccountName="robot-1") for n in range(NAMESPACES)]


def _indexing(objects: list[dict[str, Any]]) -> tuple[float, float, Authorizer]:
    """Return the median times of an index and of decoding alone, with the last index."""
    indexing, decoding = [], []
    for _ in range(INDEX_ROUNDS):
        scanned = snapshot(*objects)
        bare = snapshot(*objects)
        decoding.append(_timed(partial(_decoded, bare))[0])
        seconds, authorizer = _timed(partial(_indexed, scanned))
        indexing.append(seconds)
    return statistics.median(indexing), statistics.median(decoding), authorizer


def _decoded(scanned: Snapshot) -> int:
    """Decode all roles and bindings, which a snapshot does when they are first asked for."""
    return len(scanned.roles) + len(scanned.bindings)


def _allowed(authorizer: Authorizer, request: Request) -> int:
    """Count the rules that allow a request by trying each."""
    return sum(rule_allows(rule, request) for role in authorizer.index.roles.values() for rule in role.rules)


def _question(rng: random.Random) -> tuple[Identity, Request]:
    namespace = f"ns-{rng.randrange(NAMESPACES)}"
    who = identity_of(user_of(namespace, f"robot-{rng.randrange(7)}"), frozenset({f"team-{rng.randrange(90)}"}))
    plural, _, subresource = rng.choice(RESOURCES).partition("/")
    return who, Request(verb=rng.choice(VERBS), resource=plural, subresource=subresource, namespace=namespace)


def _indexed(scanned: Snapshot) -> Authorizer:
    """Make the index; the first questions fill what is made when first needed."""
    authorizer = authorizer_of(scanned)
    authorizer.who_can(Request(verb="get", path="/metrics"))
    authorizer.who_can(Request(verb="get", resource="pods"))
    authorizer.can(identity_of("jane"), Request(verb="get", resource="pods"))
    return authorizer


def _requests() -> list[Request]:
    return [
        Request(verb="get", resource="secrets", namespace="ns-3"),
        Request(verb="get", resource="secrets"),
        Request(verb="create", resource="pods", subresource="exec", namespace="ns-7"),
        Request(verb="patch", group="apps", resource="deployments", name="web", namespace="ns-11"),
    ]


def _median(run: Callable[[], object]) -> float:
    return statistics.median(_timed(run)[0] for _ in range(ROUNDS))


def _timed(run: Callable[[], T]) -> tuple[float, T]:
    started = time.process_time()
    made = run()
    return time.process_time() - started, made


if __name__ == "__main__":
    main()
