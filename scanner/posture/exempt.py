"""Which findings people have accepted: findings and exceptions at one moment → findings, marked.

An exception is never wider than it is written. It covers a failure whose policy and scope fit, as long as it has not
expired, and only as that failure was when it was accepted: with a fact more, or more severe, it stands out again. A
fact that went away, another order of containers, or another tag of the same image is no growth. What could not be
judged is no failure, so nobody can accept it.
"""

import datetime as dt
import fnmatch
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from scanner.model.exception import PolicyException, Scope
from scanner.model.finding import Fact, Finding, Fingerprint
from scanner.model.policy import Policy, PolicyId, Severity
from scanner.model.refs import ClusterName, ObjectRef

#: 64 bits of each fact: enough to tell a finding's facts apart, short enough to stand in a file.
_DIGEST_BYTES = 8
_INDEX = re.compile(r"\[\d+\]")

#: Returns the labels of an object, None if they are not known.
LabelsOf = Callable[[ObjectRef], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class Accepted:
    """How a finding was when an exception first covered it."""

    severity: Severity
    #: As `digests_of` made them.
    evidence: frozenset[str]


@dataclass(frozen=True, slots=True)
class Grown:
    """A finding that an exception means, and that is more than what was accepted."""

    exception: PolicyException
    finding: Finding
    #: In a few words.
    why: str


#: An exception by its id, and a finding by its.
Use = tuple[str, Fingerprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What exceptions make of findings; exceptions in the order in which they came."""

    #: All of them in their order; those that are accepted name their exception.
    findings: tuple[Finding, ...]
    #: What each active exception covers, with how it was accepted.
    uses: Mapping[Use, Accepted]
    #: More than what was accepted, and covered by no other exception.
    grown: tuple[Grown, ...]
    #: Active, and no finding is what they mean.
    unused: tuple[PolicyException, ...]
    expired: tuple[PolicyException, ...]
    #: Active, with a scope that is broader than it should be.
    broad: tuple[PolicyException, ...]


def mark(  # noqa: PLR0913 - everything that decides whether an exception covers a finding
    findings: Iterable[Finding],
    exceptions: Sequence[PolicyException],
    *,
    now: dt.datetime,
    cluster: ClusterName,
    policies: Iterable[Policy],
    labels_of: LabelsOf,
    accepted: Mapping[Use, Accepted] | None = None,
) -> Marked:
    """Mark the failures that somebody accepts.

    Args:
        findings: Of one scan.
        exceptions: Expired ones too; of two that cover a finding, the one that lasts longer is named.
        now: The moment.
        cluster: The cluster whose findings they are.
        policies: Those that ran: an exception of a policy's former id means it too.
        labels_of: Returns the labels of a finding's object; one whose labels are not known fits no labels.
        accepted: How findings were when exceptions first covered them; those that are missing are accepted as they are.
    """
    active = [e for e in exceptions if e.is_active(now)]
    lasting = sorted(active, key=lambda e: (e.expires_at, e.id), reverse=True)
    former = {p.id: p.formerly for p in policies}
    of_policy: dict[PolicyId, list[PolicyException]] = {}
    known = accepted or {}
    marked: list[Finding] = []
    uses: dict[Use, Accepted] = {}
    grown: list[Grown] = []
    met: set[str] = set()
    for finding in findings:
        if finding.policy not in of_policy:
            names = (finding.policy, *former.get(finding.policy, ()))
            of_policy[finding.policy] = [e for e in lasting if any(fnmatch.fnmatchcase(n, e.policy) for n in names)]
        if not finding.stands_out or not of_policy[finding.policy]:
            marked.append(finding)
            continue
        id_ = finding.fingerprint(cluster)
        meant = [e for e in of_policy[finding.policy] if is_in_scope(finding, id_, e.scope, labels_of)]
        met.update(e.id for e in meant)
        by: PolicyException | None = None
        exceeded: list[Grown] = []
        for exception in meant:
            baseline = known.get((exception.id, id_)) or _as_written(exception, finding)
            uses[exception.id, id_] = baseline
            if why := _growth(finding, exception, baseline):
                exceeded.append(Grown(exception, finding, why))
            elif by is None:
                by = exception
        if by is None:
            grown += exceeded
        marked.append(finding if by is None else replace(finding, excepted=by))
    return Marked(
        findings=tuple(marked),
        uses=uses,
        grown=tuple(grown),
        unused=tuple(e for e in active if e.id not in met),
        expired=tuple(e for e in exceptions if not e.is_active(now)),
        broad=tuple(e for e in active if e.breadth),
    )


def is_in_scope(finding: Finding, id_: Fingerprint, scope: Scope, labels_of: LabelsOf) -> bool:
    """Tell whether a finding lies in a scope; each field that is given must fit."""
    resource = finding.resource
    if scope.finding not in {"", id_} or scope.namespace not in {"", resource.namespace}:
        return False
    if scope.kind not in {"", resource.kind} or scope.name not in {"", resource.name}:
        return False
    if scope.container and finding.containers != (scope.container,):
        return False
    if not scope.labels:
        return True
    labels = labels_of(resource)
    return labels is not None and all(labels.get(key) == value for key, value in scope.labels.items())


def _as_written(exception: PolicyException, finding: Finding) -> Accepted:
    return Accepted(exception.severity or finding.severity, exception.evidence or digests_of(finding))


def _growth(finding: Finding, exception: PolicyException, baseline: Accepted) -> str:
    """Say in what a finding is more than what was accepted; empty if in nothing."""
    ceilings = [baseline.severity, *([exception.severity] if exception.severity else [])]
    ceiling = min(ceilings, key=lambda severity: severity.rank)
    if finding.severity.rank > ceiling.rank:
        return f"its severity is {finding.severity}, {ceiling} was accepted"
    added = len(digests_of(finding) - baseline.evidence)
    return f"{added} fact{'s' if added > 1 else ''} more than what was accepted" if added else ""


def digests_of(finding: Finding) -> frozenset[str]:
    """Hash what a finding's evidence says, so that growth can be told from change.

    Each element of a list and each entry of a map is a digest of its own. Left out is what a rollout changes: the place
    in a list, uids, who set a field, the text of notes, and the tag and digest of an image.
    """
    return frozenset(
        hashlib.blake2b(msgspec.json.encode(part, order="sorted"), digest_size=_DIGEST_BYTES).hexdigest()
        for fact in finding.evidence
        for part in _parts(fact)
    )


def _parts(fact: Fact) -> Iterator[tuple[Any, ...]]:
    about = fact.object
    place = (about.group, about.kind, about.namespace, about.name) if about else ()
    path = _INDEX.sub("[]", fact.path)
    for inner, value in _leaves(path, fact.value):
        yield (place, inner, fact.container, _repository(value) if inner.endswith(".image") else value)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case [_, *_]:
            for element in value:
                yield from _leaves(f"{path}[]", element)
        case dict() if value:
            for key, element in value.items():
                yield from _leaves(f"{path}.{key}", element)
        case _:
            yield path, value


def _repository(image: Any) -> Any:
    """Return an image without tag and digest; a colon before the last slash belongs to a registry's port."""
    if not isinstance(image, str):
        return image
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return f"{head}{slash}{tail.partition(':')[0]}"
