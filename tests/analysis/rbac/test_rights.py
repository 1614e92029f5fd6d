"""Who holds a right, alone or together with others, and how bad that is."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from scanner.analysis.rbac import bootstrap
from scanner.analysis.rbac.rights import subjects_who_can
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, RBAC_V1, binding, cluster_role, role, rule, snapshot

READ_SECRETS = {"any_of": [{"verbs": ["get", "list"], "resources": ["secrets"]}], "in_namespace": "low"}
READER = cluster_role("reader", rule("get", "secrets"))
#: Two halves that count together; the first has no namespace.
HALVES = {
    "together": [
        [
            {"verbs": ["create"], "resources": ["persistentvolumes"], "cluster_scoped": True},
            {"verbs": ["create"], "resources": ["pods"]},
        ]
    ]
}
VOLUMES, PODS = (
    cluster_role("volumes", rule("create", "persistentvolumes")),
    cluster_role("pods", rule("create", "pods")),
)


def _answers(
    *objects: dict[str, Any],
    asked: Mapping[str, Any],
    source: SourceKind = SourceKind.LIVE,
    server_version: str = "v1.37.2",
) -> dict[str, Answer]:
    seen = snapshot(*objects, source=source, server_version=server_version)
    return {str(answer.resource): answer for answer in subjects_who_can(seen, now=NOW, **asked)}


def _failing(*objects: dict[str, Any], asked: Mapping[str, Any], server_version: str = "v1.37.2") -> list[str]:
    answers = _answers(*objects, asked=asked, server_version=server_version)
    return [name for name, answer in answers.items() if answer.outcome is Outcome.FAIL]


def test_every_subject_is_judged_once() -> None:
    """Subjects that cannot are answered too, so that passes are counted."""
    bound = binding("ClusterRole reader", "User jane", "ServiceAccount shop/cart")
    other = binding("ClusterRole pods", "User joe", "User jane", name="other")
    answers = _answers(READER, PODS, bound, other, asked=READ_SECRETS)
    assert {name: str(a.outcome) for name, a in answers.items()} == {
        "ServiceAccount shop/cart": "fail",
        "User jane": "fail",
        "User joe": "pass",
    }


def test_a_service_account_is_named_with_its_uid() -> None:
    """The finding's resource is the account as the scan saw it."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "c", "namespace": "shop", "uid": "u1"},
    }
    (answer,) = _answers(
        account, READER, binding("ClusterRole reader", "ServiceAccount shop/c"), asked=READ_SECRETS
    ).values()
    assert answer.resource.uid == "u1"


def test_evidence_is_the_chain() -> None:
    """Binding and rule are shown with their places and values."""
    (answer,) = _answers(READER, binding("ClusterRole reader", "Group ops"), asked=READ_SECRETS).values()
    assert [(str(fact.object), fact.path) for fact in answer.evidence] == [
        ("ClusterRoleBinding reader-binding", "subjects[0]"),
        ("ClusterRole reader", "rules[0]"),
    ]


def test_evidence_holds_the_rule_as_it_stands() -> None:
    """The rule's value is the JSON of the role."""
    (answer,) = _answers(READER, binding("ClusterRole reader", "Group ops"), asked=READ_SECRETS).values()
    assert answer.evidence[1].value == {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}


def test_a_user_is_an_object_of_rbac() -> None:
    """Users and groups exist in bindings alone."""
    (answer,) = _answers(READER, binding("ClusterRole reader", "User jane"), asked=READ_SECRETS).values()
    assert (answer.resource.api_version, answer.resource.kind) == (RBAC_V1, "User")


@pytest.mark.parametrize(("namespace", "severity"), [("", None), ("shop", Severity.LOW), ("kube-system", None)])
def test_single_namespaces_weigh_less(namespace: str, severity: Severity | None) -> None:
    """The policy's severity is for the whole cluster, and for kube-system, which is as good."""
    bound = binding("ClusterRole reader", "User jane", namespace=namespace)
    assert _answers(READER, bound, asked=READ_SECRETS)["User jane"].severity is severity


def test_halves_count_together() -> None:
    """Two bindings of one subject that give both halves are a finding."""
    objects = (VOLUMES, PODS, binding("ClusterRole volumes", "User jane"), binding("ClusterRole pods", "User jane"))
    assert _failing(*objects, asked=HALVES) == ["User jane"]


def test_a_half_in_a_namespace_joins_a_half_that_has_none() -> None:
    """What has no namespace holds in each."""
    pods = binding("ClusterRole pods", "User jane", namespace="shop")
    assert _failing(VOLUMES, PODS, binding("ClusterRole volumes", "User jane"), pods, asked=HALVES) == ["User jane"]


def test_halves_of_different_subjects_do_not_count() -> None:
    """One has the volumes, the other the pods: neither has both."""
    objects = (VOLUMES, PODS, binding("ClusterRole volumes", "User jane"), binding("ClusterRole pods", "User joe"))
    assert _failing(*objects, asked=HALVES) == []


