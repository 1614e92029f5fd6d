"""A snapshot and policies give findings: complete, in order, and never green by ignorance."""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model.answer import Answer
from scanner.model.coverage import READ_BY_NAME, Read, ReadState
from scanner.model.finding import Evaluation, Fact, Outcome
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot
from scanner.policy import evaluate as module
from scanner.policy.evaluate import evaluate, reads_of
from scanner.policy.load import builtin_policies_root, load_policies
from scanner.policy.questions import Question
from tests.builders import NOW, cel_policy, container, pod, snapshot, workload

PRIVILEGED: dict[str, Any] = {"securityContext": {"privileged": True}}
BUILTIN = load_policies(builtin_policies_root())


def judged(*objects: Mapping[str, Any], policy: Policy | None = None, **options: Any) -> Evaluation:
    """Judge objects by one policy, against privileged containers unless told otherwise."""
    return evaluate(snapshot(*objects), [policy or cel_policy()], now=NOW, **options)


def outcomes(found: Evaluation) -> list[tuple[str, str]]:
    """Return outcome and resource of each finding."""
    return [(str(f.outcome), str(f.resource)) for f in found.findings]


def test_a_workload_that_does_what_is_forbidden_fails() -> None:
    """The finding is about the root owner."""
    assert outcomes(judged(workload("cart", container(**PRIVILEGED)))) == [("fail", "Deployment shop/cart")]


def test_a_workload_that_does_not_passes() -> None:
    """Passes are counted, not listed."""
    found = judged(workload("cart"))
    assert (found.findings, found.passed) == ((), {"pods/privileged-container": 1})


def test_passes_are_listed_on_demand() -> None:
    """`all_outcomes` is for those who want to see that something was judged."""
    assert outcomes(judged(workload("cart"), all_outcomes=True)) == [("pass", "Deployment shop/cart")]


def test_one_finding_lists_all_containers() -> None:
    """Evidence is sorted by path and has the value that shows it."""
    containers = [container("b", **PRIVILEGED), container("ok"), container("a", **PRIVILEGED)]
    policy = cel_policy(field_path="securityContext.privileged")
    (finding,) = judged(workload("cart", *containers), policy=policy).findings
    where = "spec.template.spec.containers[{}].securityContext.privileged"
    assert finding.evidence == (
        Fact(path=where.format(0), value=True, container="b"),
        Fact(path=where.format(2), value=True, container="a"),
    )


def test_a_finding_without_a_message_of_its_own_names_the_containers() -> None:
    """The title says what is wrong, the names say where."""
    (finding,) = judged(workload("cart", container("b", **PRIVILEGED), container("a", **PRIVILEGED))).findings
    assert finding.message == "Title of pods/privileged-container: a, b"


def test_a_message_is_made_by_cel() -> None:
    """It sees what the policy sees."""
    policy = cel_policy(message="'container ' + container.name + ' of ' + object.metadata.name")
    (finding,) = judged(workload("cart", container("app", **PRIVILEGED)), policy=policy).findings
    assert finding.message == "container app of cart"


def test_only_the_named_roles_are_judged() -> None:
    """A policy on init containers says nothing of a workload that has none."""
    policy = cel_policy(container_roles=("init",))
    found = judged(workload("cart", container(**PRIVILEGED)), policy=policy)
    assert (found.findings, found.passed) == ((), {"pods/privileged-container": 0})


def test_a_container_that_only_a_pod_has_is_judged() -> None:
    """An ephemeral container is evidence in the pod, for its root owner."""
    debugger = pod("cart-0", owner="StatefulSet cart", ephemeralContainers=[container("debug", **PRIVILEGED)])
    (finding,) = judged(workload("cart", kind="StatefulSet"), debugger).findings
    assert (str(finding.resource), [str(f.object) for f in finding.evidence]) == (
        "StatefulSet shop/cart",
        ["Pod shop/cart-0"],
    )


