"""The readiness report as one HTML file: no script, nothing loaded from elsewhere, every value escaped.

A Content-Security-Policy in the file forbids whatever is not the one style sheet in it, so that even a mistake in
escaping would run nothing.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import msgspec

from scanner.export.safe import printable
from scanner.model.finding import Fact, Finding
from scanner.model.policy import Chapter, Policy, PolicyId
from scanner.model.snapshot import Snapshot
from scanner.posture.readiness import ApplicationReadiness, ChapterResult, Chapters, Readiness, Verdict

#: Longer values of evidence are cut: a page is read, `-o json` has the whole.
_LONGEST_VALUE = 200

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --page: #ffffff; --soft: #f1f4f7; --line: #8592a0; --link: #0b5394;
  --ready: #0b6b3a; --not-ready: #a31621; --unknown: #6a3d9a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaee; --page: #12161b; --soft: #1e252d; --line: #6c7885;
  --link: #8ec5ff; --ready: #6fd99b; --not-ready: #ff9a9a; --unknown: #cfb2f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; color: var(--ink);
  background: var(--page); overflow-wrap: anywhere; }
a { color: var(--link); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal; }
caption { text-align: start; padding-block: .5rem; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: start; vertical-align: top; }
thead th { background: var(--soft); }
td { white-space: nowrap; }
.ready { color: var(--ready); }
.not-ready { color: var(--not-ready); font-weight: 600; }
.unknown { color: var(--unknown); }
section { border-top: 1px solid var(--line); margin-top: 2rem; }
details { background: var(--soft); padding: .3rem .8rem; margin: .4rem 0; }
details p, details ul { margin-block: .3rem; }
summary { cursor: pointer; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
.meta { font-size: .9rem; }
@page { margin: 15mm; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { font-size: 18pt; } h2 { font-size: 14pt; } h3, h4 { font-size: 11pt; margin-block: .6em .2em; }
  .scroll { overflow: visible; } th, td { padding: .15rem .4rem; } tr, details { break-inside: avoid; }
  details { background: none; border: 1px solid var(--line); }
  details::details-content { content-visibility: visible; block-size: auto; } h2, h3, h4 { break-after: avoid; }
  a { color: inherit; } }
"""

_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-{_DIGEST}'"


def readiness_html(snapshot: Snapshot, found: Readiness, policies: Mapping[PolicyId, Policy]) -> str:
    """Write the report as a page that needs nothing but itself."""
    return "\n".join(_page(snapshot, found, policies)) + "\n"


def _page(snapshot: Snapshot, found: Readiness, policies: Mapping[PolicyId, Policy]) -> Iterator[str]:
    title = f"Readiness of {_text(snapshot.cluster)}"
    version = f", Kubernetes {_text(snapshot.server_version)}" if snapshot.server_version else ""
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="referrer" content="no-referrer">'
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>"
    yield f'<p class="meta">As of {snapshot.taken_at:%Y-%m-%d %H:%M} UTC{version}.</p>\n</header>\n<main>'
    yield from _overview(found.applications)
    for surroundings in found.surroundings:
        if any(c.failures or c.unknowns for c in surroundings.chapters):
            where = f"Namespace {_text(surroundings.namespace)}" if surroundings.namespace else "The cluster"
            yield f"<section>\n<h2>{where}</h2>\n<p>This counts for every workload in it.</p>"
            yield from _chapters(surroundings.chapters, 3)
            yield "</section>"
    for number, application in enumerate(found.applications):
        yield f'<section id="application-{number}">\n<h2>{_text(_name(application))}</h2>'
        for workload in application.workloads:
            yield f"<h3>{_text(str(workload.ref))}</h3>"
            yield from _chapters(workload.chapters, 4)
        yield "</section>"
    if found.others:
        yield "<section>\n<h2>Belongs to no workload</h2>"
        yield from map(_finding, found.others)
        yield "</section>"
    yield from _policies(found, policies)
    yield "</main>\n</body>\n</html>"