def test_a_half_may_come_from_a_group() -> None:
    """A service account that adds the missing half to what its group has is the finding, the group is not."""
    group = binding("ClusterRole pods", "Group system:serviceaccounts")
    own = binding("ClusterRole volumes", "ServiceAccount shop/cart")
    assert _failing(VOLUMES, PODS, group, own, asked=HALVES) == ["ServiceAccount shop/cart"]


def test_a_role_binding_grants_nothing_that_has_no_namespace() -> None:
    """A ClusterRole with a cluster-scoped resource, bound in a namespace, is no way."""
    volumes = binding("ClusterRole volumes", "User jane", namespace="shop")
    assert _failing(VOLUMES, PODS, volumes, binding("ClusterRole pods", "User jane"), asked=HALVES) == []


@pytest.mark.parametrize(("names", "found"), [("", ["User jane"]), ("master", ["User jane"]), ("harmless", [])])
def test_a_restricted_rule_counts_only_for_the_names_that_matter(names: str, found: list[str]) -> None:
    """A rule with resourceNames counts if one of them yields as much as all."""
    asked = {"any_of": [{"verbs": ["use"], "resources": ["keys"], "names": ["master"]}]}
    keys = cluster_role("keys", rule("use", "keys", names=names))
    assert _failing(keys, binding("ClusterRole keys", "User jane"), asked=asked) == found


@pytest.mark.parametrize(
    ("version", "found"), [("v1.34.9", 1), ("v1.35.0", 0), ("v1.37.2+k3s1", 0), ("v1.9", 1), ("", 1)]
)
def test_a_way_may_have_ended_with_a_release(version: str, found: int) -> None:
    """What a release closed counts on older ones, and where the release is not known."""
    asked = {"any_of": [{"verbs": ["get"], "resources": ["secrets"], "before": "1.35"}]}
    bound = binding("ClusterRole reader", "User jane")
    assert len(_failing(READER, bound, asked=asked, server_version=version)) == found


def test_a_resource_may_have_group_and_subresource() -> None:
    """`deployments.apps/scale` is asked in its parts."""
    asked = {"any_of": [{"verbs": ["update"], "resources": ["deployments.apps/scale"]}]}
    scaler = role("scaler", rule("update", "deployments/scale", group="apps"))
    assert _failing(scaler, binding("Role scaler", "User jane", namespace="shop"), asked=asked) == ["User jane"]


#: A role and a binding of Kubernetes' own, as every cluster has them, and what the role allows.
OWN = "system:controller:job-controller"
CREATE_PODS = {"any_of": [{"verbs": ["create", "delete"], "resources": ["pods"]}]}


def _own(*added_rules: dict[str, Any], labels: Mapping[str, str] = dict([bootstrap.LABEL])) -> list[dict[str, Any]]:
    known = next(r for r in bootstrap.bootstrap_roles() if r.ref.name == OWN)
    rules = [msgspec.to_builtins(rule) for rule in known.rules]
    bound = binding(f"ClusterRole {OWN}", "ServiceAccount kube-system/job-controller", name=OWN)
    bound["metadata"]["labels"] = dict([bootstrap.LABEL])
    return [cluster_role(OWN, *rules, *added_rules, labels=labels), bound]


def test_kubernetes_own_grants_fail_as_expected() -> None:
    """They are listed, with the reason why they are as they should be."""
    (answer,) = _answers(*_own(), asked=CREATE_PODS).values()
    assert (answer.outcome, answer.expected) == (
        Outcome.FAIL,
        f"Kubernetes' own ClusterRoleBinding {OWN}, unchanged",
    )


@pytest.mark.parametrize(
    "changed",
    [_own(rule("get", "leases")), _own(labels={})],
    ids=["one more rule", "without the label"],
)
def test_a_changed_role_of_kubernetes_stands_out(changed: list[dict[str, Any]]) -> None:
    """Whoever widens it gives its subjects what nobody expects, even where the finding is about another right."""
    (answer,) = _answers(*changed, asked=CREATE_PODS).values()
    assert (answer.outcome, answer.expected) == (Outcome.FAIL, "")


def test_a_role_written_in_another_order_is_unchanged() -> None:
    """What counts is what the rules grant."""
    own = _own()
    own[0]["rules"].reverse()
    (answer,) = _answers(*own, asked=CREATE_PODS).values()
    assert answer.expected


def test_a_second_grant_of_the_same_right_stands_out() -> None:
    """An identity of Kubernetes that someone bound elsewhere too."""
    more = binding("ClusterRole pods", "ServiceAccount kube-system/job-controller")
    (answer,) = _answers(*_own(), PODS, more, asked=CREATE_PODS).values()
    assert answer.expected == ""