def test_an_expression_that_breaks_is_unknown() -> None:
    """With the reason, and no pass."""
    found = judged(workload("cart"), policy=cel_policy(forbid="container.nope == 1"))
    assert [(f.outcome, f.message) for f in found.findings] == [
        (Outcome.UNKNOWN, 'cannot be judged: Key not found in map : "nope"')
    ]


def test_one_that_breaks_does_not_disturb_the_others() -> None:
    """Policies are evaluated together and fail alone."""
    policies = [cel_policy("pods/a", forbid="container.nope == 1"), cel_policy("pods/b")]
    found = evaluate(snapshot(workload("cart", container(**PRIVILEGED))), policies, now=NOW)
    assert [(f.policy, str(f.outcome)) for f in found.findings] == [("pods/a", "unknown"), ("pods/b", "fail")]


def test_a_failing_container_outweighs_one_that_breaks() -> None:
    """One container is enough to fail."""
    policy = cel_policy(forbid="container.securityContext.privileged")
    assert outcomes(judged(workload("cart", container("a"), container("b", **PRIVILEGED)), policy=policy)) == [
        ("fail", "Deployment shop/cart")
    ]


def test_something_that_is_neither_true_nor_false_is_unknown() -> None:
    """`forbid` must be a claim."""
    (finding,) = judged(workload("cart"), policy=cel_policy(forbid="container.name")).findings
    assert finding.message == "cannot be judged: forbid gave str instead of true or false"


def test_a_policy_that_does_not_compile_is_unknown_and_inconclusive() -> None:
    """What was known of it before must stay."""
    found = judged(workload("cart"), policy=cel_policy(forbid="container.name +"))
    assert (found.findings[0].outcome, found.inconclusive) == (
        Outcome.UNKNOWN,
        {"pods/privileged-container": frozenset({""})},
    )


def test_the_namespace_is_seen() -> None:
    """A namespace that only its objects tell of has its name as a label."""
    policy = cel_policy(forbid="namespaceObject.metadata.labels['kubernetes.io/metadata.name'] == 'shop'")
    assert outcomes(judged(workload("cart"), policy=policy)) == [("fail", "Deployment shop/cart")]


def test_a_namespace_that_was_not_read_is_unknown() -> None:
    """The finding names the read."""
    policy = cel_policy(forbid="namespaceObject.metadata.?labels.?a.orValue('') == ''")
    found = evaluate(without("namespaces", workload("cart")), [policy], now=NOW)
    assert [(str(f.outcome), f.missing) for f in found.findings] == [("unknown", ("list namespaces",))] * 2


def test_labels_of_pods_are_seen() -> None:
    """`podMeta` has both maps, always."""
    policy = cel_policy(subject="workload", forbid="podMeta.labels.app == 'cart' && podMeta.annotations.size() == 0")
    assert outcomes(judged(workload("cart"), policy=policy)) == [("fail", "Deployment shop/cart")]


def test_an_object_of_a_kind_is_judged() -> None:
    """`path` starts at the object."""
    policy = cel_policy(subject="Service", forbid="object.spec.type == 'NodePort'", field_path="spec.type")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
    (finding,) = judged(service | {"spec": {"type": "NodePort"}}, policy=policy).findings
    assert (str(finding.resource), finding.evidence) == (
        "Service shop/web",
        (Fact(path="spec.type", value="NodePort"),),
    )


def test_a_controlled_object_of_a_kind_is_not_judged() -> None:
    """A Job of a CronJob is edited there."""
    policy = cel_policy(subject="Pod", forbid="true")
    assert outcomes(judged(pod("cart-0", owner="StatefulSet cart"), policy=policy)) == []


def test_progress_is_told() -> None:
    """From nothing to all."""
    steps: list[tuple[int, int]] = []
    judged(workload("a"), workload("b"), progress=lambda done, total: steps.append((done, total)))
    assert steps == [(0, 2), (1, 2), (2, 2)]


