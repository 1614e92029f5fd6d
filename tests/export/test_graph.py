"""Pictures of connectivity are legible, and names in them are harmless."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from scanner.analysis.network.connectivity import connectivity
from scanner.export.graph import Graph, dot, graph_of, mermaid
from scanner.export.graph_svg import svg
from tests.browser import Browser
from tests.builders import network_policy, snapshot, workload

_HOSTILE = 'x"]; <script>alert(1)</script> & `\\'

_FROM_WEB = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}], "ports": [{"port": 6379}]}


def _shop() -> list[dict[str, Any]]:
    """A cart that only the web reaches, on one port."""
    return [
        workload("web"),
        workload("cart"),
        network_policy("cart", {"matchLabels": {"app": "cart"}}, ingress=[_FROM_WEB]),
    ]


def _graph(*objects: dict[str, Any], namespace: str = "") -> Graph:
    return graph_of(connectivity(snapshot(*objects), policy_only=True), namespace)


def _edges(graph: Graph) -> set[tuple[str, str, str]]:
    return {(graph.nodes[e.source].label, graph.nodes[e.destination].label, e.label) for e in graph.edges}


def test_an_edge_has_the_ports() -> None:
    """The web reaches the cart on one; nobody else does."""
    found = {edge for edge in _edges(_graph(*_shop())) if edge[1] == "cart"}
    assert found == {("web", "cart", "TCP 6379")}


def test_workloads_that_are_treated_alike_are_one_node() -> None:
    """By namespace; beyond three they are counted."""
    graph = _graph(*(workload(f"w{number}") for number in range(5)))
    assert "w0, w1, w2 and 2 more" in {node.label for node in graph.nodes}


def test_what_everyone_may_is_one_edge() -> None:
    """Instead of one from each namespace, and one from outside."""
    graph = _graph(*(workload("w", namespace=f"n{number}") for number in range(6)))
    into = [edge for edge in graph.edges if graph.nodes[edge.destination].group == "n0"]
    assert [graph.nodes[edge.source].label for edge in into] == ["anyone"]


def test_who_is_no_part_of_everyone_is_named() -> None:
    """An isolated sender stands out."""
    mute = network_policy("mute", {}, namespace="n0", policyTypes=["Egress"])
    graph = _graph(mute, *(workload("w", namespace=f"n{number}") for number in range(6)))
    assert "anyone but n0/w" in {node.label for node in graph.nodes}


def test_a_hundred_workloads_that_differ_fit_on_a_picture() -> None:
    """Each has a policy of its own; namespaces are drawn instead."""
    objects = [
        thing
        for number in range(100)
        for name, namespace in [(f"w{number}", f"n{number % 5}")]
        for thing in (
            workload(name, namespace=namespace),
            network_policy(
                name, {"matchLabels": {"app": name}}, namespace=namespace, ingress=[{"ports": [{"port": number + 1}]}]
            ),
        )
    ]
    graph = _graph(*objects)
    assert "some of 20 workloads" in {node.label for node in graph.nodes}
    assert len(graph.nodes) <= 60
    assert len(graph.edges) <= 160


def test_addresses_that_a_policy_tells_apart_are_nodes() -> None:
    """An edge from the outside never means more addresses than may."""
    block = {"from": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}
    graph = _graph(workload("cart"), network_policy("cart", {}, ingress=[block]))
    assert {edge for edge in _edges(graph) if edge[1] == "cart"} == {("192.0.2.0/24", "cart", "any port")}


def test_one_namespace_has_its_connections_alone() -> None:
    """Others are whole namespaces, and what they do among each other is left out."""
    graph = _graph(*_shop(), *(workload(f"w{n}", namespace=f"other{n % 2}") for n in range(4)), namespace="shop")
    assert all("shop" in {graph.nodes[e.source].group, graph.nodes[e.destination].group} for e in graph.edges)


def test_what_depends_on_the_network_plugin_is_dashed() -> None:
    """It may be."""
    graph = graph_of(connectivity(snapshot(*_shop(), workload("agent", hostNetwork=True))))
    assert any(not edge.is_sure for edge in graph.edges)


def test_svg_is_well_formed_whatever_names_are() -> None:
    """No name becomes an element."""
    root = ET.fromstring(svg(_graph(workload(_HOSTILE), workload("web"))))  # noqa: S314 - our own text
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "style", "rect", "text", "path"}


@pytest.mark.parametrize("forbidden", ['x"]', "<script>", "`"])
def test_mermaid_has_no_name_unescaped(forbidden: str) -> None:
    """Quotes, brackets and angles are entities."""
    assert forbidden not in mermaid(_graph(workload(_HOSTILE)))


def test_dot_has_no_name_unescaped() -> None:
    """A quote does not end the string, a backslash starts no escape, and an angle no element of an HTML page."""
    written = 'label="x\\"]; &lt;script&gt;alert(1)&lt;/script&gt; &amp; `\\\\"'
    assert written in dot(_graph(workload(_HOSTILE)))


_HOSTILE_NAMES = (
    _HOSTILE,
    "]]><a onload=alert(1)>",
    "end\nsubgraph x",
    "%%{init: {}}%%",
    '"<b>"',
    "&#60;script&#62;",
    "\u202egnp.exe",
    "\x00\x1b[31m",
    "\\N\\G\\",
    "名前" * 40,
    "#quot;",
    "--> n0",
)


def _hostile() -> Graph:
    return _graph(*(workload(name, namespace=f"n{n} {name}") for n, name in enumerate(_HOSTILE_NAMES)))


def test_graphviz_reads_hostile_names_as_labels() -> None:
    """It finds as many nodes and edges as were written, and nothing else."""
    program = shutil.which("dot")
    if program is None:
        missing = "SKIPPED LOUDLY: no Graphviz; install Debian's package graphviz"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    graph = _hostile()
    ran = subprocess.run([program, "-Tplain"], input=dot(graph), capture_output=True, text=True, check=True)
    lines = [line.split(" ", 1)[0] for line in re.sub(r"\\\n", "", ran.stdout).splitlines()]
    assert (lines.count("node"), lines.count("edge"), ran.stderr) == (len(graph.nodes), len(graph.edges), "")


#: Tells what a browser drew: how wide texts are beyond their picture or box, and which overlap.
_MEASURE = """
<script>
const texts = [...document.querySelectorAll('text')].map(t => [t.textContent, t.getBBox()]);
const boxes = [...document.querySelectorAll('rect.b')].map(r => r.getBBox());
const isIn = (t, b) => t.x >= b.x &&
  t.x + t.width <= b.x + b.width && t.y >= b.y - 1 && t.y + t.height <= b.y + b.height + 1;