@pytest.mark.parametrize(("release", "is_expected"), [("v1.34.1", True), ("v1.37.0", False), ("", False)])
def test_an_older_release_may_have_given_less(release: str, *, is_expected: bool) -> None:
    """Its role has fewer rules by itself; on the release that we know, someone took them away."""
    own = _own()
    own[0]["rules"].pop()
    (answer,) = _answers(*own, asked=CREATE_PODS, server_version=release).values()
    assert bool(answer.expected) is is_expected


@pytest.mark.parametrize("release", ["v1.31.3", "v1.37.2"])
def test_what_an_older_release_gave_a_role_is_expected(release: str) -> None:
    """An API server that was upgraded since left it there; it is no less than this release's, and no more."""
    name = "system:controller:expand-controller"
    known = next(r for r in bootstrap.bootstrap_roles() if r.ref.name == name)
    rules = [*(msgspec.to_builtins(each) for each in known.rules), rule("get", "secrets")]
    bound = binding(f"ClusterRole {name}", "ServiceAccount kube-system/expand-controller", name=name)
    bound["metadata"]["labels"] = dict([bootstrap.LABEL])
    own = [cluster_role(name, *rules, labels=dict([bootstrap.LABEL])), bound]
    (answer,) = _answers(*own, asked=READ_SECRETS, server_version=release).values()
    assert answer.expected


EVERYTHING = cluster_role("owner", rule("*", "*", group="*"))
OWNS = binding("ClusterRole owner", "User jane")


def test_who_may_do_everything_is_no_finding_of_other_rights() -> None:
    """It neither fails nor passes: the one finding that says it all is another policy's."""
    assert _answers(EVERYTHING, OWNS, asked=READ_SECRETS) == {}


def test_who_may_do_everything_fails_where_everything_is_asked_for() -> None:
    """The policy that asks for every verb on every resource."""
    asked = {"any_of": [{"verbs": ["*"], "resources": ["*.*"]}]}
    assert _failing(EVERYTHING, OWNS, asked=asked) == ["User jane"]


def test_who_may_do_everything_fails_by_another_grant_all_the_same() -> None:
    """Taking the one away would leave the other."""
    more = binding("ClusterRole reader", "User jane", namespace="shop")
    answer = _answers(EVERYTHING, OWNS, READER, more, asked=READ_SECRETS)["User jane"]
    assert [str(fact.object) for fact in answer.evidence] == [
        "RoleBinding shop/reader-binding",
        "ClusterRole reader",
    ]


def test_two_grants_that_count_together_are_not_completed_by_everything() -> None:
    """Who may do everything and one half besides is no finding of the other half."""
    assert _answers(EVERYTHING, OWNS, PODS, binding("ClusterRole pods", "User jane"), asked=HALVES) == {}


SWEEPER = cluster_role("sweeper", rule("delete get", "*", group="*"))
SWEEPS = binding("ClusterRole sweeper", "User jane")
DELETE_PODS: dict[str, Any] = {"any_of": [{"verbs": ["delete"], "resources": ["pods"]}]}


def test_a_rule_on_all_resources_is_a_finding_of_each_right() -> None:
    """What matters is said by the policy that it matters to."""
    assert _failing(SWEEPER, SWEEPS, asked=DELETE_PODS) == ["User jane"]


def test_a_rule_on_all_resources_is_none_of_what_yields_little() -> None:
    """Such policies look past it; that about wildcards says it once."""
    assert _answers(SWEEPER, SWEEPS, asked=DELETE_PODS | {"past_wildcards": True}) == {}


def test_a_rule_on_all_resources_of_a_group_is_not_looked_past() -> None:
    """It is about that group, and the policy about wildcards may say little of it."""
    core = cluster_role("sweeper", rule("delete get", "*"))
    assert _failing(core, SWEEPS, asked=DELETE_PODS | {"past_wildcards": True}) == ["User jane"]


def test_a_role_outside_the_files_leaves_it_unknown() -> None:
    """A ClusterRole that the cluster may have already could hold the right."""
    bound = binding("ClusterRole elsewhere", "User jane")
    answer = _answers(bound, asked=READ_SECRETS, source=SourceKind.MANIFESTS)["User jane"]
    assert (answer.outcome, answer.missing) == (
        Outcome.UNKNOWN,
        ("ClusterRole elsewhere: it may be in the cluster already",),
    )


def test_a_role_outside_the_files_cannot_lend_a_role_binding_cluster_scope() -> None:
    """Whatever the ClusterRole holds, a RoleBinding to it grants nothing that has no namespace."""
    asked = {"any_of": [{"verbs": ["create"], "resources": ["nodes/proxy"], "cluster_scoped": True}]}
    bound = binding("ClusterRole elsewhere", "User jane", namespace="shop")
    assert _answers(bound, asked=asked, source=SourceKind.MANIFESTS)["User jane"].outcome is Outcome.PASS


def test_files_without_bindings_judge_nobody() -> None:
    """Kubernetes' own bindings are assumed, not judged."""
    assert _answers(READER, asked=READ_SECRETS, source=SourceKind.MANIFESTS) == {}