def asked(
    monkeypatch: pytest.MonkeyPatch, answer: Any, *objects: Mapping[str, Any], hidden: str = "", **options: Any
) -> Evaluation:
    """Evaluate a policy that asks a made-up question about Deployments."""
    question = Question(ask=answer, reads=(GroupKind("apps", "Deployment"),))
    monkeypatch.setattr(module, "QUESTIONS", {"pods.made_up": question})
    policy = cel_policy("pods/asks", subject="", forbid="", ask="pods.made_up", arguments={"limit": 3})
    found = without(hidden, *objects) if hidden else snapshot(*objects)
    return evaluate(found, [policy], now=NOW, **options)


def each_fails(found: Snapshot, *, now: datetime, limit: int) -> Iterator[Answer]:
    """Fail every Deployment."""
    for thing in found.of("apps", "Deployment"):
        yield Answer(resource=thing.ref, outcome=Outcome.FAIL, message=f"{now:%Y} {limit}", key="k")


def each_passes(found: Snapshot, *, now: datetime, limit: int) -> Iterator[Answer]:  # noqa: ARG001 - a question's shape
    """Pass every Deployment."""
    for thing in found.of("apps", "Deployment"):
        yield Answer(resource=thing.ref, outcome=Outcome.PASS, message="fine")


def breaks(found: Snapshot, *, now: datetime, limit: int) -> Iterator[Answer]:  # noqa: ARG001 - a question's shape
    """Break."""
    raise KeyError("surprise")


def test_a_question_is_asked_with_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers become findings with the policy's severity."""
    (finding,) = asked(monkeypatch, each_fails, workload("cart")).findings
    assert (finding.message, finding.key, finding.severity) == ("2026 3", "k", "high")


def test_a_question_that_breaks_does_not_end_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is unknown with the reason, and what was known before stays."""
    found = asked(monkeypatch, breaks, workload("cart"))
    assert (found.findings[0].message, found.inconclusive) == (
        "the policy broke: KeyError: 'surprise'",
        {"pods/asks": frozenset({""})},
    )


def test_a_pass_of_a_question_that_could_not_read_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """One finding says which read was missing."""
    found = asked(monkeypatch, each_passes, workload("cart"), hidden="deployments.apps")
    assert ([(str(f.outcome), f.missing) for f in found.findings], found.passed) == (
        [("unknown", ("list deployments.apps",))],
        {"pods/asks": 0},
    )


def test_two_answers_about_one_thing_are_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worse outcome stands, with the evidence of all that have it."""
    cart = ObjectRef("apps/v1", "Deployment", "shop", "cart")

    def answers(found: Snapshot, *, now: datetime, limit: int) -> Sequence[Answer]:  # noqa: ARG001 - a question's shape
        facts = [Fact(path="b"), Fact(path="a")]
        failing = [Answer(resource=cart, outcome=Outcome.FAIL, message="m", evidence=(f,)) for f in facts]
        return [*failing, Answer(resource=cart, outcome=Outcome.PASS, message="m")]

    (finding,) = asked(monkeypatch, answers).findings
    assert finding.evidence == (Fact(path="a"), Fact(path="b"))


