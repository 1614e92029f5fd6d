"""Published cases on RBAC: we agree with them, or Kubernetes agrees with us."""

import functools
import uuid
from pathlib import Path

import pytest

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.requests import Identity, Request
from scanner.model.snapshot import SourceKind
from tests.analysis.rbac.oracle import ApiServer, created
from tests.builders import snapshot
from tests.conformance.rbac_cases import Can, Case, holds, kubehound_cases, regolibrary_cases
from tests.conformance.rbac_page import ALERT_COUNT, DISAGREEMENTS, EDGE_COUNT, PAGE, page
from tests.services import ControlPlane


def ours(case: Case) -> Can:
    """Return our authorizer of a case's world, as of files."""
    authorizer = authorizer_of(snapshot(*case.world.objects, source=SourceKind.MANIFESTS))
    return lambda identity, request: authorizer.can(identity, request).is_allowed


def cases(corpus: Path, run: str) -> list[Case]:
    """Return every case of both."""
    return [*kubehound_cases(corpus, run)[1], *regolibrary_cases(corpus, run)]


def differences(case: Case, can: Can) -> set[tuple[str, str, bool]]:
    """Compare whom a peer names with whom an authorizer would name; of whom it says nothing else is no case."""
    assert case.named <= case.claims.keys(), case.id
    named = {who for who, claim in case.claims.items() if holds(claim, can)}
    return {(case.id, who, who in case.named) for who in case.named ^ named}


def test_published_cases_agree_or_differ_on_purpose(corpus: Path) -> None:
    """Each name in each case is one that we would give, or stands on the page with its reason."""
    found = cases(corpus, "test")
    edges = sum(len(case.named) for case in found if case.id.startswith("kubehound/"))
    alerts = sum(case.id.startswith("regolibrary/") for case in found)
    different = {difference for case in found for difference in differences(case, ours(case))}
    assert (edges, alerts) == (EDGE_COUNT, ALERT_COUNT)
    assert different == {(d.case, d.who, d.peer) for d in DISAGREEMENTS}


def test_the_page_lists_each_disagreement() -> None:
    """Written by `python -m tests.conformance.rbac_page`."""
    assert PAGE.read_text() == page()


@pytest.mark.control_plane
def test_kubernetes_answers_as_we_do(corpus: Path, control_plane: ControlPlane) -> None:
    """Every question of every case, those that a peer gets wrong among them, is asked as a SubjectAccessReview."""
    found = cases(corpus, f"case-{uuid.uuid4().hex[:8]}")
    worlds = list({case.world.prefix: case.world for case in found}.values())
    with ApiServer(control_plane) as server, created(server, worlds):
        review = functools.cache(lambda identity, request: server.review((identity, request)))
        theirs = {difference for case in found for difference in differences(case, review)}
        wrong = [
            (case.id, identity, request)
            for case in found
            for can in (ours(case),)
            for identity, request in sorted(_questions(case), key=str)
            if can(identity, request) != review(identity, request)
        ]
    assert theirs == {(d.case, d.who, d.peer) for d in DISAGREEMENTS}
    assert wrong == []


def _questions(case: Case) -> set[tuple[Identity, Request]]:
    return {question for claim in case.claims.values() for together in claim for question in together}
