"""`plimsoll rbac least-privilege`: from an audit log to roles."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.builders import binding, cluster_role, rule
from tests.cli.running import Run, plimsoll

CART = "system:serviceaccount:shop:cart"
OBJECTS = (
    cluster_role("wide", rule("*", "*", group="*")),
    binding("ClusterRole wide", "ServiceAccount shop/cart", "User jane", name="wide"),
)


def event(verb: str = "get", resource: str = "configmaps", user: str = CART, *, decision: str = "allow") -> str:
    """Write one line of an audit log."""
    return json.dumps(
        {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "stage": "ResponseComplete",
            "requestURI": f"/api/v1/namespaces/shop/{resource}",
            "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "objectRef": {"resource": resource, "namespace": "shop", "name": "prices"},
            "requestReceivedTimestamp": "2026-11-23T12:00:00.000000Z",
            "annotations": {"authorization.k8s.io/decision": decision},
        }
    )


LOG = "\n".join([event(), event("list"), event("get", "secrets", decision="forbid"), "", event("get", "pods", "jane")])


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A service account and a user with every right."""
    file = tmp_path / "world.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return file


def ask(manifests: Path, *options: str, log: bytes = LOG.encode(), output: str = "json") -> Run:
    """Compare a log, given on standard input, with the manifests."""
    return plimsoll("rbac", "least-privilege", "-", *options, "-o", output, "--manifests", manifests, stdin=log)


def proposal(run: Run, name: str = "cart") -> Any:
    """Return the proposal for a subject."""
    return next(found for found in run.json["proposals"] if found["subject"]["name"] == name)


def test_json_holds_the_roles(manifests: Path) -> None:
    """What was used, and no more, as manifests."""
    made, bound = proposal(ask(manifests))["manifests"]
    assert made["rules"] == [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]}]
    assert bound["subjects"] == [{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}]


def test_json_names_what_is_replaced(manifests: Path) -> None:
    """The wide binding is named."""
    assert [found["name"] for found in proposal(ask(manifests))["replaces"]] == ["wide"]


def test_json_says_how_much_was_proven(manifests: Path) -> None:
    """The authorizer was asked about every recorded request and every proposed right."""
    assert ask(manifests).json["proof"] == {"requests": 3, "rights": 3}


def test_denied_requests_are_not_granted(manifests: Path) -> None:
    """They are counted."""
    found = proposal(ask(manifests))
    assert (found["denied"], "secrets" in json.dumps(found["manifests"])) == (1, False)


def test_yaml_is_manifests(manifests: Path) -> None:
    """The output can be applied as it is."""
    kinds = [thing["kind"] for thing in yaml.safe_load_all(ask(manifests, output="yaml").out) if thing]
    assert kinds == ["Role", "RoleBinding", "Role", "RoleBinding"]


def test_yaml_says_what_to_do_besides(manifests: Path) -> None:
    """A role that is added narrows nothing; the wide binding has to go."""
    assert (
        "# once the proposed roles are bound, take it out of: ClusterRoleBinding wide"
        in ask(manifests, output="yaml").out
    )


def test_table_names_what_is_wider_than_its_use(manifests: Path) -> None:
    """A person sees why."""
    out = ask(manifests, output="table").out
    assert "any verb, used: get, list; any API group, used: the core; any resource, used: configmaps" in out


def test_one_identity_can_be_asked_for(manifests: Path) -> None:
    """The others are left out."""
    found = ask(manifests, "--identity", CART).json["proposals"]
    assert [each["subject"]["name"] for each in found] == ["cart"]


def test_names_can_be_asked_for(manifests: Path) -> None:
    """Roles can be limited to named objects."""
    rules = proposal(ask(manifests, "--resource-names", log=event().encode()))["manifests"][0]["rules"]
    assert rules[0]["resourceNames"] == ["prices"]


def test_packed_log_is_read(manifests: Path) -> None:
    """Rotated logs are packed."""
    assert ask(manifests, log=gzip.compress(LOG.encode())).json["log"]["events"] == 4


def test_several_files_are_one_log(manifests: Path, tmp_path: Path) -> None:
    """A rotated log has many files."""
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_text(LOG)
    ended = plimsoll(
        *("rbac", "least-privilege", tmp_path / "a.log", tmp_path / "b.log", "-o", "json", "--manifests", manifests)
    )
    assert (ended.status, ended.json["log"]["events"]) == (0, 8)


def test_lines_that_are_no_events_are_told_once(manifests: Path) -> None:
    """They are counted, the first is named, the rest is used, and the status says that it is not the whole."""
    ended = ask(manifests, log=f"{event()}\noops\n{{}}\n".encode())
    assert ended.err == "plimsoll: 2 lines are no audit events and were passed over, first -: line 2\n"
    assert (ended.status, ended.json["log"]["malformed"]) == (3, 2)


@pytest.mark.parametrize("log", [b"", b"hello\n", b'{"kind": "Pod"}\n'])
def test_what_is_no_log_is_refused(manifests: Path, log: bytes) -> None:
    """One clear line says so."""
    ended = ask(manifests, log=log)
    assert (ended.status, ended.err) == (2, "plimsoll: -: no audit event in there\n")


def test_broken_packing_is_refused(manifests: Path) -> None:
    """A file that breaks off is not taken for a short log."""
    ended = ask(manifests, log=gzip.compress(LOG.encode())[:-20])
    assert (ended.status, ended.err) == (2, "plimsoll: -: broken gzip data\n")


def test_missing_file_is_refused(manifests: Path) -> None:
    """It is named."""
    ended = plimsoll("rbac", "least-privilege", "/nonexistent.log", "--manifests", manifests)
    assert (ended.status, ended.err) == (2, "plimsoll: /nonexistent.log: No such file or directory\n")


def test_control_characters_are_not_printed(manifests: Path) -> None:
    """What a log says can't move the terminal's cursor."""
    log = event(user=CART) + "\n" + event("get", "\x1b[31mred", CART, decision="allow")
    assert "\x1b" not in ask(manifests, log=log.encode(), output="table").out