@pytest.mark.parametrize(
    ("answered", "severity"),
    [(None, "medium"), (Severity.CRITICAL, "high"), (Severity.LOW, "low")],
)
def test_a_milder_answer_is_one_step_less_severe(
    monkeypatch: pytest.MonkeyPatch, answered: Severity | None, severity: str
) -> None:
    """Than the policy, which is of high severity, or than the answer says; the lowest stays."""

    def answers(found: Snapshot, *, now: datetime, limit: int) -> Iterator[Answer]:
        for answer in each_fails(found, now=now, limit=limit):
            yield replace(answer, severity=answered, is_milder=True)

    (finding,) = asked(monkeypatch, answers, workload("cart")).findings
    assert finding.severity == severity


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (("fail", ""), ("fail", "own"), ("fail", "")),
        (("fail", "own"), ("fail", "theirs"), ("fail", "own; theirs")),
        (("fail", "own"), ("unknown", ""), ("unknown", "")),
        (("fail", "own"), ("pass", ""), ("fail", "own")),
    ],
)
def test_of_two_answers_what_is_expected_hides_nothing(
    monkeypatch: pytest.MonkeyPatch, one: tuple[str, str], other: tuple[str, str], found: tuple[str, str]
) -> None:
    """A failure that stands out wins, then what could not be judged."""

    def answers(seen: Snapshot, *, now: datetime, limit: int) -> Iterator[Answer]:  # noqa: ARG001 - a question's shape
        (cart,) = seen.of("apps", "Deployment")
        for outcome, expected in (one, other):
            missing = ("list pods",) if outcome == "unknown" else ()
            yield Answer(resource=cart.ref, outcome=Outcome(outcome), message="m", expected=expected, missing=missing)

    (finding,) = asked(monkeypatch, answers, workload("cart")).findings
    assert (str(finding.outcome), finding.expected) == found


def without(hidden: str, *objects: Mapping[str, Any], namespace: str = "") -> Snapshot:
    """Make a snapshot of a scanner that may not list one resource, everywhere or in a namespace."""
    complete = [Read(resource=r.name, state=ReadState.COMPLETE) for r in RESOURCES if namespace or r.name != hidden]
    refused = Read(resource=hidden, state=ReadState.FORBIDDEN, namespace=namespace, reason="403")
    group_kind = next(r.group_kind for r in RESOURCES if r.name == hidden)
    seen = [o for o in objects if namespace or (o["kind"], o["apiVersion"].rpartition("/")[0]) != group_kind[::-1]]
    return snapshot(*seen, coverage=[*complete, refused])


def test_a_kind_that_was_not_read_is_unknown() -> None:
    """One finding on the cluster for the policy, however many objects were seen."""
    found = evaluate(without("pods", workload("a"), workload("b")), [cel_policy()], now=NOW)
    assert (outcomes(found), found.inconclusive) == (
        [("unknown", "Cluster test")],
        {"pods/privileged-container": frozenset({""})},
    )


def test_a_namespace_in_which_a_kind_was_not_read_is_unknown() -> None:
    """Elsewhere a pass is a pass."""
    objects = [workload("a"), workload("b", namespace="billing")]
    found = evaluate(without("pods", *objects, namespace="billing"), [cel_policy()], now=NOW)
    assert (outcomes(found), found.passed, found.inconclusive) == (
        [("unknown", "Namespace billing")],
        {"pods/privileged-container": 1},
        {"pods/privileged-container": frozenset({"billing"})},
    )


def test_a_failure_is_one_even_if_not_everything_was_read() -> None:
    """What was seen was seen."""
    found = evaluate(without("pods", workload("a", container(**PRIVILEGED))), [cel_policy()], now=NOW)
    assert outcomes(found) == [("fail", "Deployment shop/a"), ("unknown", "Cluster test")]


def test_a_kind_that_nobody_serves_is_no_gap() -> None:
    """What an API server does not know cannot exist."""
    coverage = [Read(resource=r.name, state=ReadState.ABSENT) for r in RESOURCES]
    found = evaluate(snapshot(workload("a"), coverage=coverage), [cel_policy()], now=NOW)
    assert found.inconclusive == {}


BIG: tuple[dict[str, Any], ...] = (
    workload("cart", container(**PRIVILEGED), hostNetwork=True),
    workload("db", kind="StatefulSet"),
    pod("db-0", owner="StatefulSet db", ephemeralContainers=[container("debug", **PRIVILEGED)]),
    pod("alone", container(image="app:latest")),
    workload("agent", kind="DaemonSet", volumes=[{"name": "root", "hostPath": {"path": "/"}}]),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "NodePort", "selector": {"app": "cart"}, "ports": [{"port": 80, "nodePort": 30080}]},
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "everyone"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}],
    },
)


