"""Applied, a proposal makes the findings about its subject go away, by the engine's own verdict."""

from pathlib import Path

import pytest

from scanner.analysis.rbac.least_privilege import proposals
from scanner.analysis.rbac.proof import applied
from scanner.analysis.rbac.requests import identity_of, user_of
from scanner.analysis.rbac.usage import Observed, usages_of
from scanner.model.finding import Outcome
from scanner.model.snapshot import Snapshot
from scanner.policy.evaluate import evaluate
from scanner.policy.load import builtin_policies_root, load_policies
from tests.analysis.rbac.test_least_privilege import asked
from tests.builders import NOW, binding, cluster_role, rule, snapshot, workload

CART = identity_of(user_of("shop", "cart"))
POLICIES = load_policies(Path(str(builtin_policies_root())), only=("rbac/*",))


def found(seen: Snapshot) -> set[str]:
    """Return the policies that fail for the service account cart."""
    findings = evaluate(seen, POLICIES, now=NOW).findings
    return {
        finding.policy
        for finding in findings
        if finding.outcome is Outcome.FAIL and str(finding.resource) == "ServiceAccount shop/cart"
    }


@pytest.mark.parametrize(
    ("granted", "policy"),
    [
        (rule("*", "*", group="*"), "rbac/cluster-admin-bound"),
        (rule("get list watch", "secrets pods"), "rbac/read-secrets"),
        (rule("get list create", "pods pods/exec"), "rbac/exec-into-pods"),
        (rule("get list create", "pods"), "rbac/create-workloads"),
        (rule("*", "pods"), "rbac/wildcard-rights"),
        (rule("list impersonate", "pods users"), "rbac/impersonate-identities"),
    ],
)
def test_findings_end_where_the_right_was_not_used(granted: dict[str, object], policy: str) -> None:
    """What was granted beyond the use is what the policy found."""
    seen = snapshot(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "cart", "namespace": "shop"}},
        cluster_role("wide", granted),
        binding("ClusterRole wide", "ServiceAccount shop/cart"),
        workload(serviceAccountName="cart"),
    )
    record = usages_of([Observed(identity=CART, request=asked("list shop pods"), is_allowed=True, at=NOW)])
    after = applied(seen, proposals(seen, record))
    assert (policy in found(seen), found(after)) == (True, set())


def test_finding_about_a_right_that_is_used_stays() -> None:
    """A proposal hides nothing: what is used and dangerous is still told, where it still holds."""
    seen = snapshot(
        cluster_role("wide", rule("*", "*", group="*")), binding("ClusterRole wide", "ServiceAccount shop/cart")
    )
    record = usages_of([Observed(identity=CART, request=asked("list shop secrets"), is_allowed=True, at=NOW)])
    assert "rbac/read-secrets" in found(applied(seen, proposals(seen, record)))
