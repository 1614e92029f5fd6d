"""Bindings that name `system:masters`: they grant nothing, and show who relies on a group that cannot be revoked."""

import datetime as dt
from collections.abc import Iterator

from scanner.analysis.rbac.bootstrap import is_expected
from scanner.analysis.rbac.index import scope_of
from scanner.analysis.rbac.requests import MASTERS, canonical_subject
from scanner.analysis.rbac.subjects import plain
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.rbac import RBAC_GROUP, Binding, Subject
from scanner.model.snapshot import Snapshot

_GROUP = Subject("Group", MASTERS, "", RBAC_GROUP)


def masters_bound(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every binding: fail if it names the group `system:masters` and is not Kubernetes' own."""
    for binding in snapshot.bindings:
        facts = () if is_expected(binding, _GROUP) else tuple(_facts(binding))
        yield Answer(
            resource=binding.ref,
            outcome=Outcome.FAIL if facts else Outcome.PASS,
            message=f"binds {MASTERS}, whose members may do everything anyway" if facts else f"does not name {MASTERS}",
            evidence=facts,
        )


def _facts(binding: Binding) -> Iterator[Fact]:
    for number, named in enumerate(binding.subjects):
        if canonical_subject(named, scope_of(binding)) == _GROUP:
            yield Fact(path=f"subjects[{number}]", value=plain(named))
