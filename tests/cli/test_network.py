"""`plimsoll network` as scripts and people use it."""

from pathlib import Path

import msgspec
import pytest

from tests.builders import network_policy, workload
from tests.cli.running import Run, plimsoll

_FROM_WEB = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 6379}]}


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A cart that only the web may reach, on one port."""
    objects = [
        workload("web"),
        workload("cart"),
        network_policy("cart", {"matchLabels": {"app": "cart"}}, ingress=[_FROM_WEB]),
    ]
    (tmp_path / "shop.json").write_bytes(msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": objects}))
    return tmp_path


def _run(*words: str, manifests: Path) -> Run:
    return plimsoll("network", *words, "--manifests", manifests)


def test_rows_of_json_follow_the_contract(manifests: Path) -> None:
    """A workload's row has its ends, its protocol and its ports; the row of what is denied is missing."""
    found = [r for r in _run("connections", "-o", "json", manifests=manifests).json if r["dst"].startswith("shop/cart")]
    web = {"src": "shop/web[Deployment]", "dst": "shop/cart[Deployment]", "protocol": "TCP", "ports": "6379"}
    assert found == [web]


def test_addresses_outside_are_ranges(manifests: Path) -> None:
    """What nothing isolates is reached from every address of both families."""
    found = {r["src"] for r in _run("connections", "-o", "json", manifests=manifests).json if "/" not in r["src"]}
    assert found == {"0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}


def test_csv_has_a_header(manifests: Path) -> None:
    """The first line names the columns."""
    assert _run("connections", "-o", "csv", manifests=manifests).out.splitlines()[0] == "src,dst,protocol,ports,unknown"


def test_an_explanation_names_the_rule_that_allows(manifests: Path) -> None:
    """Policy, path and ports stand in the answer."""
    out = _run("explain", "shop/web", "shop/cart", "--port", "6379", manifests=manifests).out
    assert "NetworkPolicy shop/cart spec.ingress[0]: Allow TCP 6379" in out


def test_an_explanation_of_what_is_denied_names_the_policy_that_isolates(manifests: Path) -> None:
    """No rule means the peer; the policy that isolates is why."""
    out = _run("explain", "192.0.2.1", "shop/cart", manifests=manifests).out
    assert "NetworkPolicy shop/cart isolates, and none of its rules means this peer" in out


def test_a_question_about_one_port_is_answered_yes_or_no(manifests: Path) -> None:
    """`allowed` is about the port that was asked for."""
    answers = [
        _run("explain", "shop/web", "shop/cart", "--port", port, "-o", "json", manifests=manifests).json["allowed"]
        for port in ("6379", "6380")
    ]
    assert answers == [True, False]


def test_an_end_that_does_not_exist_is_bad_input(manifests: Path) -> None:
    """One line says so."""
    ended = _run("explain", "shop/nobody", "shop/cart", manifests=manifests)
    assert (ended.status, ended.err) == (2, "plimsoll: shop/nobody: no such workload with pods\n")


def test_exposure_names_scope_and_targets(manifests: Path) -> None:
    """Every workload has an entry with what it is reached from and what it reaches."""
    found = {e["workload"]: e for e in _run("exposure", "-o", "json", manifests=manifests).json}
    cart = found["shop/cart[Deployment]"]
    assert (cart["reachedFrom"], cart["reaches"]["internet"]["verdict"]) == ("own namespace", "open")


def test_exposure_is_a_table_by_default(manifests: Path) -> None:
    """One block a workload."""
    assert "shop/cart[Deployment]" in _run("exposure", manifests=manifests).out.splitlines()
