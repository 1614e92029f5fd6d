"""Field paths lead to values, and never to one that may be a secret."""

from typing import Any

import pytest

from scanner.policy.paths import steps_of, value_at

CONTAINER = {
    "image": "a:1",
    "args": ["--password=hunter2"],
    "env": [{"name": "TOKEN", "value": "hunter2"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s"}}}],
    "securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}},
    "a.b/c": 1,
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image", "a:1"),
        ("securityContext.capabilities.add[0]", "SYS_ADMIN"),
        ("securityContext.capabilities", {"add": ["SYS_ADMIN"]}),
        ("securityContext.privileged", None),
        ("securityContext.capabilities.add[7]", None),
        ("image.nope", None),
        ("['a.b/c']", 1),
        ("env[1].valueFrom.secretKeyRef.name", "s"),
    ],
)
def test_a_path_leads_to_a_value(path: str, value: Any) -> None:
    """Nothing there is None."""
    assert value_at(CONTAINER, steps_of(path)) == value


@pytest.mark.parametrize("path", ["", "env", "env[0]", "env[0].value", "args", "args[0]"])
def test_a_value_that_may_be_a_secret_is_withheld(path: str) -> None:
    """Literal variables and command lines are not shown, at whatever level the path ends."""
    assert "hunter2" not in str(value_at(CONTAINER, steps_of(path)))


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[x]", "a b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    """A policy's `path` is checked when it is loaded."""
    with pytest.raises(ValueError, match="not a field path"):
        steps_of(path)
