"""Migrations to Kubernetes as people make them: before, exactly what is wrong is said; after, nothing is.

`labels.json` of each folder names the verdict of each chapter before, and the policies of the area `readiness`
that fail.
What a folder of manifests cannot tell (what runs the cluster) is unknown before and after.
"""

from pathlib import Path

import msgspec
import pytest

from scanner.cluster.manifests import read_manifests
from scanner.model.finding import Finding
from scanner.model.policy import Chapter
from scanner.model.refs import ClusterName
from scanner.policy.evaluate import evaluate
from scanner.policy.load import load_policies
from scanner.posture.readiness import Readiness, Verdict, readiness
from tests.builders import NOW
from tests.policies.fixtures import ROOT

FOLDER = Path(__file__).parent / "migrations"
MIGRATIONS = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
#: The agents that a cluster brings; not what is judged.
PLATFORM = "logging"


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is right to say of a migration before it was made."""

    verdicts: dict[Chapter, Verdict]
    policies: tuple[str, ...]


def _judged(file: Path) -> Readiness:
    snapshot = read_manifests([file, FOLDER / "platform.yaml"], cluster=ClusterName("test"), now=NOW)
    policies = [policy for policy in load_policies(ROOT) if policy.chapter is not None]
    found = readiness(snapshot, evaluate(snapshot, policies, now=NOW), policies)
    return Readiness(
        applications=tuple(a for a in found.applications if a.application.namespace != PLATFORM),
        surroundings=tuple(s for s in found.surroundings if s.namespace != PLATFORM),
        others=found.others,
    )


def _failures(found: Readiness) -> list[Finding]:
    rows = [s.chapters for s in found.surroundings]
    rows += [w.chapters for a in found.applications for w in a.workloads]
    own = [finding for chapters in rows for chapter in chapters for finding in chapter.failures]
    return [*own, *(finding for finding in found.others if finding.stands_out)]


@pytest.mark.parametrize("name", MIGRATIONS)
def test_before_exactly_what_is_labelled_fails(name: str) -> None:
    """Chapter by chapter, and policy by policy."""
    labels = msgspec.json.decode((FOLDER / name / "labels.json").read_bytes(), type=Labels)
    found = _judged(FOLDER / name / "before.yaml")
    (application,) = found.applications
    assert dict(application.verdicts) == labels.verdicts
    assert sorted({f.policy for f in _failures(found) if f.policy.startswith("readiness/")}) == sorted(labels.policies)


@pytest.mark.parametrize("name", MIGRATIONS)
def test_after_every_chapter_that_can_be_decided_is_ready(name: str) -> None:
    """Nothing fails; what runs the cluster is not in files, so that Operations is unknown."""
    found = _judged(FOLDER / name / "after.yaml")
    (application,) = found.applications
    assert [f"{f.policy}: {f.resource} {f.message}" for f in _failures(found)] == []
    assert dict(application.verdicts) == dict.fromkeys(Chapter, Verdict.READY) | {Chapter.OPERATIONS: Verdict.UNKNOWN}
