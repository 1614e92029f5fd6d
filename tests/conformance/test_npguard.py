"""Published connectivity of np-guard's analyzer against ours, by policies alone; see docs/conformance/network.md."""

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from scanner.analysis.network.connections import Row, rows
from scanner.analysis.network.connectivity import connectivity
from scanner.analysis.network.ports import Span, merged
from scanner.cluster.manifests import read_manifests
from scanner.errors import InputError
from scanner.model.refs import ClusterName
from tests.builders import NOW

Case = dict[str, Any]
#: Ports by source, destination and protocol; a range of addresses stands as its first.
Cells = dict[tuple[str | int, str | int, str], tuple[Span, ...]]

#: How many cases of each shape there are; those of features of OVN-Kubernetes and multus are left out.
COUNTS = {"connections": 102, "errors": 20, "evaluations": 3, "other networks": 22}


def _cases(corpus: Path) -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {shape: [] for shape in COUNTS}
    for line in (corpus / "npguard" / "cases.jsonl").read_text().splitlines():
        case = json.loads(line)
        if case["options"].get("multiple_networks"):
            found["other networks"].append(case)
        elif "expect_error" in case:
            found["errors"].append(case)
        elif "expect_allowed" in case:
            found["evaluations"].append(case)
        else:
            found["connections"].append(case)
    return found


@cache
def _rows(folder: Path) -> tuple[Row, ...]:
    snapshot = read_manifests([folder], cluster=ClusterName("published"), now=NOW)
    return tuple(rows(connectivity(snapshot, policy_only=True)))


def test_all_cases_are_there(corpus: Path) -> None:
    """Nothing was added or dropped unseen."""
    assert {shape: len(cases) for shape, cases in _cases(corpus).items()} == COUNTS


def test_connections_are_those_that_were_published(corpus: Path) -> None:
    """Every case agrees, on every pair, address and port; nothing is left unknown."""
    different = [
        case["id"]
        for case in _cases(corpus)["connections"]
        if not _agrees(case, _rows(corpus / "npguard" / case["input_dir"]))
    ]
    assert different == []


def test_single_questions_have_the_published_answer(corpus: Path) -> None:
    """Each evaluation agrees."""
    different = []
    for case in _cases(corpus)["evaluations"]:
        asked = case["expect_allowed"]
        found = [
            row
            for row in _rows(corpus / "npguard" / case["input_dir"])
            if (_plain(row.src), _plain(row.dst), row.protocol) == (asked["src"], asked["dst"], asked["protocol"])
            and any(first <= asked["port"] <= last for first, last in _spans(row.ports))
        ]
        if bool(found) != asked["allowed"]:
            different.append(case["id"])
    assert different == []


def test_what_the_analyzer_refuses_is_answered_or_refused_in_one_line(corpus: Path) -> None:
    """Objects that an API server would not take crash nothing."""
    for case in _cases(corpus)["errors"]:
        try:
            assert isinstance(_rows(corpus / "npguard" / case["input_dir"]), tuple)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either end is right


@pytest.mark.parametrize(
    ("folder", "policy"),
    [
        ("np_bad_path_test_2", "NetworkPolicy"),
        ("anp_bad_path_test_8", "AdminNetworkPolicy"),
        ("banp_bad_path_test_4", "BaselineAdminNetworkPolicy"),
    ],
)
def test_a_rule_that_means_nothing_makes_what_it_may_touch_unknown(corpus: Path, folder: str, policy: str) -> None:
    """It neither opens nor closes, and the row names the policy."""
    found = _rows(corpus / "npguard" / "tests" / folder)
    assert any(policy in row.unknown for row in found)


def _agrees(case: Case, found: Sequence[Row]) -> bool:
    expected = [(e["src"], e["dst"], e["conn"]) for e in case["expect_connections"] if "{" not in e["src"]]
    if any(row.unknown for row in found):
        return False
    # Upstream knows IPv4 alone.
    kept = [row for row in found if ":" not in row.src + row.dst and _is_in_focus(case["options"], row)]
    ours = [(row.src, row.dst, {row.protocol: _spans(row.ports)}) for row in kept]
    focus = case["options"].get("focus_conn")
    if focus:
        protocol, _, port = focus.upper().partition("-")
        only = {protocol: [(int(port), int(port))]}
        ours = [(s, d, only) for s, d, ports in ours if any(a <= int(port) <= b for a, b in ports.get(protocol, ()))]
        theirs = [(s, d, only) for s, d, _ in expected]
    else:
        theirs = [(s, d, _connection(conn)) for s, d, conn in expected]
    cuts = sorted({cut for s, d, _ in (*ours, *theirs) for end in (s, d) for cut in _edges(end)})
    return _cells(ours, cuts) == _cells(theirs, cuts)


def _cells(found: Iterable[tuple[str, str, Mapping[str, Sequence[Span]]]], cuts: Sequence[int]) -> Cells:
    spans: dict[tuple[str | int, str | int, str], list[Span]] = {}
    for source, destination, ports in found:
        for pair in ((s, d) for s in _parts(source, cuts) for d in _parts(destination, cuts)):
            for protocol, those in ports.items():
                spans.setdefault((*pair, protocol), []).extend(those)
    return {key: merged(those) for key, those in spans.items()}


def _range(end: str) -> tuple[int, int] | None:
    matched = re.match(r"(\d+\.\d+\.\d+\.\d+)-(\d+\.\d+\.\d+\.\d+)", end)
    if matched is None:
        return None
    return int(ipaddress.ip_address(matched[1])), int(ipaddress.ip_address(matched[2]))


def _edges(end: str) -> tuple[int, ...]:
    found = _range(end)
    return (found[0], found[1] + 1) if found else ()


def _parts(end: str, cuts: Sequence[int]) -> Iterator[str | int]:
    """Yield a workload as it is, a range as its parts between all cuts."""
    found = _range(end)
    if found is None:
        yield end
    else:
        yield from (cut for cut in cuts if found[0] <= cut <= found[1])


def _connection(text: str) -> dict[str, list[Span]]:
    """Read `All Connections` or `SCTP 1-9002,9004-65535,TCP 80`."""
    if text == "All Connections":
        return {protocol: [(1, 65535)] for protocol in ("TCP", "UDP", "SCTP")}
    found: dict[str, list[Span]] = {}
    protocol = ""
    for word in re.split("[ ,]", text):
        if word.isalpha():
            protocol = word
        else:
            found.setdefault(protocol, []).extend(_spans(word))
    return found


def _spans(ports: str) -> list[Span]:
    return [(int(part.partition("-")[0]), int(part.rpartition("-")[2])) for part in ports.split(",")]


def _plain(end: str) -> str:
    return end.partition("[")[0]


def _is_in_focus(options: Mapping[str, Any], row: Row) -> bool:
    """Tell whether upstream's options list a row."""
    chosen = options.get("focus_workloads")
    if not chosen:
        return True
    peers, direction = options.get("focus_workload_peers"), options.get("focus_direction")
    return any(
        _is_one_of(chosen, own) and (not peers or _is_one_of(peers, peer)) and direction in {None, seen}
        for own, peer, seen in ((row.src, row.dst, "egress"), (row.dst, row.src, "ingress"))
    )


def _is_one_of(names: Sequence[str], end: str) -> bool:
    return bool({_plain(end), _plain(end).rpartition("/")[2]} & set(names))
