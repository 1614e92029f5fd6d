"""Failures that rest on something not being there: they hold only if it would have been seen."""

from dataclasses import replace

from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.refs import GroupKind
from scanner.model.snapshot import Snapshot


def doubted(answer: Answer, snapshot: Snapshot, *kinds: GroupKind) -> Answer:
    """Turn a failure into unknown where not all objects of these kinds were read in its namespace."""
    if answer.outcome is not Outcome.FAIL or not snapshot.inconclusive(kinds, answer.resource.namespace):
        return answer
    return replace(answer, outcome=Outcome.UNKNOWN, message=f"{answer.message}, as far as could be read")
