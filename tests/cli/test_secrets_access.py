"""`plimsoll secrets access` and `usage`: the answers that scripts depend on."""

import json
from pathlib import Path

import pytest

from tests.analysis.paths.builders import pod
from tests.builders import binding, role, rule
from tests.cli.running import plimsoll

OBJECTS = (
    pod(),
    role("reader", rule("get", "secrets", names="db")),
    binding("Role reader", "User \x1b[31mred", namespace="shop", name="reader"),
)


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """A small world as files."""
    file = tmp_path / "world.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": OBJECTS}))
    return file


def test_one_secret_as_json(manifests: Path) -> None:
    """Who reaches it, each with its chain, and what uses it."""
    found = plimsoll("secrets", "access", "db", "-n", "shop", "-o", "json", "--manifests", manifests).json
    reach = next(r for r in found["reaches"] if r["subject"]["name"].endswith("red"))
    assert reach["routes"][0]["steps"][0]["chains"][0]["binding"]["name"] == "reader"
    assert [use["user"]["name"] for use in found["uses"]] == ["web-0"]


def test_people_read_the_chain_and_no_escapes(manifests: Path) -> None:
    """A name that would colour the terminal does not."""
    shown = plimsoll("secrets", "access", "db", "-n", "shop", "--manifests", manifests).out
    assert "  User \\x1b[31mred gets it by its name\n      RoleBinding shop/reader -> Role shop/reader" in shown


def test_without_a_name_all_are_summed_up(manifests: Path) -> None:
    """The widest open first, and who reaches most."""
    ended = plimsoll("secrets", "access", "--manifests", manifests)
    assert ended.out.startswith("1 Secrets are known")
    summary = plimsoll("secrets", "access", "-o", "json", "--manifests", manifests).json
    assert [(row["name"], row["consumers"]) for row in summary["secrets"]] == [("db", 1)]


def test_usage_names_each_place(manifests: Path) -> None:
    """The object, the kind of use and the path."""
    shown = plimsoll("secrets", "usage", "--manifests", manifests).out
    assert shown.splitlines() == [
        "Secret shop/db",
        "  Pod shop/web-0 env key p: spec.containers[0].env[0].valueFrom.secretKeyRef",
    ]


@pytest.mark.parametrize("words", [("db",), ("db", "-n", "a", "-n", "b"), ("db", "-n", "nowhere")])
def test_a_secret_needs_one_namespace_that_there_is(manifests: Path, words: tuple[str, ...]) -> None:
    """Otherwise one clear line, and status 2."""
    ended = plimsoll("secrets", "access", *words, "--manifests", manifests)
    assert (ended.status, len(ended.err.splitlines())) == (2, 1)
