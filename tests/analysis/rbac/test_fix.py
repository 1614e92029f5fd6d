"""Which change is proposed for a finding, and how it is said."""

from typing import Any

import msgspec
import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.changed import object_name
from scanner.model.change import Create, Operation
from scanner.model.snapshot import SourceKind
from scanner.policy.evaluate import evaluate
from scanner.policy.fixes import UNDONE, Fix, fixes_of, repair_of
from scanner.policy.load import load_policies
from tests.builders import NOW, binding, cluster_role, rule, snapshot
from tests.policies.fixtures import ROOT

READ_SECRETS = load_policies(ROOT, only=("rbac/read-secrets",))
MIXED = cluster_role("reader", rule("get list", "pods secrets"))
PURE = cluster_role("reader", rule("get", "secrets"))


def _fix(*objects: dict[str, Any], resource: str = "User jane", source: SourceKind = SourceKind.LIVE) -> Fix:
    seen = snapshot(*objects, source=source)
    found = evaluate(seen, READ_SECRETS, now=NOW).findings
    return fixes_of(seen, READ_SECRETS, found, now=NOW).of(next(f for f in found if str(f.resource) == resource))


def _said(operations: tuple[Operation, ...]) -> list[str]:
    return [f"{type(o).__name__} {object_name(o)}".lower() for o in operations]


def test_a_role_of_ones_own_loses_what_was_judged() -> None:
    """Nobody else uses it, so the rule is narrowed where it stands."""
    (patch,) = _fix(MIXED, binding("ClusterRole reader", "User jane")).operations
    assert list(msgspec.to_builtins(patch)["patch"]) == [
        {"op": "test", "path": "/rules/0", "value": rule("get list", "pods secrets")},
        {"op": "replace", "path": "/rules/0", "value": rule("get list", "pods")},
    ]


def test_those_who_all_fail_share_the_narrowed_role() -> None:
    """What is taken from one is a finding of the others too."""
    shared = cluster_role("all", rule("get", "pods"), rule("list", "secrets"))
    others = binding("ClusterRole all", "Group ops", namespace="shop", name="others")
    mine = binding("ClusterRole all", "User jane", "Group pods", namespace="shop", name="mine")
    assert _said(_fix(shared, others, mine).operations) == ["patch clusterrole all"]


def test_who_is_not_concerned_keeps_the_role() -> None:
    """A right on a resource without namespace is none through a RoleBinding, so only one of the two fails."""
    volumes = cluster_role("volumes", rule("get create", "persistentvolumes"))
    policies = load_policies(ROOT, only=("rbac/create-persistent-volumes",))
    seen = snapshot(
        volumes,
        binding("ClusterRole volumes", "User jane"),
        binding("ClusterRole volumes", "User joe", namespace="shop"),
    )
    (finding,) = evaluate(seen, policies, now=NOW).findings
    operations = fixes_of(seen, policies, [finding], now=NOW).of(finding).operations
    assert _said(operations) == [
        "create clusterrole volumes-without-create-persistent-volumes",
        "create clusterrolebinding volumes-binding-without-create-persistent-volumes",
        "delete clusterrolebinding volumes-binding",
    ]
    assert isinstance(operations[0], Create)
    assert operations[0].object["rules"] == [rule("get", "persistentvolumes")]


def test_a_name_that_a_binding_waits_for_is_not_taken() -> None:
    """Otherwise the new role would give its rules to whoever waits."""
    volumes = cluster_role("volumes", rule("get create", "persistentvolumes"))
    policies = load_policies(ROOT, only=("rbac/create-persistent-volumes",))
    waiting = binding("ClusterRole volumes-without-create-persistent-volumes", "User eve", name="waits")
    joe = binding("ClusterRole volumes", "User joe", namespace="shop")
    seen = snapshot(volumes, binding("ClusterRole volumes", "User jane"), joe, waiting)
    (finding,) = evaluate(seen, policies, now=NOW).findings
    created = fixes_of(seen, policies, [finding], now=NOW).of(finding).operations[0]
    assert object_name(created).name == "volumes-without-create-persistent-volumes-2"


def test_a_role_with_nothing_else_goes_with_its_binding() -> None:
    """A live cluster shows that nobody else uses it."""
    fix = _fix(PURE, binding("ClusterRole reader", "User jane"))
    assert _said(fix.operations) == ["delete clusterrolebinding reader-binding", "delete clusterrole reader"]


