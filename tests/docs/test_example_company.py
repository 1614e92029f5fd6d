"""The story of the example company is what a scan of it says."""

import re
from functools import cache

import pytest
import yaml

from scanner.cluster.manifests import read_manifests
from scanner.model.finding import Outcome
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.builders import NOW
from tests.cli.running import EXAMPLE, REPOSITORY
from tests.kube import kube
from tests.services import ControlPlane

STORY = (REPOSITORY / "docs" / "example-company.md").read_text()
#: Place and policy of every risk that the table tells of.
TOLD = [
    (place, policy)
    for place, policies in re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", STORY, flags=re.MULTILINE)
    for policy in re.findall(r"`([^`]+)`", policies)
]


@cache
def _found() -> frozenset[tuple[str, str]]:
    snapshot = read_manifests([str(EXAMPLE)], cluster=ClusterName("example"), now=NOW)
    evaluation = evaluate(snapshot, load_policies(builtin_policies_root()), now=NOW)
    return frozenset(
        (f"{f.resource.namespace}/{f.resource.name}".strip("/"), f.policy)
        for f in evaluation.findings
        if f.outcome is Outcome.FAIL
    )


@pytest.mark.parametrize(("place", "policy"), TOLD)
def test_what_the_story_tells_is_found(place: str, policy: str) -> None:
    """Every row of the table."""
    assert (place, policy) in _found()


def test_the_story_has_a_risk_of_every_pillar() -> None:
    """Pods, RBAC, network, secrets and readiness."""
    assert {policy.partition("/")[0] for _, policy in TOLD} == {"pods", "rbac", "network", "secrets", "readiness"}


def test_the_good_teams_have_nothing_serious() -> None:
    """The storefront and the ledger are what the others should become."""
    good = {("shop/storefront", p) for p in _serious()} | {("payments/ledger", p) for p in _serious()}
    assert good & _found() <= {
        ("shop/storefront", "network/no-ingress-isolation"),
        ("payments/ledger", "readiness/budget-blocks-drains"),
    }


def _serious() -> list[str]:
    policies = load_policies(builtin_policies_root())
    return [policy.id for policy in policies if policy.severity.rank >= 1]


@pytest.mark.control_plane
def test_a_real_api_server_accepts_the_company(control_plane: ControlPlane) -> None:
    """Every object, by dry-run, in a namespace of its own name; the namespaces themselves are created."""
    objects = [o for file in sorted(EXAMPLE.glob("*.yaml")) for o in yaml.safe_load_all(file.read_text())]
    with kube(control_plane) as server:
        server.install(o for o in objects if o["kind"] == "Namespace")
        for thing in objects:
            # Kubernetes brings cluster-admin along.
            if thing["kind"] != "Namespace" and thing["metadata"]["name"] != "cluster-admin":
                answer = server.create(thing, dry_run=True)
                assert answer.is_success, answer.text
