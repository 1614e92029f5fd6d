"""Who reaches a Secret, and how."""

from typing import Any

import pytest

from scanner.analysis.paths.secret_access import secret_paths
from scanner.model.coverage import Read, ReadState
from scanner.model.rbac import Subject
from scanner.model.resources import RESOURCES
from scanner.model.snapshot import Snapshot, SourceKind
from tests.analysis.paths.builders import access_to, means_of, pod, secret
from tests.builders import binding, cluster_role, role, rule, snapshot

EVE = "User eve"


def eve_may(verbs: str, resources: str, *, group: str = "", names: str = "", cluster: bool = False) -> Snapshot:
    """Give eve one right beside a pod that uses Secret db, and an account `reader` that may get it."""
    wanted = rule(verbs, resources, group=group, names=names)
    given = (
        (cluster_role("eve", wanted), binding("ClusterRole eve", EVE, name="eve"))
        if cluster
        else (role("eve", wanted), binding("Role eve", EVE, namespace="shop", name="eve"))
    )
    reader = (
        role("reader", rule("get", "secrets", names="db")),
        binding("Role reader", "ServiceAccount shop/reader", namespace="shop", name="reader"),
    )
    return snapshot(pod(), *reader, *given)


@pytest.mark.parametrize(
    ("verbs", "resources", "means"),
    [
        ("get", "secrets", ["get"]),
        ("list", "secrets", ["list"]),
        ("watch", "secrets", ["watch"]),
        ("patch", "secrets", ["patch"]),
        ("deletecollection", "secrets", ["deletecollection"]),
        ("*", "secrets", ["get", "list", "watch", "patch", "deletecollection"]),
        ("update delete create", "secrets", None),
        ("create", "pods", ["runPod"]),
        ("create", "pods/exec", ["exec"]),
        ("get", "pods/exec", None),
        ("create", "pods/attach", ["attach"]),
        ("patch", "pods/ephemeralcontainers", ["ephemeralContainer"]),
        ("update", "pods", ["changeImage"]),
        ("create", "pods/portforward", ["portForward"]),
        ("get", "pods", None),
        ("create", "serviceaccounts/token", ["token get"]),
        ("impersonate", "serviceaccounts", ["impersonate get"]),
    ],
)
def test_each_right_leads_there_its_way(verbs: str, resources: str, means: list[str] | None) -> None:
    """What answers with the Secret, what comes into a pod that has it, and what acts as one who reads it."""
    assert means_of(access_to(eve_may(verbs, resources))).get(EVE) == means


@pytest.mark.parametrize(
    ("verbs", "resources", "names", "means"),
    [
        ("get", "secrets", "db", ["get"]),
        ("list watch", "secrets", "db", ["list", "watch"]),
        ("get", "secrets", "other", None),
        ("deletecollection", "secrets", "db", None),
        ("create", "pods/exec", "web-0", ["exec"]),
        ("create", "pods/exec", "other", None),
        ("create", "serviceaccounts/token", "reader", ["token get"]),
        ("create", "serviceaccounts/token", "web", None),
    ],
)
def test_rights_on_names_lead_to_what_they_name(
    verbs: str, resources: str, names: str, means: list[str] | None
) -> None:
    """A right limited to names yields that Secret, pod or account, and no other."""
    assert means_of(access_to(eve_may(verbs, resources, names=names))).get(EVE) == means


@pytest.mark.parametrize(
    ("verbs", "resources", "group"),
    [
        ("create", "deployments", "apps"),
        ("patch", "daemonsets", "apps"),
        ("create", "cronjobs", "batch"),
        ("update", "replicationcontrollers", ""),
    ],
)
def test_whoever_writes_a_controller_runs_a_pod(verbs: str, resources: str, group: str) -> None:
    """Every built-in controller makes pods from a template, which may mount any Secret of the namespace."""
    assert means_of(access_to(eve_may(verbs, resources, group=group)))[EVE] == ["runPod"]


def test_the_kubelet_of_a_consumers_node_runs_commands_in_it() -> None:
    """A right on nodes/proxy counts where a pod that uses the Secret runs, and nowhere else."""
    there = access_to(eve_may("get", "nodes/proxy", names="n1", cluster=True))
    elsewhere = access_to(eve_may("get", "nodes/proxy", names="n2", cluster=True))
    assert means_of(there)[EVE] == ["nodeProxy"]
    assert EVE not in means_of(elsewhere)
    assert there.kubelets == {"n1": ("Pod shop/web-0",)}


