"""How ready resources are, from findings that were counted: what the report says, without the snapshot."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scanner.model.finding import Outcome
from scanner.model.policy import Chapter
from scanner.posture.readiness import Verdict, worst


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One chapter of one resource: its verdict, and how many of its own findings fail and are unknown."""

    verdict: Verdict
    failed: int
    unknown: int


def standings(
    found: Iterable[tuple[str, Outcome, int]],
    chapters: Mapping[str, Chapter | None],
    around: Mapping[Chapter, Verdict],
) -> dict[Chapter, Standing]:
    """Sum counted findings (policy, outcome, number) up by chapter; `around` is what counts for it besides.

    As in the report, a chapter that no policy is asked about is unknown.
    """
    counts: dict[tuple[Chapter, Outcome], int] = defaultdict(int)
    for policy, outcome, number in found:
        chapter = chapters.get(policy)
        if chapter is not None:
            counts[chapter, outcome] += number
    asked = set(chapters.values())
    return {
        chapter: _standing(
            counts[chapter, Outcome.FAIL],
            counts[chapter, Outcome.UNKNOWN],
            worst((around.get(chapter, Verdict.READY), Verdict.READY if chapter in asked else Verdict.UNKNOWN)),
        )
        for chapter in Chapter
    }


def _standing(failed: int, unknown: int, around: Verdict) -> Standing:
    own = Verdict.NOT_READY if failed else Verdict.UNKNOWN if unknown else Verdict.READY
    return Standing(verdict=worst((own, around)), failed=failed, unknown=unknown)
