"""How versions of the standards are written."""

import pytest

from scanner.analysis.pods.standards.versions import NEWEST, minor_of


@pytest.mark.parametrize(("text", "minor"), [("latest", NEWEST), ("v1.0", 0), ("v1.24", 24), ("v1.99", 99)])
def test_a_version_is_read_as_the_api_server_reads_it(text: str, minor: int) -> None:
    """In the label `pod-security.kubernetes.io/enforce-version`."""
    assert minor_of(text) == minor


@pytest.mark.parametrize("text", ["", "1.24", "v1", "v2.0", "v1.024", "v1.-1", "v1.24.1", "Latest", "v1.²", " v1.24"])
def test_what_the_api_server_refuses_is_no_version(text: str) -> None:
    """Neither shorter, nor longer, nor elsewhere."""
    assert minor_of(text) is None
