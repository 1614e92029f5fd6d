"""Policy files become policies, and every complaint names file, line and field."""

import re
from pathlib import Path

import pytest

from scanner.errors import PolicyError
from scanner.model.policy import PolicyId, Severity
from scanner.policy.load import builtin_policies_root, check_fixtures, load_policies, load_policy

GOOD = """\
title: Container runs privileged
severity: high
confidence: certain
rationale: >
  It owns the node.
remediation: Remove it.
frameworks: {cis-kubernetes: ["5.2.2"]}
sources: [https://kubernetes.io/]
for: container
forbid: container.?securityContext.?privileged.orValue(false)
"""

ASKING = GOOD.partition("for:")[0] + "ask: pods.debug_containers\n"


def write(root: Path, text: str, policy_id: str = "pods/privileged") -> Path:
    """Write a policy file into a folder of policies."""
    file = root / policy_id / "policy.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def test_a_file_becomes_a_policy(tmp_path: Path) -> None:
    """The id is the folder, texts lose the line end of YAML's blocks."""
    policy = load_policy(write(tmp_path, GOOD), PolicyId("pods/privileged"))
    assert (policy.id, policy.severity, policy.rationale) == ("pods/privileged", Severity.HIGH, "It owns the node.")


def test_a_question_is_loaded(tmp_path: Path) -> None:
    """A policy may ask instead of forbidding."""
    assert load_policy(write(tmp_path, ASKING), PolicyId("pods/x")).ask == "pods.debug_containers"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("severity: high", "severity: hihg", ":2: severity: 'hihg' is not one of"),
        ("severity: high", "severity: high\nseverity: low", ":3: severity: stands there twice, first in line 2"),
        ("title: Container runs privileged", "title: ''", ":1: title: must be a text that is not empty"),
        ("remediation: Remove it.\n", "", ":1: remediation: missing"),
        ("rationale: >\n  It owns the node.\n", "", ":1: rationale: missing"),
        ("frameworks: {cis", "framworks: {cis", ":7: framworks: unknown key"),
        (
            '["5.2.2"]',
            "[5.2]",
            ":7: frameworks: frameworks.cis-kubernetes: 5.2 must be a text that is not empty; quote it",
        ),
        ("sources: [https://kubernetes.io/]", "sources: []", ":8: sources: sources must be a list that is not empty"),
        ('{cis-kubernetes: ["5.2.2"]}', "{}", ":7: frameworks: empty"),
        (
            "frameworks: {cis",
            "chapter: speed\nframeworks: {cis",
            ":7: chapter: 'speed' is not one of high-availability",
        ),
        ("for: container", "for: Contaner", ":9: for: 'Contaner' is neither container, workload nor a kind"),
        ("orValue(false)", "orValue(false", ":10: forbid: "),
        ("container.?sec", "kontainer.?sec", ":10: forbid: undeclared reference to 'kontainer'"),
        (
            GOOD.partition("for:")[2],
            " workload\ncontainers: [init]\nforbid: pod.?hostPID.orValue(false)\n",
            ":10: containers: goes with `for: container` only",
        ),
        ("for: container", "for: container\ncontainers: [main]", ":10: containers: 'main' is not one of"),
        ("for: container", "for: container\npath: a..b", ":10: path: not a field path"),
        ("for: container", "for: container\nmessage: nope", ":10: message: undeclared reference to 'nope'"),
        ("for: container", "for: container\nwith: {}", ":10: with: goes with ask, not with forbid"),
        ("for: container", "for: container\nask: a.b", ":1: exactly one of forbid and ask"),
        ("title:", "- title:", ":"),
        ("title: Container runs privileged", "title: [", ":"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """A complaint names the file, the line and the field."""
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PolicyError, match=re.escape(f"{file}{complaint}")):
        load_policy(file, PolicyId("pods/privileged"))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("pods.debug_containers", "pods.nope", ":9: ask: no question is named 'pods.nope'"),
        (
            "containers\n",
            "containers\nwith: {nope: 1}\n",
            ":10: with: question pods.debug_containers takes no argument",
        ),
        ("containers\n", "containers\nwith: {now: 1}\n", ":10: with: question pods.debug_containers takes no argument"),
        ("containers\n", "containers\nforbid: 'true'\n", ":1: exactly one of forbid and ask"),
        ("containers\n", "containers\nfor: container\n", ":10: for: goes with forbid, not with ask"),
    ],
)
def test_what_is_wrong_with_a_question_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """Questions and their arguments are checked against the table."""
    file = write(tmp_path, ASKING.replace(old, new))
    with pytest.raises(PolicyError, match=re.escape(f"{file}{complaint}")):
        load_policy(file, PolicyId("pods/x"))


def test_policies_come_sorted(tmp_path: Path) -> None:
    """The order is that of ids."""
    for name in ("rbac/b", "pods/z", "pods/a"):
        write(tmp_path, GOOD, name)
    assert [p.id for p in load_policies(tmp_path)] == ["pods/a", "pods/z", "rbac/b"]


def test_globs_select_policies(tmp_path: Path) -> None:
    """`only` takes, `skip` takes away."""
    for name in ("rbac/b", "pods/z", "pods/a"):
        write(tmp_path, GOOD, name)
    assert [p.id for p in load_policies(tmp_path, only=["pods/*"], skip=["*/z"])] == ["pods/a"]


def test_a_past_id_selects_a_policy(tmp_path: Path) -> None:
    """Who named a policy by its old id still gets it."""
    write(tmp_path, GOOD + "formerly: [pods/old]\n")
    assert len(load_policies(tmp_path, only=["pods/old"])) == 1


def test_a_glob_that_names_nothing_is_refused(tmp_path: Path) -> None:
    """A scan by no policy would look clean."""
    write(tmp_path, GOOD)
    with pytest.raises(PolicyError, match="no policy is named 'pds"):
        load_policies(tmp_path, only=["pds/*"])


def test_two_policies_cannot_share_an_id(tmp_path: Path) -> None:
    """Their findings would be one."""
    write(tmp_path, GOOD, "pods/a")
    write(tmp_path, GOOD + "formerly: [pods/a]\n", "pods/b")
    with pytest.raises(PolicyError, match="the id 'pods/a' already belongs to pods/a"):
        load_policies(tmp_path)


@pytest.mark.parametrize("missing", ["pass.yaml", "fail-init.yaml", "expected.json"])
def test_a_policy_without_its_fixtures_is_refused(tmp_path: Path, missing: str) -> None:
    """Each needs a manifest that passes, one that fails, and what is expected of them."""
    folder = write(tmp_path, GOOD).parent
    for name in {"pass.yaml", "fail-init.yaml", "expected.json"} - {missing}:
        (folder / name).write_text("")
    with pytest.raises(PolicyError, match="pods/privileged: no "):
        check_fixtures(tmp_path)


def test_the_policies_of_the_product_are_found() -> None:
    """In a source tree they lie beside the package."""
    assert (builtin_policies_root() / "pods" / "privileged-container" / "policy.yaml").is_file()
