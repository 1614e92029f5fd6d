"""Rules minus requests."""

from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import Request
from scanner.analysis.rbac.subtract import without, without_wildcards
from scanner.model.rbac import Rule

READ = Rule(("get", "list"), ("",), ("pods", "secrets"))
SECRETS = (Request(verb="get", resource="secrets"), Request(verb="list", resource="secrets"))


def test_a_rule_that_allows_none_of_it_stays_as_it_is() -> None:
    """Not even written anew."""
    assert without(READ, [Request(verb="create", resource="pods")]) == (READ,)


def test_only_what_was_asked_for_goes() -> None:
    """One resource of two."""
    assert without(READ, SECRETS) == (Rule(("get", "list"), ("",), ("pods",)),)


def test_a_rule_is_split_where_it_must_be() -> None:
    """One verb on one resource goes; the other three combinations stay, in two rules."""
    left = without(READ, SECRETS[:1])
    assert len(left) == 2
    asked = [Request(verb=verb, resource=resource) for verb in READ.verbs for resource in ("pods", "secrets")]
    assert [any(rule_allows(rule, request) for rule in left) for request in asked] == [True, False, True, True]


def test_nothing_is_left_of_a_rule_that_says_just_this() -> None:
    """The rule goes."""
    assert without(Rule(("get", "list"), ("",), ("secrets",)), SECRETS) == ()


def test_a_wildcard_goes_with_what_it_stands_for() -> None:
    """It is never spelled out: nobody can name all resources."""
    rule = Rule(("get", "create"), ("",), ("*",))
    assert without(rule, SECRETS) == (Rule(("create",), ("",), ("*",)),)


def test_one_name_of_several_goes() -> None:
    """The others stay named."""
    rule = Rule(("bind",), ("rbac.authorization.k8s.io",), ("clusterroles",), ("view", "cluster-admin"))
    bind = Request(verb="bind", group="rbac.authorization.k8s.io", resource="clusterroles", name="cluster-admin")
    assert [rule.resource_names for rule in without(rule, [bind])] == [("view",)]


def test_paths_go_by_what_they_match() -> None:
    """A path with a final wildcard goes with what it covers."""
    rule = Rule(("get",), non_resource_urls=("/logs/*", "/metrics"))
    assert without(rule, [Request(verb="get", path="/logs/a")]) == (Rule(("get",), non_resource_urls=("/metrics",)),)


def test_without_wildcards_what_is_named_beside_them_stays() -> None:
    """The words that stand beside `*`."""
    rule = Rule(("get", "*"), ("", "apps"), ("*", "pods"))
    assert without_wildcards(rule) == (Rule(("get",), ("", "apps"), ("pods",)),)


def test_subresources_of_everything_go() -> None:
    """`*/exec` covers `pods/exec`."""
    rule = Rule(("create",), ("",), ("*/exec", "pods"))
    exec_ = Request(verb="create", resource="pods", subresource="exec")
    assert without(rule, [exec_]) == (Rule(("create",), ("",), ("pods",)),)