def _overview(applications: Sequence[ApplicationReadiness]) -> Iterator[str]:
    yield '<div class="scroll" tabindex="0" role="region" aria-label="Verdicts by application">'
    yield f"<table>\n<caption>Verdicts of {len(applications):,} applications, the worst of their workloads</caption>"
    heads = "".join(f'<th scope="col">{chapter.heading}</th>' for chapter in Chapter)
    yield f'<thead><tr><th scope="col">Application</th>{heads}</tr></thead>\n<tbody>'
    for number, application in enumerate(applications):
        cells = "".join(f"<td>{_verdict(verdict)}</td>" for verdict in application.verdicts.values())
        link = f'<a href="#application-{number}">{_text(_name(application))}</a>'
        yield f'<tr><th scope="row">{link}</th>{cells}</tr>'
    yield "</tbody>\n</table>\n</div>"


def _name(application: ApplicationReadiness) -> str:
    if not application.application.told_by:
        return str(application.workloads[0].ref)
    return f"{application.application.namespace}/{application.application.name}"


def _verdict(verdict: Verdict) -> str:
    return f'<span class="{verdict.value}">{verdict.words}</span>'


def _chapters(chapters: Chapters, level: int) -> Iterator[str]:
    for result in chapters:
        yield f"<h{level}>{result.chapter.heading}: {_verdict(result.verdict)}</h{level}>"
        if result.surroundings is not Verdict.READY:
            yield f"<p>The cluster or the namespace as a whole is {_verdict(result.surroundings)} in this chapter.</p>"
        yield from map(_finding, _all(result))


def _all(result: ChapterResult) -> tuple[Finding, ...]:
    return (*result.failures, *result.unknowns)


def _finding(finding: Finding) -> str:
    label = finding.severity.value if finding.stands_out else "unknown"
    style = "not-ready" if finding.stands_out else "unknown"
    missing = f"<p>Missing: {_text(', '.join(finding.missing))}</p>" if finding.missing else ""
    facts = "".join(f"<li>{_fact(fact)}</li>" for fact in finding.evidence)
    evidence = f"<p>Evidence on {_text(str(finding.resource))}:</p><ul>{facts}</ul>" if facts else ""
    fix = f"<p>Fix: {_text(finding.fix)}</p>" if finding.fix else ""
    return (
        f'<details><summary><span class="{style}">{label}</span> {_text(finding.message)}</summary>'
        f"{missing}{evidence}{fix}"
        f'<p><a href="#{_anchor(finding.policy)}">{_text(finding.policy)}</a></p></details>'
    )


def _fact(fact: Fact) -> str:
    holder = f" of {_text(str(fact.object))}" if fact.object else ""
    value = msgspec.json.encode(fact.value).decode()
    shown = value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"
    says = f" = <code>{_text(shown)}</code>" if fact.value is not None else ""
    note = f" ({_text(fact.note)})" if fact.note else ""
    return f"<code>{_text(fact.path)}</code>{holder}{says}{note}"


def _policies(found: Readiness, policies: Mapping[PolicyId, Policy]) -> Iterator[str]:
    """Explain each policy that the page names, once."""
    named = {finding.policy for chapters in _every(found) for result in chapters for finding in _all(result)}
    named |= {finding.policy for finding in found.others}
    if named:
        yield "<section>\n<h2>What the policies say</h2>"
    for policy in sorted(named):
        says = policies[policy]
        yield f'<article id="{_anchor(policy)}">\n<h3>{_text(says.title)}</h3>\n<p class="meta">{_text(policy)}</p>'
        yield f"<p>{_text(says.rationale)}</p>\n<p>What to do: {_text(says.remediation)}</p>\n</article>"
    if named:
        yield "</section>"


def _every(found: Readiness) -> Iterable[Chapters]:
    yield from (s.chapters for s in found.surroundings)
    yield from (w.chapters for a in found.applications for w in a.workloads)


def _anchor(policy: PolicyId) -> str:
    return escape(f"policy-{policy.replace('/', '-')}")


def _text(text: str) -> str:
    return escape(printable(" ".join(text.split()) if text.isprintable() else text))