const overlaps = (a, b) => a.x < b.x + b.width &&
  b.x < a.x + a.width && a.y + 2 < b.y + b.height && b.y + 2 < a.y + a.height;
const found = {
  count: texts.length, smallest: Math.min(...texts.map(([, b]) => b.height)),
  outside: texts.filter(([, t]) => t.y > 40 && !boxes.some(b => isIn(t, b))).map(([w]) => w),
  overlapping: texts.flatMap(([w, a], i) =>
    texts.slice(i + 1).filter(([, b]) => overlaps(a, b)).map(([v]) => [w, v])),
  scripts: document.querySelectorAll('svg script, svg a, svg b').length,
};
document.body.innerHTML = '<pre></pre>';
document.querySelector('pre').textContent = JSON.stringify(found);
</script>
"""


def _measured(browser: Browser, folder: Path, graph: Graph) -> dict[str, Any]:
    page = folder / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body>{svg(graph)}{_MEASURE}</body>", encoding="utf-8")
    shown = re.search(r"<pre>(.*)</pre>", browser.dom(page), re.DOTALL)
    assert shown, "the page has no measures"
    return dict(json.loads(html.unescape(shown[1])))


def _hundred() -> Graph:
    """A hundred workloads with long names in ten namespaces, in five tiers with a policy each, some undecided."""
    objects: list[dict[str, Any]] = [workload("agent", namespace="team-0", hostNetwork=True)]
    for number in range(100):
        namespace, tier = f"team-{number // 10}", f"tier-{number % 5}"
        objects.append(
            workload(f"mammoth-warehouse-{number}", namespace=namespace, labels={"app": f"w{number}", "tier": tier})
        )
    for team in range(10):
        for step in range(5):
            before = {"podSelector": {"matchLabels": {"tier": f"tier-{step - 1}"}}}
            rule = {"from": [before], "ports": [{"port": 8000 + step}]}
            selector = {"matchLabels": {"tier": f"tier-{step}"}}
            objects.append(network_policy(f"t{step}", selector, namespace=f"team-{team}", ingress=[rule]))
    return graph_of(connectivity(snapshot(*objects)))


@pytest.mark.browser
@pytest.mark.parametrize("make", [_hundred, _hostile])
def test_a_browser_draws_texts_in_their_boxes_and_apart(
    browser: Browser, tmp_path: Path, make: Callable[[], Graph]
) -> None:
    """At a hundred workloads, and whatever names are; nothing in them is an element."""
    found = _measured(browser, tmp_path, make())
    assert found.pop("count") > 20
    assert found.pop("smallest") >= 12
    assert found == {"outside": [], "overlapping": [], "scripts": 0}


@pytest.mark.browser
def test_a_picture_is_dark_for_who_prefers_that(browser: Browser, tmp_path: Path) -> None:
    """Both are legible, and they differ."""
    page = tmp_path / "graph.svg"
    page.write_text(svg(_hundred()), encoding="utf-8")
    light, dark = (browser.screenshot(page, tmp_path / f"{dark}.png", dark=dark).read_bytes() for dark in (False, True))
    assert light != dark


def test_ports_are_told_by_the_few_that_are_left_out() -> None:
    """Where all but those are open."""
    ranges = [{"port": 1, "endPort": 79}, {"port": 81, "endPort": 65535}]
    ports = [*ranges, {"protocol": "UDP"}, {"protocol": "SCTP"}]
    graph = _graph(workload("cart"), workload("web"), network_policy("cart", {}, ingress=[{"ports": ports}]))
    assert "any port but TCP 80" in {ports for *_, ports in _edges(graph)}


def test_a_picture_says_what_it_leaves_out() -> None:
    """Counted, in every language."""
    graph = Graph(nodes=(), edges=(), left_out=7)
    assert all("7 more connections" in text for text in (mermaid(graph), dot(graph), svg(graph)))
