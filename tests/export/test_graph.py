"""Pictures of connectivity are legible, and names in them are harmless."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from scanner.analysis.network.connectivity import connectivity
from scanner.export.graph import Graph, dot, graph_of, mermaid
from scanner.export.graph_svg import svg
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
    assert {edge for edge in _edges(graph) if edge[1] == "cart"} == {("192.0.2.0-192.0.2.255", "cart", "any port")}


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
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {"svg", "rect", "text", "path"}


@pytest.mark.parametrize("forbidden", ['x"]', "<script>", "`"])
def test_mermaid_has_no_name_unescaped(forbidden: str) -> None:
    """Quotes, brackets and angles are entities."""
    assert forbidden not in mermaid(_graph(workload(_HOSTILE)))


def test_dot_has_no_name_unescaped() -> None:
    """A quote does not end the string, and a backslash starts no escape."""
    assert 'label="x\\"]; <script>alert(1)</script> &amp; `\\\\"' in dot(_graph(workload(_HOSTILE)))


def test_a_picture_says_what_it_leaves_out() -> None:
    """Counted, in every language."""
    graph = Graph(nodes=(), edges=(), left_out=7)
    assert all("7 more connections" in text for text in (mermaid(graph), dot(graph), svg(graph)))
