"""`plimsoll rbac`: the answers that scripts depend on."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from scanner.cluster.saved import save_snapshot
from scanner.model.coverage import Read, ReadState
from tests.builders import binding, cluster_role, role, rule, snapshot
from tests.cli.running import plimsoll

CART = "system:serviceaccount:shop:cart"
OBJECTS = (
    role("cart", rule("get list", "pods"), rule("create", "pods/exec"), rule("patch", "deployments", group="apps")),
    binding("Role cart", "ServiceAccount shop/cart", namespace="shop", name="cart"),
    cluster_role("metrics", rule("get", urls="/metrics")),
    binding("ClusterRole metrics", "Group watchers", "User \x1b[31mred", name="watchers"),
    binding("ClusterRole elsewhere", "User joe", name="joe"),
)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A small world as files."""
    file = tmp_path / "world.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return file


def can(manifests: Path, *words: str | Path) -> Any:
    """Ask one question and return the answer's JSON."""
    ended = plimsoll("rbac", "can", *words, "-o", "json", "--manifests", manifests)
    assert ended.status == 0
    return ended.json


def test_a_yes_carries_its_chain(manifests: Path) -> None:
    """Binding, role and the rule's index."""
    chain = can(manifests, CART, "create", "pods/exec", "-n", "shop")["chain"]
    named = {
        part: f"{chain[part]['kind']} {chain[part]['namespace']}/{chain[part]['name']}" for part in ("binding", "role")
    }
    assert named == {"binding": "RoleBinding shop/cart", "role": "Role shop/cart"}
    assert chain["ruleIndex"] == 1


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ((CART, "get", "pods", "-n", "shop", "--name", "web-0"), True),
        ((CART, "get", "pods"), False),
        ((CART, "patch", "deployments.apps", "-n", "shop"), True),
        ((CART, "patch", "deployments", "--api-group", "apps", "-n", "shop"), True),
        ((CART, "patch", "deployments", "-n", "shop"), False),
        ((CART, "patch", "deployments.apps/scale", "-n", "shop"), False),
        (("jane", "get", "/metrics"), False),
        (("jane", "get", "/metrics", "--as-group", "watchers"), True),
        (("jane", "get", "/healthz"), True),
        (("shop:cart", "get", "pods", "-n", "shop"), False),
        (("jane", "delete", "nodes", "--as-group", "system:masters"), True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_questions_are_written_as_for_kubectl(manifests: Path, words: tuple[str, ...], *, allowed: bool) -> None:
    """Groups come by themselves, names and API groups mean what they mean to kubectl."""
    assert can(manifests, *words)["allowed"] is allowed


def test_people_read_yes_and_why(manifests: Path) -> None:
    """The first line is that of `kubectl auth can-i`."""
    shown = plimsoll("rbac", "can", CART, "get", "pods", "-n", "shop", "--manifests", manifests).out
    assert shown.splitlines() == [
        "yes",
        f"    {CART}: get pods in shop",
        "    RoleBinding shop/cart -> Role shop/cart -> rules[0]",
    ]


def test_a_role_that_is_not_among_the_files_leaves_the_answer_unknown(manifests: Path) -> None:
    """It is no yes, and not a plain no either."""
    answer = can(manifests, "joe", "delete", "nodes")
    assert (answer["allowed"], answer["missing"]) == (
        False,
        ["ClusterRole elsewhere: it may be in the cluster already"],
    )
    assert answer["unknown"]


def test_who_can_names_every_subject(manifests: Path) -> None:
    """Service accounts, users, groups, and those whom RBAC is not asked about."""
    found = plimsoll(
        "rbac", "who-can", "create", "pods/exec", "-n", "shop", "-o", "json", "--manifests", manifests
    ).json
    named = {f"{h['subject']['kind']} {h['subject']['name']}" for h in found["holders"]}
    assert {"ServiceAccount cart", "Group system:masters"} <= named


def test_what_can_lists_every_grant(manifests: Path) -> None:
    """With its own, and with what everyone has."""
    found = plimsoll("rbac", "what-can", CART, "-o", "json", "--manifests", manifests).json
    bound = [(g["binding"]["name"], g["ruleIndex"]) for g in found["grants"]]
    assert [(name, index) for name, index in bound if name == "cart"] == [("cart", 0), ("cart", 1), ("cart", 2)]
    assert "system:discovery" in {name for name, _ in bound}


def test_names_cannot_write_to_the_terminal(manifests: Path) -> None:
    """What a binding says is escaped."""
    shown = plimsoll("rbac", "who-can", "get", "/metrics", "--manifests", manifests).out
    assert "\x1b" not in shown
    assert r"User \x1b[31mred" in shown


def questions(tmp_path: Path, *lines: Any) -> Path:
    """Write a file of questions."""
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return file


def test_a_batch_is_answered_in_order(manifests: Path, tmp_path: Path) -> None:
    """Specs and whole reviews, resources and paths, with just the groups that they name."""
    pods = {"verb": "get", "resource": "pods", "namespace": "shop"}
    file = questions(
        tmp_path,
        {"user": CART, "resourceAttributes": pods},
        {"user": CART, "nonResourceAttributes": {"verb": "get", "path": "/healthz"}},
        "",
        {
            "kind": "SubjectAccessReview",
            "spec": {"groups": ["watchers"], "nonResourceAttributes": {"verb": "get", "path": "/metrics"}},
        },
    )
    ended = plimsoll("rbac", "batch", file, "-o", "json", "--manifests", manifests)
    assert (ended.status, [row["allowed"] for row in ended.json]) == (0, [True, False, True])
    assert [bool(row["chain"]) for row in ended.json] == [True, False, True]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not a SubjectAccessReview"),
        ('{"user": 5}', "not a SubjectAccessReview"),
        ('{"user": "jane"}', "exactly one of resourceAttributes and nonResourceAttributes"),
        ('{"user": "jane", "resourceAttributes": {}, "nonResourceAttributes": {}}', "exactly one of"),
        ('{"resourceAttributes": {"verb": "get"}}', "at least one of user and groups"),
        ('{"kind": "Pod", "spec": {"user": "jane"}}', "not a SubjectAccessReview: it is of another kind"),
        ("[]", "not a SubjectAccessReview"),
    ],
)
def test_a_wrong_question_is_one_line(manifests: Path, tmp_path: Path, line: str, complaint: str) -> None:
    """It names the file and the line, and nothing is answered."""
    file = questions(tmp_path, {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}, line)
    ended = plimsoll("rbac", "batch", file, "-o", "json", "--manifests", manifests)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert f"questions.jsonl: line 2: {complaint}" in ended.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("can", "jane", "get", "/metrics", "-n", "shop"), "/metrics is a path"),
        (("can", "jane", "get", "deployments.apps", "--api-group", "batch"), "deployments.apps is of API group apps"),
        (("batch", "no/such/file"), "no/such/file: No such file"),
    ],
)
def test_a_contradiction_is_one_line(manifests: Path, words: tuple[str, ...], complaint: str) -> None:
    """With status 2."""
    ended = plimsoll("rbac", *words, "--manifests", manifests)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert complaint in ended.err


