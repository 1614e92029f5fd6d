"""`plimsoll pss`: the verdicts that scripts depend on."""

from pathlib import Path

import pytest

from tests.builders import container, pod, workload
from tests.cli.running import EXAMPLE, plimsoll
from tests.kube import kube
from tests.services import ControlPlane

BARE_POD = """\
apiVersion: v1
kind: Pod
metadata: {name: bare, namespace: shop}
spec:
  hostPID: true
  containers: [{name: "c\\e[31m", image: registry.example.com/shop/app:1.0.0, securityContext: {privileged: true}}]
"""


def test_the_json_verdicts_have_the_contracted_shape() -> None:
    """One for each workload, sorted, with checks by their ids."""
    rows = plimsoll("pss", "--level", "restricted", "--version", "v1.37", "--manifests", EXAMPLE, "-o", "json").json
    for row in rows:
        assert row["resource"].keys() == {"apiVersion", "kind", "namespace", "name", "uid"}
        assert row["allowed"] == (row["forbidden"] == [])
        for forbidden in row["forbidden"]:
            assert {"check", "detail"} <= forbidden.keys()
    names = [(r["apiVersion"], r["kind"], r["namespace"], r["name"]) for r in (row["resource"] for row in rows)]
    assert len(names) > 8
    assert names == sorted(set(names))


def test_a_bare_pod_is_told_of_itself(tmp_path: Path) -> None:
    """With the plugin's words and the fields that they are about."""
    (tmp_path / "pod.yaml").write_text(BARE_POD.replace("\\e[31m", ""))
    (row,) = plimsoll("pss", "--level", "baseline", "--manifests", tmp_path, "-o", "json").json
    assert (row["resource"]["kind"], row["allowed"]) == ("Pod", False)
    assert [(f["check"], f["detail"], f["evidence"][0]["path"]) for f in row["forbidden"]] == [
        ("hostNamespaces", "hostPID=true", "spec.hostPID"),
        (
            "privileged",
            'container "c" must not set securityContext.privileged=true',
            "spec.containers[0].securityContext.privileged",
        ),
    ]


def test_what_is_forbidden_is_an_answer_and_no_failure() -> None:
    """Status 0, as the contract has it."""
    assert plimsoll("pss", "--level", "restricted", "--manifests", EXAMPLE).status == 0


def test_the_table_says_what_would_break_by_namespace() -> None:
    """Namespace, workload, check and field."""
    shown = plimsoll("pss", "--level", "baseline", "--manifests", EXAMPLE).out
    assert "Namespace warehouse: baseline v1.37 refuses pods of 2 of 2 workloads\n" in shown
    assert "Namespace shop: baseline v1.37 allows every workload (2)\n" in shown
    assert (
        '        privileged: container "printer" must not set securityContext.privileged=true\n'
        "            spec.template.spec.containers[0].securityContext.privileged\n"
    ) in shown


def test_a_namespace_can_be_asked_for_alone() -> None:
    """Of files too."""
    rows = plimsoll("pss", "--level", "baseline", "--manifests", EXAMPLE, "-n", "shop", "-o", "json").json
    assert {row["resource"]["namespace"] for row in rows} == {"shop"}


def test_a_saved_snapshot_is_judged_as_the_files_were(tmp_path: Path) -> None:
    """Elsewhere or later."""
    saved = tmp_path / "company.snapshot"
    assert plimsoll("snapshot", "--manifests", EXAMPLE, "-o", saved).status == 0
    asked = ("pss", "--level", "restricted", "-o", "json")
    assert plimsoll(*asked, "--snapshot", saved).json == plimsoll(*asked, "--manifests", EXAMPLE).json


def test_a_broken_document_leaves_the_answer_incomplete(tmp_path: Path) -> None:
    """Status 3, and the rest is judged."""
    (tmp_path / "mixed.yaml").write_text("a: [1\n---\n" + BARE_POD)
    ended = plimsoll("pss", "--level", "baseline", "--manifests", tmp_path, "-o", "json")
    assert (ended.status, len(ended.json)) == (3, 1)