def test_files_may_lack_who_else_uses_a_role() -> None:
    """So it stays."""
    fix = _fix(PURE, binding("ClusterRole reader", "User jane"), source=SourceKind.MANIFESTS)
    assert _said(fix.operations) == ["delete clusterrolebinding reader-binding"]


def test_one_of_several_subjects_is_taken_out() -> None:
    """The others stay bound."""
    fix = _fix(PURE, binding("ClusterRole reader", "Group ops", "User jane"))
    (patch,) = msgspec.to_builtins(fix.operations)
    assert list(patch["patch"]) == [
        {
            "op": "test",
            "path": "/subjects/1",
            "value": {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"},
        },
        {"op": "remove", "path": "/subjects/1"},
    ]


def test_an_aggregated_role_is_narrowed_at_its_source() -> None:
    """A controller would write the rule again."""
    source = cluster_role("source", rule("get", "secrets"), rule("get", "pods"), labels={"feeds": "reader"})
    aggregated = cluster_role("reader", rule("get", "secrets"), rule("get", "pods")) | {
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"feeds": "reader"}}]}
    }
    fix = _fix(source, aggregated, binding("ClusterRole reader", "User jane"))
    assert _said(fix.operations) == ["patch clusterrole source"]


def test_kubernetes_own_roles_are_left_as_they_are() -> None:
    """The API server would restore `admin` when it starts: who is bound to it gets a narrower copy."""
    bound = binding("ClusterRole edit", "User jane", namespace="shop")
    fix = _fix(bound, source=SourceKind.MANIFESTS)
    assert _said(fix.operations) == [
        "create role shop/edit-without-read-secrets",
        "create rolebinding shop/edit-binding-without-read-secrets",
        "delete rolebinding shop/edit-binding",
    ]


def test_what_the_api_server_would_restore_is_no_fix() -> None:
    """Its own subject in its own binding, as soon as someone widened the role that the binding is to."""
    own = "system:controller:generic-garbage-collector"
    widened = cluster_role(own, rule("get", "secrets"))
    bound = binding(f"ClusterRole {own}", "ServiceAccount kube-system/generic-garbage-collector", name=own)
    for thing in (widened, bound):
        thing["metadata"]["labels"] = dict([bootstrap.LABEL])
    fix = _fix(widened, bound, resource="ServiceAccount kube-system/generic-garbage-collector")
    assert fix == Fix(reason=UNDONE)


def test_what_someone_added_to_kubernetes_own_role_goes() -> None:
    """The role keeps what Kubernetes gave it."""
    own = "system:controller:generic-garbage-collector"
    known = next(r for r in bootstrap.bootstrap_roles() if r.ref.name == own)
    widened = cluster_role(own, *(msgspec.to_builtins(r) for r in known.rules), rule("impersonate", "users"))
    bound = binding(f"ClusterRole {own}", "ServiceAccount kube-system/generic-garbage-collector", name=own)
    for thing in (widened, bound):
        thing["metadata"]["labels"] = dict([bootstrap.LABEL])
    policies = load_policies(ROOT, only=("rbac/impersonate-identities",))
    seen = snapshot(widened, bound)
    (finding,) = evaluate(seen, policies, now=NOW).findings
    assert _said(fixes_of(seen, policies, [finding], now=NOW).of(finding).operations) == [f"patch clusterrole {own}"]


def test_two_fixes_of_one_role_add_up() -> None:
    """The second is made for what the first leaves."""
    policies = load_policies(ROOT, only=("rbac/read-secrets", "rbac/exec-into-pods"))
    both = cluster_role("both", rule("get", "secrets"), rule("create", "pods/exec"), rule("get", "pods"))
    seen = snapshot(both, binding("ClusterRole both", "User jane"))
    found = evaluate(seen, policies, now=NOW).findings
    repair = repair_of(seen, policies, found, now=NOW)
    assert evaluate(repair.after, policies, now=NOW).findings == ()
    assert [r.resources for r in repair.after.roles["ClusterRole", "", "both"].rules] == [("pods",)]


@pytest.mark.parametrize("count", [2, 3])
def test_one_fix_may_end_several_findings(count: int) -> None:
    """Those that are left need nothing more."""
    subjects = [f"User jane{n}" for n in range(count)]
    seen = snapshot(MIXED, binding("ClusterRole reader", *subjects))
    found = evaluate(seen, READ_SECRETS, now=NOW).findings
    steps = repair_of(seen, READ_SECRETS, found, now=NOW).steps
    assert [len(fix.operations) for _, fix in steps] == [1] + [0] * (count - 1)