def test_a_missing_api_group_is_told(manifests: Path) -> None:
    """Nobody takes the core group's "no" on deployments for an answer about them."""
    ended = plimsoll("rbac", "can", CART, "patch", "deployments", "-n", "shop", "--manifests", manifests)
    assert "did you mean deployments.apps?" in ended.err


def saved(tmp_path: Path, *, forbidden: str) -> Path:
    """Save a snapshot of a cluster in which one kind could not be read."""
    kinds = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
    reads = [
        Read(
            resource=f"{kind}.rbac.authorization.k8s.io",
            state=ReadState.FORBIDDEN if kind == forbidden else ReadState.COMPLETE,
        )
        for kind in kinds
    ]
    file = tmp_path / "snapshot.gz"
    save_snapshot(snapshot(*OBJECTS, coverage=reads), file)
    return file


def test_what_was_not_read_makes_the_answer_incomplete(tmp_path: Path) -> None:
    """Status 3, and the answer names the read."""
    file = saved(tmp_path, forbidden="rolebindings")
    ended = plimsoll("rbac", "can", "jane", "get", "pods", "-n", "shop", "-o", "json", "--snapshot", file)
    assert (ended.status, ended.json["missing"]) == (3, ["list rolebindings.rbac.authorization.k8s.io"])


def test_what_does_not_matter_to_the_answer_does_not_make_it_incomplete(tmp_path: Path) -> None:
    """No RoleBinding grants anything in the whole cluster."""
    file = saved(tmp_path, forbidden="rolebindings")
    ended = plimsoll("rbac", "can", "jane", "get", "nodes", "-o", "json", "--snapshot", file)
    assert (ended.status, ended.json.get("unknown")) == (0, None)


def test_ten_thousand_questions_take_seconds(manifests: Path, tmp_path: Path) -> None:
    """They are answered from one index."""
    spec = {"user": CART, "groups": ["system:authenticated"]}
    file = questions(
        tmp_path,
        *(
            spec | {"resourceAttributes": {"verb": "get", "resource": "pods", "name": f"p-{n}", "namespace": "shop"}}
            for n in range(10_000)
        ),
    )
    started = time.monotonic()
    ended = plimsoll("rbac", "batch", file, "-o", "json", "--manifests", manifests)
    assert sum(row["allowed"] for row in ended.json) == 10_000
    assert time.monotonic() - started < 20
