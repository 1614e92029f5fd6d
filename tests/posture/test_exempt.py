"""What exceptions cover: examples of each rule, then random worlds against a plain model."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.model.exception import PolicyException, Scope
from scanner.model.finding import Fact, Finding, Outcome
from scanner.model.policy import PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef
from scanner.posture.exempt import Accepted, Marked, Use, digests_of, mark
from tests.builders import cel_policy, finding

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
CLUSTER = ClusterName("test")
CAPABILITIES = "spec.template.spec.containers[0].securityContext.capabilities.add"


def exception(id_: str = "one", *, policy: str = "pods/privileged-container", **fields: object) -> PolicyException:
    """Make an exception that lasts for a day more."""
    defaults = {"scope": Scope(namespace="shop"), "owner": "team", "reason": "soon", "expires_at": NOW + DAY}
    return PolicyException(id=id_, policy=policy, **{**defaults, **fields})  # type: ignore[arg-type] # by name


def marked(
    *findings: Finding,
    by: tuple[PolicyException, ...],
    labels: Mapping[str, str] | None = None,
    accepted: Mapping[Use, Accepted] | None = None,
    formerly: str = "",
) -> Marked:
    """Mark findings at noon; every object has these labels."""
    names = (PolicyId(formerly),) if formerly else ()
    return mark(
        findings,
        by,
        now=NOW,
        cluster=CLUSTER,
        policies=[replace(cel_policy(), formerly=names)],
        labels_of=lambda _: labels,
        accepted=accepted,
    )


def test_a_failure_in_scope_is_excepted_and_stands_out_no_more() -> None:
    """Who accepts it is named on the finding."""
    (one,) = marked(finding(), by=(exception(),)).findings

    assert one.excepted == exception()
    assert not one.stands_out


@pytest.mark.parametrize(
    "scope",
    [
        Scope(namespace="shop"),
        Scope(kind="Deployment", name="cart"),
        Scope(labels={"team": "cart"}),
        Scope(container="app"),
        Scope(finding=finding().fingerprint(CLUSTER)),
    ],
)
def test_each_field_of_a_scope_that_fits_covers(scope: Scope) -> None:
    """What is left out fits anything."""
    one = finding(evidence=(Fact("image", "x", "app"),))

    assert marked(one, by=(exception(scope=scope),), labels={"team": "cart"}).findings[0].excepted


@pytest.mark.parametrize(
    "scope",
    [
        Scope(namespace="shop-2"),
        Scope(namespace="sho"),
        Scope(namespace="shop", kind="StatefulSet"),
        Scope(namespace="shop", name="cart-2"),
        Scope(namespace="shop", labels={"team": "cart", "tier": "web"}),
        Scope(namespace="shop", container="app"),
        Scope(namespace="shop", finding="0" * 32),
    ],
)
def test_one_field_of_a_scope_that_does_not_fit_covers_nothing(scope: Scope) -> None:
    """An exception is never wider than it is written: not by a prefix, and not where another container fails too."""
    one = finding(evidence=(Fact("image", "x", "app"), Fact("image", "x", "sidecar")))

    result = marked(one, by=(exception(scope=scope),), labels={"team": "cart"})

    assert result.findings == (one,)
    assert [e.id for e in result.unused] == ["one"]


def test_an_object_whose_labels_are_not_known_fits_no_labels() -> None:
    """A custom controller that no scan reads may have any."""
    assert not marked(finding(), by=(exception(scope=Scope(labels={"a": "b"})),)).findings[0].excepted


def test_an_exception_ends_to_the_moment() -> None:
    """At its end it covers nothing any more, and is named as expired instead of unused."""
    result = marked(finding(), by=(exception(expires_at=NOW),))

    assert result.findings[0].stands_out
    assert [e.id for e in result.expired] == ["one"]
    assert not result.unused


@pytest.mark.parametrize("other", [{"outcome": Outcome.UNKNOWN}, {"expected": "Kubernetes' own"}])
def test_only_failures_that_stand_out_are_accepted(other: dict[str, Any]) -> None:
    """What could not be judged stays unknown, and what is expected needs no exception."""
    assert marked(finding(**other), by=(exception(),)).findings[0].excepted is None


def test_a_renamed_policy_keeps_its_exceptions() -> None:
    """Ids are for ever."""
    assert marked(finding(), by=(exception(policy="pods/old"),), formerly="pods/old").findings[0].excepted


def test_the_exception_that_lasts_longest_is_named() -> None:
    """Order in the file decides nothing."""
    longer = exception("two", expires_at=NOW + 2 * DAY)

    for by in ((exception(), longer), (longer, exception())):
        (one,) = marked(finding(), by=by).findings
        assert one.excepted == longer


def test_what_is_more_severe_than_written_stands_out() -> None:
    """Its growth is told with the finding."""
    result = marked(finding(severity=Severity.CRITICAL), by=(exception(severity=Severity.HIGH),))

    assert result.findings[0].stands_out
    assert [g.why for g in result.grown] == ["its severity is critical, high was accepted"]


def test_what_became_more_severe_than_when_it_was_accepted_stands_out() -> None:
    """Without a severity in the exception, that of the first time holds."""
    first = marked(finding(), by=(exception(),))

    again = marked(finding(severity=Severity.CRITICAL), by=(exception(),), accepted=first.uses)

    assert again.findings[0].stands_out
    assert again.uses == first.uses


def with_capabilities(*names: str, index: int = 0) -> Finding:
    """Make a finding whose container adds capabilities."""
    return finding(evidence=(Fact(CAPABILITIES.replace("[0]", f"[{index}]"), list(names), "app"),))


def test_an_element_more_is_growth_and_one_less_is_not() -> None:
    """Who accepted NET_ADMIN has not accepted SYS_ADMIN."""
    first = marked(with_capabilities("NET_ADMIN", "SYS_TIME"), by=(exception(),)).uses

    less = marked(with_capabilities("SYS_TIME"), by=(exception(),), accepted=first)
    more = marked(with_capabilities("SYS_TIME", "SYS_ADMIN"), by=(exception(),), accepted=first)

    assert less.findings[0].excepted
    assert more.findings[0].stands_out
    assert [g.why for g in more.grown] == ["1 fact more than what was accepted"]


def test_evidence_that_is_written_holds_a_finding_to_it() -> None:
    """A file in git needs no memory of its own."""
    written = exception(evidence=digests_of(with_capabilities("NET_ADMIN")))

    assert marked(with_capabilities("NET_ADMIN"), by=(written,)).findings[0].excepted
    assert marked(with_capabilities("NET_ADMIN", "SYS_ADMIN"), by=(written,)).findings[0].stands_out


def test_order_places_uids_and_tags_are_no_growth() -> None:
    """What a rollout changes opens nothing."""
    about = ObjectRef("v1", "Node", "", "n", "uid-1")
    path = "spec.template.spec.containers[0].image"
    before = finding(evidence=(Fact(path, "r.io:5000/a/b:1", "app", about),))
    after = finding(evidence=(Fact(path.replace("0", "3"), "r.io:5000/a/b:2@sha256:00", "app", about),))

    assert digests_of(before) == digests_of(after)
    assert digests_of(with_capabilities("A", "B")) == digests_of(with_capabilities("B", "A", index=1))


def test_another_value_or_another_repository_is_growth() -> None:
    """`/var/log` was accepted, `/` was not."""
    for path, old, new in (("hostPath.path", "/var/log", "/"), ("containers[0].image", "r.io/a:1", "r.io/b:1")):
        assert digests_of(finding(evidence=(Fact(path, old),))) != digests_of(finding(evidence=(Fact(path, new),)))


@pytest.mark.parametrize(
    ("policy", "scope", "is_broad"),
    [
        ("pods/a", Scope(), True),
        ("pods/*", Scope(namespace="shop"), True),
        ("pods/*", Scope(namespace="shop", kind="Deployment", name="a"), False),
        ("pods/a", Scope(namespace="shop"), False),
    ],
)
def test_breadth_is_named(policy: str, scope: Scope, is_broad: bool) -> None:
    """Without a scope, or by many policies on many objects."""
    assert bool(exception(policy=policy, scope=scope).breadth) == is_broad


NAMES = st.sampled_from(["", "a", "b"])
SCOPES = st.builds(Scope, namespace=NAMES, name=NAMES, container=NAMES)
EXCEPTIONS = st.lists(
    st.builds(
        exception,
        st.sampled_from(["1", "2", "3"]),
        policy=st.sampled_from(["pods/a", "pods/b", "pods/*", "*"]),
        scope=SCOPES,
        expires_at=st.sampled_from([NOW - DAY, NOW, NOW + DAY]),
        severity=st.sampled_from([None, *Severity]),
    ),
    max_size=3,
    unique_by=lambda e: e.id,
)
FINDINGS = st.lists(
    st.builds(
        lambda policy, namespace, name, container, severity, outcome: finding(
            policy,
            f"Deployment {namespace}/{name}",
            evidence=(Fact("x", 1, container),),
            severity=severity,
            outcome=outcome,
        ),
        st.sampled_from(["pods/a", "pods/b"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["a", "b"]),
        NAMES,
        st.sampled_from(Severity),
        st.sampled_from([Outcome.FAIL, Outcome.UNKNOWN]),
    ),
    max_size=6,
)


def covers(one: PolicyException, of: Finding) -> bool:
    """Tell by the plain words of the documentation whether an exception covers a finding."""
    return (
        of.outcome is Outcome.FAIL
        and one.policy in {of.policy, "pods/*", "*"}
        and one.scope.namespace in {"", of.resource.namespace}
        and one.scope.name in {"", of.resource.name}
        and (not one.scope.container or {fact.container for fact in of.evidence} == {one.scope.container})
        and (one.severity is None or of.severity.rank <= one.severity.rank)
        and one.expires_at > NOW
    )


@given(EXCEPTIONS, FINDINGS)
def test_a_finding_is_excepted_exactly_if_some_exception_covers_it(
    by: list[PolicyException], findings: list[Finding]
) -> None:
    """Random worlds agree with a plain model, and nothing but the mark changes."""
    result = marked(*findings, by=tuple(by))

    assert [bool(f.excepted) for f in result.findings] == [any(covers(e, f) for e in by) for f in findings]
    assert [replace(f, excepted=None) for f in result.findings] == findings
    assert all(covers(f.excepted, f) for f in result.findings if f.excepted)


@given(EXCEPTIONS, FINDINGS)
def test_an_exception_more_uncovers_nothing(by: list[PolicyException], findings: list[Finding]) -> None:
    """Taking the last away never covers more."""
    with_all, with_fewer = (marked(*findings, by=tuple(some)).findings for some in (by, by[:-1]))

    assert all(more.excepted or not fewer.excepted for more, fewer in zip(with_all, with_fewer, strict=True))
