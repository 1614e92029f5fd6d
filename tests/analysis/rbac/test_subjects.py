"""How findings about subjects read."""

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.requests import Request, identity_of
from scanner.analysis.rbac.subjects import CHAINS_SHOWN, evidence_of
from scanner.model.finding import Fact
from tests.builders import binding, cluster_role, rule, snapshot


def evidence(number: int) -> tuple[Fact, ...]:
    """Return the evidence of a right that so many bindings give."""
    bindings = [binding("ClusterRole reader", "User jane", name=f"b-{n:05}") for n in range(number)]
    authorizer = authorizer_of(snapshot(cluster_role("reader", rule("get", "pods")), *bindings))
    return evidence_of(authorizer.can(identity_of("jane"), Request(verb="get", resource="pods")).chains)


def test_a_few_bindings_are_all_shown() -> None:
    """Each once, and the rule once."""
    assert len(evidence(CHAINS_SHOWN)) == CHAINS_SHOWN + 1


def test_of_thousands_of_bindings_the_first_are_shown_and_the_rest_counted() -> None:
    """A finding stays readable."""
    found = evidence(5000)
    assert len(found) == CHAINS_SHOWN + 2
    assert found[-1].note == "4,950 more grants like these"
