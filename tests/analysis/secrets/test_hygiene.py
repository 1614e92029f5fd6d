"""Secrets that nothing seems to use."""

from typing import Any

import pytest

from scanner.analysis.secrets.hygiene import unused_secrets
from scanner.model.policy import Confidence
from scanner.model.snapshot import SourceKind
from tests.builders import NOW, snapshot

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}}


def served(*names: str) -> list[dict[str, Any]]:
    """Make APIServices."""
    return [
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name}} for name in names
    ]


@pytest.mark.parametrize(
    ("services", "confidence", "message"),
    [
        (["v1.", "v1.apps", "v1.storage.k8s.io", "v1.cert-manager.io"], "likely", "Nothing that was read refers to it"),
        (
            ["v1.apps", "v1.d.io", "v2.d.io", "v1.b.io", "v1.a.io", "v1.c.io"],
            "possible",
            "Nothing that was read refers to it; not read: custom resources of a.io, b.io, c.io and more",
        ),
    ],
)
def test_kinds_of_operators_that_nobody_reads_lower_the_confidence(
    services: list[str], confidence: str, message: str
) -> None:
    """They may refer to it in ways of their own."""
    (answer,) = unused_secrets(snapshot(SECRET, *served(*services)), now=NOW)
    assert (answer.confidence, answer.message) == (confidence, message)


def test_without_knowing_what_is_served_it_is_only_possible() -> None:
    """As in files, or where APIServices may not be listed."""
    for seen in (snapshot(SECRET, source=SourceKind.MANIFESTS), snapshot(SECRET, coverage=())):
        (answer,) = unused_secrets(seen, now=NOW)
        assert answer.confidence is Confidence.POSSIBLE