def test_names_forge_nothing(tmp_path: Path) -> None:
    """No control character of an object reaches the terminal."""
    (tmp_path / "pod.yaml").write_text(BARE_POD)
    assert "\x1b" not in plimsoll("pss", "--level", "baseline", "--manifests", tmp_path).out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "pss needs either --level or --enforced"),
        (("--level", "privileged"), "argument --level: invalid choice: 'privileged'"),
        (("--level", "baseline", "--version", "1.30"), "'1.30' is not latest or one of v1.0 to v1.37"),
        (("--level", "baseline", "--version", "v1.38"), "'v1.38' is not latest or one of v1.0 to v1.37"),
    ],
)
def test_a_bad_level_or_version_is_one_clear_line(arguments: tuple[str, ...], complaint: str) -> None:
    """On stderr, with status 2 and nothing on stdout."""
    ended = plimsoll("pss", *arguments, "--manifests", EXAMPLE)
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert complaint in ended.err


@pytest.mark.control_plane
def test_a_live_namespace_is_judged_with_what_only_its_pods_have(control_plane: ControlPlane) -> None:
    """A Deployment whose template is fine, and a bare Pod that somebody debugs with a container that is not."""
    named = {"metadata": {"name": "pss-live"}}
    bare = pod("bare", namespace="pss-live")
    bare.pop("status")
    fine = workload("fine", namespace="pss-live", labels={"app": "fine"})
    fine["spec"]["selector"] = {"matchLabels": {"app": "fine"}}
    with kube(control_plane) as server:
        server.install([{"apiVersion": "v1", "kind": "Namespace", **named}, bare, fine])
        path = f"{server.path(bare)}/bare"
        running = server.client.get(path).json()
        running["spec"]["ephemeralContainers"] = [container("debugger", securityContext={"privileged": True})]
        assert server.client.put(f"{path}/ephemeralcontainers", json=running).is_success
    asked = ("pss", "--level", "baseline", "-n", "pss-live", "-o", "json", "--kubeconfig", control_plane.kubeconfig)
    ended = plimsoll(*asked)
    found = {row["resource"]["name"]: [f["evidence"][0]["path"] for f in row["forbidden"]] for row in ended.json}
    assert (ended.status, ended.err) == (0, "")
    assert found == {"bare": ["spec.ephemeralContainers[0].securityContext.privileged"], "fine": []}


@pytest.mark.control_plane
def test_policies_that_mutate_pods_are_read_from_a_live_cluster(control_plane: ControlPlane) -> None:
    """In the newest version that it serves."""
    group = "admissionregistration.k8s.io"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    only_here = {"matchLabels": {"kubernetes.io/metadata.name": "pss-mutated"}}
    change = "Object{metadata: Object.metadata{annotations: {'pss-mutated': 'yes'}}}"
    spec = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": only_here},
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}],
    }
    named = {"metadata": {"name": "pss-mutated"}}
    with kube(control_plane) as server:
        versions = server.client.get(f"/apis/{group}").json()["versions"]
        newest = next(v["groupVersion"] for v in versions)
        policy = {"apiVersion": newest, "kind": "MutatingAdmissionPolicy", **named, "spec": spec}
        bound = {"apiVersion": newest, "kind": "MutatingAdmissionPolicyBinding", **named}
        created = [policy, {**bound, "spec": {"policyName": "pss-mutated"}}]
        assert server.install([{"apiVersion": "v1", "kind": "Namespace", **named}, *created]) == []
        try:
            asked = ("pss", "--enforced", "-n", "pss-mutated", "-o", "json", "--kubeconfig", control_plane.kubeconfig)
            (found,) = plimsoll(*asked).json
        finally:
            for thing in created:
                server.client.delete(f"{server.path(thing)}/pss-mutated").raise_for_status()
    assert found["mutations"] == ["pss-mutated, bound by pss-mutated (Ignore)"]


def test_a_misshapen_webhook_is_one_clear_line(tmp_path: Path) -> None:
    """What it would enforce cannot be told, and nothing is said of the rest."""
    hook = "{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: odd}"
    (tmp_path / "odd.yaml").write_text(hook + ", webhooks: {a: 1}}\n---\n" + BARE_POD)
    result = plimsoll("pss", "--enforced", "--manifests", tmp_path)
    assert result.status != 0
    assert "has a shape that Kubernetes has not" in result.err
    assert "Traceback" not in result.err
