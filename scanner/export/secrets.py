"""Who reaches which Secret and what uses it, as JSON and as lines for people."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from scanner.analysis.paths.secret_access import Reach, Route, SecretAccess, SecretPaths, SubjectCount
from scanner.export.access import ReportedChain, ReportedSubject, reported_chain
from scanner.export.report import ReportedResource, reported
from scanner.export.safe import printable
from scanner.export.table import Line
from scanner.model.rbac import Subject
from scanner.model.secret import SecretRef, SecretUse

#: Taste: as many as a person compares; `-o json` has all.
_SHOWN = 20
_STYLES = {True: "high", False: "medium"}


class ReportedStep(msgspec.Struct, frozen=True, rename="camel"):
    """One step: who does what, and what lets it."""

    subject: ReportedSubject
    means: str
    text: str
    chains: tuple[ReportedChain, ...]


class ReportedRoute(msgspec.Struct, frozen=True, rename="camel"):
    """One way to a Secret, its steps in order."""

    means: str
    is_direct: bool
    is_named: bool
    steps: tuple[ReportedStep, ...]
    others: int
    doubts: tuple[str, ...]


class ReportedReach(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody who reaches a Secret, the shortest route first."""

    subject: ReportedSubject
    routes: tuple[ReportedRoute, ...]
    expected: str


class ReportedUse(msgspec.Struct, frozen=True, rename="camel"):
    """One place that refers to a Secret."""

    kind: str
    user: ReportedResource
    path: str
    container: str
    key: str
    optional: bool


class ReportedAccess(msgspec.Struct, frozen=True, rename="camel"):
    """Everything about one Secret."""

    namespace: str
    name: str
    type: str
    is_seen: bool
    reaches: tuple[ReportedReach, ...]
    everything: tuple[ReportedReach, ...]
    kubelets: dict[str, tuple[str, ...]]
    copied_by: tuple[str, ...]
    uses: tuple[ReportedUse, ...]
    missing: tuple[str, ...]


class ReportedCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many reach one Secret."""

    namespace: str
    name: str
    is_seen: bool
    consumers: int
    direct: int
    indirect: int


class ReportedSubjectCount(msgspec.Struct, frozen=True, rename="camel"):
    """How many Secrets a subject reaches."""

    subject: ReportedSubject
    direct: int
    indirect: int


class ReportedSummary(msgspec.Struct, frozen=True, rename="camel"):
    """All Secrets."""

    secrets: tuple[ReportedCount, ...]
    subjects: tuple[ReportedSubjectCount, ...]
    everything: tuple[ReportedReach, ...]
    missing: tuple[str, ...]


def reported_access(paths: SecretPaths, access: SecretAccess) -> ReportedAccess:
    """Report one Secret with every chain."""
    secret = access.secret
    return ReportedAccess(
        namespace=secret.namespace,
        name=secret.name,
        type=secret.type,
        is_seen=secret.is_seen,
        reaches=tuple(_reach(reach) for reach in access.reaches),
        everything=tuple(_everything(paths)),
        kubelets=dict(access.kubelets),
        copied_by=secret.copied_by,
        uses=tuple(_use(use) for use in uses_of(paths, secret.ref)),
        missing=access.missing,
    )


def uses_of(paths: SecretPaths, secret: SecretRef) -> Sequence[SecretUse]:
    """Return what uses one Secret."""
    return paths.uses.get(secret, ())


def reported_summary(paths: SecretPaths) -> ReportedSummary:
    """Report how many reach each Secret, and how many each subject reaches; sorted by name, and by number."""
    secrets, subjects = paths.counts
    return ReportedSummary(
        secrets=tuple(
            ReportedCount(
                namespace=row.secret.namespace,
                name=row.secret.name,
                is_seen=row.secret.is_seen,
                consumers=row.consumers,
                direct=row.direct,
                indirect=row.indirect,
            )
            for row in secrets
        ),
        subjects=tuple(ReportedSubjectCount(_subject(s.subject), s.direct, s.indirect) for s in subjects),
        everything=tuple(_everything(paths)),
        missing=paths.all_missing,
    )


def reported_uses(uses: Iterable[SecretUse]) -> list[dict[str, object]]:
    """Report the usage map: each place that refers to a Secret."""
    return [
        {"namespace": use.secret.namespace, "name": use.secret.name, **msgspec.to_builtins(_use(use))} for use in uses
    ]


def _everything(paths: SecretPaths) -> Iterator[ReportedReach]:
    for subject, route in paths.everything.items():
        yield _reach(Reach(subject=subject, routes=(route,)))


def _reach(reach: Reach) -> ReportedReach:
    return ReportedReach(_subject(reach.subject), tuple(_route(route) for route in reach.routes), reach.expected)


def _route(route: Route) -> ReportedRoute:
    return ReportedRoute(
        means=route.means,
        is_direct=route.is_direct,
        is_named=route.is_named,
        steps=tuple(
            ReportedStep(_subject(s.subject), s.means, s.text, tuple(map(reported_chain, s.chains)))
            for s in route.steps
        ),
        others=route.others,
        doubts=route.doubts,
    )


def _use(use: SecretUse) -> ReportedUse:
    return ReportedUse(use.kind, reported(use.user), use.path, use.container, use.key, use.optional)


def _subject(subject: Subject) -> ReportedSubject:
    return ReportedSubject(subject.kind, subject.namespace, subject.name)


def access_lines(paths: SecretPaths, access: SecretAccess) -> list[Line]:
    """Say who reaches one Secret: the direct ones first, each with its chain."""
    secret = access.secret
    seen = "" if secret.is_seen else " (known by what refers to it; it was not read)"
    lines = [Line("heading", printable(f"Secret {secret.namespace}/{secret.name}{seen}"))]
    telling = [reach for reach in access.reaches if not reach.expected]
    for reach in telling:
        lines += _reach_lines(reach)
    if not telling:
        lines.append(Line("pass", "  nobody stands out beside those who reach all"))
    if expected := [str(reach.subject) for reach in access.reaches if reach.expected]:
        said = (
            f"  {len(expected):,} by grants of Kubernetes itself, unchanged (all in -o json): {', '.join(expected[:5])}"
        )
        lines.append(Line("detail", printable(said)))
    lines += [
        Line("detail", printable(f"  kubelet of {node}: runs {', '.join(what[:3])}"))
        for node, what in list(access.kubelets.items())[:_SHOWN]
    ]
    lines += [Line("detail", printable(f"  {said}")) for said in secret.copied_by]
    lines += [Line("unknown", printable(f"  not read: {what}")) for what in access.missing]
    return [*lines, *_everything_lines(paths)]


def _reach_lines(reach: Reach) -> Iterator[Line]:
    for route in reach.routes:
        said = ", then ".join(
            step.text if number == 0 else f"{step.subject} {step.text}" for number, step in enumerate(route.steps)
        )
        mark = " by its name" if route.is_named else ""
        yield Line(_STYLES[route.is_direct], printable(f"  {reach.subject} {said}{mark}"))
        for step in route.steps:
            yield from (Line("detail", printable(f"      {chain}")) for chain in step.chains)
        if route.others:
            yield Line("detail", f"      … and {route.others:,} more grants like these")
        yield from (Line("unknown", printable(f"      {doubt}")) for doubt in route.doubts)


def _everything_lines(paths: SecretPaths) -> Iterator[Line]:
    yield Line("heading", f"{len(paths.everything):,} reach every Secret of the cluster")
    for subject, route in list(paths.everything.items())[:_SHOWN]:
        yield Line("detail", printable(f"  {subject}: {', then '.join(step.text for step in route.steps)}"))
    if len(paths.everything) > _SHOWN:
        yield Line("detail", f"  … and {len(paths.everything) - _SHOWN:,} more")


def summary_lines(paths: SecretPaths) -> list[Line]:
    """Say which Secrets are widest open, and who reaches most."""
    secrets, subjects = paths.counts
    widest = sorted(secrets, key=lambda row: (-row.direct, -row.indirect, row.secret))
    lines = [Line("heading", f"{len(secrets):,} Secrets are known; the widest open, beside those who reach all:")]
    lines += [
        Line(
            "resource",
            printable(
                f"  {row.secret.namespace}/{row.secret.name}: {row.direct:,} read it, {row.indirect:,} more reach it, "
                f"{row.consumers:,} use it"
            ),
        )
        for row in widest[:_SHOWN]
    ]
    lines.append(Line("heading", f"{len(subjects):,} reach some of them; most:"))
    lines += [_subject_line(row) for row in subjects[:_SHOWN]]
    lines += [Line("unknown", printable(f"not read: {what}")) for what in paths.all_missing[:_SHOWN]]
    return [*lines, *_everything_lines(paths)]


def _subject_line(row: SubjectCount) -> Line:
    return Line("resource", printable(f"  {row.subject}: reads {row.direct:,}, reaches {row.indirect:,} more"))


def usage_lines(uses: Sequence[SecretUse]) -> list[Line]:
    """Say what uses each Secret."""
    lines: list[Line] = []
    last = None
    for use in uses:
        if use.secret != last:
            lines.append(Line("heading", printable(f"Secret {use.secret.namespace}/{use.secret.name}")))
            last = use.secret
        key = f" key {use.key}" if use.key else ""
        lines.append(Line("detail", printable(f"  {use.user} {use.kind}{key}: {use.path}")))
    return lines or [Line("pass", "Nothing refers to a Secret")]