def test_rights_that_only_yield_something_together_do() -> None:
    """Binding takes the right to bind and the right to write a binding."""
    rbac = "rbac.authorization.k8s.io"
    both = (rule("bind", "clusterroles", group=rbac), rule("create", "rolebindings", group=rbac))
    for rules, expected in ((both, ["bind"]), (both[:1], None), (both[1:], None)):
        seen = snapshot(secret(), role("eve", *rules), binding("Role eve", EVE, namespace="shop", name="eve"))
        assert means_of(access_to(seen)).get(EVE) == expected


def test_acting_as_somebody_is_followed_to_the_end_shortest_first() -> None:
    """Who makes a token for an account that runs pods as one who reads it: three steps, each with its chain."""
    seen = snapshot(
        secret(),
        role("reader", rule("get", "secrets"), namespace="shop"),
        binding("Role reader", "ServiceAccount tools/reader", namespace="shop", name="reader"),
        role("runner", rule("create", "pods"), namespace="tools"),
        binding("Role runner", "ServiceAccount ci/runner", namespace="tools", name="runner"),
        role("minter", rule("create", "serviceaccounts/token"), namespace="ci"),
        binding("Role minter", EVE, namespace="ci", name="minter"),
    )
    access = access_to(seen)
    assert means_of(access) == {
        "ServiceAccount tools/reader": ["get"],
        "ServiceAccount ci/runner": ["runPod get"],
        EVE: ["token runPod get"],
    }
    (route,) = access.reaches[-1].routes
    assert [str(chain) for step in route.steps for chain in step.chains] == [
        "RoleBinding ci/minter -> Role ci/minter -> rules[0]",
        "RoleBinding tools/runner -> Role tools/runner -> rules[0]",
        "RoleBinding shop/reader -> Role shop/reader -> rules[0]",
    ]


def test_who_reaches_all_is_named_once() -> None:
    """Members of masters, holders of everything and those who act as one of them are not repeated for each Secret."""
    seen = snapshot(
        secret(),
        cluster_role("all", rule("*", "*", group="*")),
        binding("ClusterRole all", "ServiceAccount ops/admin", name="all"),
        role("minter", rule("create", "serviceaccounts/token"), namespace="ops"),
        binding("Role minter", EVE, namespace="ops", name="minter"),
    )
    named = {
        str(subject): [step.means for step in route.steps] for subject, route in secret_paths(seen).everything.items()
    }
    assert means_of(access_to(seen)) == {}
    assert named == {
        "Group system:masters": ["get"],
        "ServiceAccount ops/admin": ["get"],
        EVE: ["token", "get"],
    }


def test_what_admission_may_refuse_is_said() -> None:
    """A webhook that sees pods may refuse the one that would mount the Secret."""
    hook = {
        "name": "pods.example.com",
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": "https://example.com"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
    }
    webhook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "guard"},
        "webhooks": [hook],
    }
    seen = snapshot(
        webhook,
        secret(),
        role("eve", rule("create", "pods")),
        binding("Role eve", EVE, namespace="shop", name="eve"),
    )
    (reach,) = access_to(seen).reaches
    assert reach.routes[0].doubts == (
        "admission may refuse it: ValidatingWebhookConfiguration guard/pods.example.com (Fail)",
    )


def test_controllers_that_copy_it_are_named() -> None:
    """An annotation tells them to; its value is not kept."""
    key = "replicator.v1.mittwald.de/replicate-to"
    (said,) = access_to(snapshot(secret(annotations={key: "other"}))).secret.copied_by
    assert said == f"Replicator copies it to other namespaces (annotation {key})"


def test_what_was_not_read_is_missing_from_the_answer() -> None:
    """Without bindings nobody can be said not to reach it."""
    coverage = [
        Read(
            resource=r.name,
            state=ReadState.FORBIDDEN if r.kind == "RoleBinding" else ReadState.COMPLETE,
        )
        for r in RESOURCES
    ]
    assert access_to(snapshot(secret(), coverage=coverage)).missing == ("list rolebindings.rbac.authorization.k8s.io",)


