"""A page for the person who opens the service's address: how the cluster stands and what to look at first.

Made on the server, without scripts, under a policy that would let none run. Whatever comes from the cluster is escaped,
and characters that could reorder or hide text are spelt out.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.problems import documented
from scanner.api.routes.summary import SummaryQuery, summary
from scanner.api.schemas import FindingOut, FreshnessOut, SummaryOut, finding_out
from scanner.model.policy import Severity
from scanner.store.database import reading
from scanner.store.findings import FindingFilter, list_findings

router = APIRouter(tags=["operations"])

#: As many as fit on a screen or two; the rest is in the API.
_SHOWN = 30

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8886; vertical-align: top; }
.counts { display: flex; flex-wrap: wrap; gap: 1.5rem; padding: 0; list-style: none; }
.counts b { display: block; font-size: 2rem; line-height: 1.2; }
.notice { border-left: .3rem solid #c60; padding: .2rem .8rem; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CONTENT_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get(
    "/",
    operation_id="getHome",
    summary="How it stands, for people",
    response_class=HTMLResponse,
    responses=documented(problems.DATABASE_DOWN),
)
def home(deps: Deps) -> Response:
    """Show the summary and the worst findings as a page."""
    counted = summary(deps, SummaryQuery())
    with reading(deps.engine) as session:
        rows = list_findings(session, FindingFilter(), limit=_SHOWN)
    findings = [finding_out(row, deps.policies) for row in rows]
    return HTMLResponse(page(counted, findings), headers={"Content-Security-Policy": _CONTENT_POLICY})


def page(counted: SummaryOut, findings: Sequence[FindingOut]) -> str:
    """Write the page."""
    clusters = ", ".join(cluster.cluster for cluster in counted.clusters)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Plimsoll</title>
<style>{_STYLE}</style>
<h1>Plimsoll{f": {shown(clusters)}" if clusters else ""}</h1>
{_notices(counted.clusters)}
<ul class="counts">
{_counts(counted)}
</ul>
<h2>Worst first</h2>
{_table(findings)}
<p>Everything else is in the API: <a href="/api/v1/findings">findings</a>, <a href="/api/v1/resources">resources</a>,
<a href="/api/v1/policies">policies</a>, <a href="/api/v1/scans">scans</a>, <a href="/api/v1/summary">summary</a>,
<a href="/api/v1/openapi.json">its description</a>.</p>
</html>
"""


def shown(text: str) -> str:
    """Return text as HTML that shows every character of it and means nothing else."""
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return html.escape(visible)


def _notices(clusters: Sequence[FreshnessOut]) -> str:
    """Say what is not known: silence must not look like good news."""
    notices = (
        [notice for cluster in clusters for notice in _notices_of(cluster)] if clusters else ["No scan was made yet."]
    )
    return "\n".join(f'<p class="notice">{shown(notice)}</p>' for notice in notices)


def _notices_of(cluster: FreshnessOut) -> Iterable[str]:
    name = cluster.cluster
    if cluster.last_attempt.state == "running":
        yield f"{name}: a scan is running; reload to see what it finds."
    if cluster.last_attempt.state == "failed":
        yield f"{name}: the last scan failed: {cluster.last_attempt.error}"
    if cluster.last_scan is None:
        yield f"{name}: no scan was completed yet, so nothing is known."
    elif not cluster.is_conclusive:
        yield f"{name}: not everything could be judged; what is missing may hide more."
    for gap in cluster.gaps:
        where = f" in {gap.namespace}" if gap.namespace else ""
        yield f"{name}: {gap.resource}{where} not read ({gap.state}): {gap.reason}"


def _counts(counted: SummaryOut) -> str:
    numbers = [(severity.value, counted.total.failed.get(severity, 0)) for severity in reversed(Severity)]
    numbers.append(("unknown", counted.total.unknown))
    return "\n".join(f"<li><b>{number}</b>{name}</li>" for name, number in numbers)


def _table(findings: Sequence[FindingOut]) -> str:
    if not findings:
        return "<p>No open findings.</p>"
    rows = "\n".join(_row(finding) for finding in findings)
    return f"""<div class="table"><table>
<thead><tr><th>Severity<th>Outcome<th>What<th>Where<th>Details</thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def _row(finding: FindingOut) -> str:
    resource = finding.resource
    where = f"{resource.kind} {f'{resource.namespace}/' if resource.namespace else ''}{resource.name}"
    return (
        f"<tr><td>{shown(finding.severity)}<td>{shown(finding.outcome)}<td>{shown(finding.message)}"
        f'<td>{shown(where)}<td><a href="/api/v1/findings/{shown(finding.id)}">{shown(finding.policy)}</a>'
    )