@settings(deadline=None, max_examples=30)
@given(order=st.randoms(use_true_random=False))
def test_the_order_of_a_snapshot_changes_nothing(order: random.Random) -> None:
    """Two scans of one cluster are equal."""
    shuffled = list(BIG)
    order.shuffle(shuffled)
    assert evaluate(snapshot(*shuffled), BUILTIN, now=NOW) == evaluate(snapshot(*BIG), BUILTIN, now=NOW)


@settings(deadline=None, max_examples=30)
@given(hidden=st.sets(st.sampled_from(RESOURCES)))
def test_passes_are_counted_alike_whether_they_are_listed_or_not(hidden: set[Any]) -> None:
    """Listing them makes a finding of each; else they are only counted, those that are proven."""
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r in hidden else ReadState.COMPLETE) for r in RESOURCES
    ]
    seen = snapshot(*BIG, coverage=coverage)
    listed, counted = (evaluate(seen, BUILTIN, now=NOW, all_outcomes=wanted) for wanted in (True, False))
    each = Counter(f.policy for f in listed.findings if f.outcome is Outcome.PASS)
    assert counted.passed == listed.passed == dict.fromkeys(listed.passed, 0) | each
    failed = [[f for f in found.findings if f.outcome is Outcome.FAIL] for found in (listed, counted)]
    assert failed[0] == failed[1]


@settings(deadline=None, max_examples=60)
@given(hidden=st.sets(st.sampled_from(RESOURCES), min_size=1))
def test_reading_less_makes_nothing_pass(hidden: set[Any]) -> None:
    """What fails never passes because a read was refused, and each policy concerned names the read."""
    kinds = {r.group_kind for r in hidden}
    seen = [o for o in BIG if GroupKind(o["apiVersion"].rpartition("/")[0], o["kind"]) not in kinds]
    coverage = [
        Read(resource=r.name, state=ReadState.FORBIDDEN if r in hidden else ReadState.COMPLETE) for r in RESOURCES
    ]
    coverage += [Read(resource=name, state=ReadState.COMPLETE) for name in (*READ_BY_NAME, "ConfigMap")]
    whole = evaluate(snapshot(*BIG), BUILTIN, now=NOW, all_outcomes=True)
    part = evaluate(snapshot(*seen, coverage=coverage), BUILTIN, now=NOW, all_outcomes=True)
    failed = {(f.policy, f.resource, f.key) for f in whole.findings if f.outcome is Outcome.FAIL}
    passed = {(f.policy, f.resource, f.key) for f in part.findings if f.outcome is Outcome.PASS}
    concerned = {p.id for p in BUILTIN if kinds & set(reads_of(p))}
    named = {f.policy for f in part.findings if f.missing and f.key == "unread"}
    assert (failed & passed, set(part.inconclusive), named) == (set(), concerned, concerned)


def test_no_policy_of_the_product_breaks() -> None:
    """On a small cluster every policy has an answer."""
    found = evaluate(snapshot(*BIG), BUILTIN, now=NOW)
    assert [(f.policy, f.message) for f in found.findings if f.key == "broken"] == []


def test_any_number_of_policies_can_be_evaluated() -> None:
    """Together they may be longer than the engine takes."""
    policies = [cel_policy(f"pods/p{i}", forbid=f"container.name == '{'x' * 2000}{i}'") for i in range(60)]
    found = evaluate(snapshot(workload("cart")), policies, now=NOW)
    assert (found.findings, sum(found.passed.values())) == ((), 60)


def test_equal_pod_specs_are_judged_once() -> None:
    """Workloads that share a spec get the same verdict, each with evidence of its own."""
    objects = [workload(name, container(**PRIVILEGED)) for name in ("a", "b")]
    policy = cel_policy(PolicyId("pods/x"), message="'in ' + container.name")
    assert [(str(f.resource), f.message) for f in judged(*objects, policy=policy).findings] == [
        ("Deployment shop/a", "in app"),
        ("Deployment shop/b", "in app"),
    ]
