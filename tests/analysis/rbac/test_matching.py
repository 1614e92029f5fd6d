"""One rule and one request: what the API server's matching says, case by case."""

import msgspec
import pytest

from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import Request
from scanner.model.rbac import Rule
from tests.builders import rule


def _allows(words: dict[str, object], request: Request) -> bool:
    return rule_allows(msgspec.convert(words, Rule), request)


GET_PODS = Request(verb="get", resource="pods")
EXEC = Request(verb="create", resource="pods", subresource="exec")
SCALE = Request(verb="update", group="apps", resource="deployments", subresource="scale")


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (rule("get", "pods"), GET_PODS),
        (rule("*", "pods"), GET_PODS),
        (rule("get", "*"), GET_PODS),
        (rule("get", "pods", group="*"), GET_PODS),
        (rule("create", "pods/exec"), EXEC),
        (rule("create", "*"), EXEC),
        (rule("create", "*/exec"), EXEC),
        (rule("update", "*/scale", group="apps"), SCALE),
        (rule("get", "pods", names="web-0"), Request(verb="get", resource="pods", name="web-0")),
        (rule("get", "pods"), Request(verb="get", resource="pods", name="web-0")),
        (rule("*", "*", group="*"), Request(verb="*", group="*", resource="*")),
        (rule("get", urls="/metrics"), Request(verb="get", path="/metrics")),
        (rule("get", urls="/logs/*"), Request(verb="get", path="/logs/a/b")),
        (rule("get", urls="/logs/*"), Request(verb="get", path="/logs/")),
        (rule("get", urls="*"), Request(verb="get", path="/anything")),
        (rule("get", urls="/logs/**"), Request(verb="get", path="/logs/a")),
    ],
)
def test_the_rule_allows(words: dict[str, object], request_: Request) -> None:
    """Exact words, `*`, `*/sub`, resourceNames and paths with a final `*` grant."""
    assert _allows(words, request_)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (rule("list", "pods"), GET_PODS),
        (rule("get", "pods", group="apps"), GET_PODS),
        ({"verbs": ["get"], "resources": ["pods"]}, GET_PODS),
        (rule("get", "Pods"), GET_PODS),
        (rule("create", "pods"), EXEC),
        (rule("create", "pods/*"), EXEC),
        (rule("*", "*/scale"), EXEC),
        (rule("*", "*/exec"), GET_PODS),
        (rule("*", "po*"), GET_PODS),
        (rule("create", "pods", names="web-0"), Request(verb="create", resource="pods")),
        (rule("list", "secrets", names="tls"), Request(verb="list", resource="secrets")),
        (rule("get", "secrets", names="*"), Request(verb="get", resource="secrets", name="tls")),
        (rule("get", "pods"), Request(verb="*", resource="pods")),
        (rule("*", "*", group="*"), Request(verb="get", path="/metrics")),
        (rule("get", urls="*"), GET_PODS),
        (rule("get", urls="/lo*gs"), Request(verb="get", path="/loXgs")),
        (rule("get", urls="/logs/*"), Request(verb="get", path="/logs")),
        (rule("post", urls="/metrics"), Request(verb="get", path="/metrics")),
    ],
)
def test_the_rule_does_not_allow(words: dict[str, object], request_: Request) -> None:
    """Near misses grant nothing: `pods/*`, other groups, missing names, stars in the middle."""
    assert not _allows(words, request_)