def test_counts_equal_the_answers_one_by_one() -> None:
    """Secrets are counted in groups; each count is what the Secret's own answer has."""
    seen = snapshot(
        pod(),
        pod("job-0", holds="key", account="reader"),
        secret(),
        secret("idle"),
        secret("idle", "other"),
        role("named", rule("get", "secrets", names="db")),
        binding("Role named", "ServiceAccount shop/reader", "Group ops", namespace="shop", name="named"),
        role("exec", rule("create", "pods/exec")),
        binding("Role exec", EVE, namespace="shop", name="exec"),
        cluster_role("list", rule("list", "secrets")),
        binding("ClusterRole list", "User lister", name="list"),
        binding("ClusterRole list", "User other", namespace="other", name="other"),
    )
    paths = secret_paths(seen)
    counted = {row.secret.ref: (row.direct, row.direct + row.indirect) for row in paths.counts[0]}
    answered = {}
    for known in paths.world.secrets:
        reaches = paths.access(known).reaches
        answered[known.ref] = (sum(r.routes[0].is_direct for r in reaches), len(reaches))
    assert counted == answered
    lister = next(
        row for row in paths.counts[1] if row.subject == Subject("User", "lister", "", "rbac.authorization.k8s.io")
    )
    assert lister.direct == len(paths.world.secrets)


@pytest.mark.parametrize(
    ("rules", "means"),
    [
        ((rule("create", "secrets"), rule("get", "secrets", names="mine")), "tokenSecret get"),
        ((rule("create patch", "secrets"),), "patch"),
        ((rule("create", "secrets"), rule("update", "secrets")), ""),
        ((rule("create", "secrets", names="mine"), rule("get", "secrets", names="mine")), ""),
    ],
)
def test_who_creates_secrets_and_reads_one_has_every_accounts_token(
    rules: tuple[dict[str, Any], ...], means: str
) -> None:
    """A Secret of the type for tokens is filled with one; a rule limited to names lets nobody create."""
    reader = role("reader", rule("get", "secrets", names="db"))
    bound = binding("Role reader", "ServiceAccount shop/reader", namespace="shop", name="reader")
    given = binding("Role eve", EVE, namespace="shop", name="eve")
    access = access_to(snapshot(pod(), reader, bound, role("eve", *rules), given))
    assert means_of(access).get(EVE, [""])[0] == means


def test_a_token_of_one_namespace_reaches_secrets_of_another() -> None:
    """Both rights stand in the step."""
    far = role("reader", rule("get", "secrets", names="db"))
    bound = binding("Role reader", "ServiceAccount tools/reader", namespace="shop", name="reader")
    rights = role("eve", rule("create", "secrets"), rule("get", "secrets", names="mine"), namespace="tools")
    access = access_to(snapshot(pod(), far, bound, rights, binding("Role eve", EVE, namespace="tools", name="eve")))
    (reach,) = (r for r in access.reaches if str(r.subject) == EVE)
    assert [chain.rule_index for chain in reach.routes[0].steps[0].chains] == [0, 1]


def _fed(*rules: dict[str, Any]) -> Snapshot:
    """Give eve some rights beside a ClusterRole that is fed by ClusterRole `part`, to which she is bound in shop."""
    selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "ops"}}]}
    return snapshot(
        pod(),
        cluster_role("ops") | {"aggregationRule": selector},
        cluster_role("part", rule("get", "secrets", names="db"), labels={"to": "ops"}),
        binding("ClusterRole ops", EVE, namespace="shop", name="ops"),
        cluster_role("eve", *rules),
        binding("ClusterRole eve", EVE, name="eve"),
        source=SourceKind.MANIFESTS,
    )


def test_a_step_names_the_role_that_feeds_an_aggregated_one() -> None:
    """The binding names another."""
    (reach,) = (r for r in access_to(_fed()).reaches if str(r.subject) == EVE)
    assert reach.routes[0].steps[0].text == "gets it, by a rule of ClusterRole part"


def test_who_may_write_any_right_into_a_role_that_feeds_its_own_reaches_all() -> None:
    """`escalate` and a write, both on that one name; another name feeds nothing."""
    rbac = "rbac.authorization.k8s.io"
    rights = rule("escalate patch", "clusterroles", group=rbac, names="part")
    routes = next(r for r in access_to(_fed(rights)).reaches if str(r.subject) == EVE).routes
    assert [step.text for route in routes for step in route.steps] == [
        "gets it, by a rule of ClusterRole part",
        "writes any right into ClusterRole part, which feeds ClusterRole ops in shop",
    ]
    for useless in (
        rule("escalate patch", "clusterroles", group=rbac, names="other"),
        rule("patch", "clusterroles", group=rbac, names="part"),
        rule("escalate", "clusterroles", group=rbac, names="part"),
    ):
        assert means_of(access_to(_fed(useless)))[EVE] == ["get"]
