"""`plimsoll network diff` as scripts and people use it."""

from pathlib import Path

import msgspec
import pytest

from tests.builders import network_policy, workload
from tests.cli.running import plimsoll

_PORT = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 6379}]}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A cart that everyone reaches, and then only the web on one port."""
    workloads = [workload("web"), workload("cart")]
    policy = network_policy("cart", {"matchLabels": {"app": "cart"}}, ingress=[_PORT])
    for name, objects in (("before", workloads), ("after", [*workloads, policy])):
        (tmp_path / name).mkdir()
        text = msgspec.json.encode({"apiVersion": "v1", "kind": "List", "items": objects})
        (tmp_path / name / "shop.json").write_bytes(text)
    return tmp_path / "before", tmp_path / "after"


def test_a_new_policy_is_named_with_what_it_closes(folders: tuple[Path, Path]) -> None:
    """The policy, the pair, and the ports that are closed from then on stand in the answer."""
    run = plimsoll("network", "diff", *folders, "--policy-only")
    assert run.status == 0
    assert run.out.startswith("added: NetworkPolicy shop/cart\n")
    assert "shop/web[Deployment] -> shop/cart[Deployment]\n  closed: TCP 1-6378,6380-65535, UDP 1-65535" in run.out


def test_json_has_sets_of_ends_and_states_before_and_after(folders: tuple[Path, Path]) -> None:
    """A script finds each difference with its ends and its ports by protocol."""
    found = plimsoll("network", "diff", *folders, "-o", "json").json
    web = next(d for d in found["differences"] if d["src"]["workloads"] == ["shop/web[Deployment]"])
    assert web["dst"] == {"workloads": ["shop/cart[Deployment]"], "addresses": []}
    ports = {"TCP": "1-6378,6380-65535", "UDP": "1-65535", "SCTP": "1-65535"}
    assert web["changes"] == [{"before": "open", "after": "closed", "ports": ports}]
    assert found["policies"][0]["change"] == "added"


def test_a_folder_has_no_difference_from_itself(folders: tuple[Path, Path]) -> None:
    """Nothing changed is said in words."""
    assert plimsoll("network", "diff", folders[1], folders[1]).out.startswith("Nobody can connect")


def test_a_snapshot_is_compared_with_manifests(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """What was saved of a cluster can be compared with what is to be applied."""
    saved = tmp_path / "before.snapshot"
    plimsoll("snapshot", "--manifests", folders[0], "-o", saved)
    assert plimsoll("network", "diff", saved, folders[1], "-o", "json").json["differences"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    """A slip of the pen is told without a traceback."""
    run = plimsoll("network", "diff", tmp_path / "none", tmp_path)
    assert (run.status, run.err.count("\n")) == (2, 1)
    assert "no such file or folder" in run.err
