"""The authorizer says what a real API server says: every answer is compared with a SubjectAccessReview."""

import os
import random

import pytest

from scanner.analysis.rbac.authorizer import Verdict, authorizer_of
from scanner.analysis.rbac.requests import MASTERS, NODES, Identity, Request, identity_of
from tests.analysis.rbac.kube import Client
from tests.analysis.rbac.oracle import ApiServer, compare, stored
from tests.builders import snapshot
from tests.services import ControlPlane

#: `make oracle` asks ten times as many; a seed that is given repeats a run.
QUESTIONS = int(os.environ.get("ORACLE_QUESTIONS") or 10_000)
SEED = int(os.environ.get("ORACLE_SEED") or random.SystemRandom().randrange(2**32))


@pytest.mark.control_plane
def test_every_answer_is_that_of_a_subject_access_review(
    control_plane: ControlPlane, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten thousand random questions get the API server's answers, without one difference.

    The worlds are read back from the API server, and taken as the files that they were made from: both answer alike.
    """
    comparison = compare(control_plane, QUESTIONS, SEED)
    with capsys.disabled():
        print(f"\n{comparison}")  # noqa: T201 - the proof, and what makes a failure repeatable
    assert not comparison.differences, f"{comparison}: {comparison.differences[:5]}"
    assert 0.1 < comparison.allowed / comparison.questions < 0.9, "both answers must be common, or nothing was tried"


@pytest.mark.control_plane
def test_members_of_masters_may_do_everything(control_plane: ControlPlane) -> None:
    """No binding is needed: the API server lets `system:masters` pass before RBAC, and so do we."""
    question = Identity("jane", frozenset({MASTERS})), Request(verb="get", path="/anything")
    with ApiServer(control_plane) as server:
        assert server.review(question)
    assert authorizer_of(snapshot()).can(*question).verdict is Verdict.ALLOWED


@pytest.mark.control_plane
@pytest.mark.parametrize("user", ["jane", "system:serviceaccount:shop:robot"])
def test_groups_come_as_authentication_adds_them(control_plane: ControlPlane, user: str) -> None:
    """Someone of this name has, for the API server itself, the groups that we assume."""
    with Client(control_plane) as client:
        review = client.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, user=user)
    assert frozenset(review["status"]["userInfo"]["groups"]) == identity_of(user).groups


NODE = Identity("system:node:n1", frozenset({NODES}))


@pytest.mark.control_plane
@pytest.mark.parametrize(
    ("request_", "ours"),
    [
        # What the Node authorizer allows to any node, what it allows by the node's pods, and what to none.
        (Request(verb="get", resource="services", namespace="shop"), Verdict.UNKNOWN),
        (Request(verb="get", resource="secrets", name="s", namespace="shop"), Verdict.UNKNOWN),
        (Request(verb="delete", group="apps", resource="deployments", namespace="shop"), Verdict.DENIED),
    ],
)
def test_what_the_node_authorizer_decides_is_unknown(
    control_plane: ControlPlane, request_: Request, ours: Verdict
) -> None:
    """What it never allows is a no of ours; never do we say no where the API server says yes."""
    with ApiServer(control_plane) as server:
        seen, allowed = snapshot(*stored(server)), server.review((NODE, request_))
    verdict = authorizer_of(seen).can(NODE, request_).verdict
    assert (verdict, verdict is Verdict.DENIED and allowed) == (ours, False)
