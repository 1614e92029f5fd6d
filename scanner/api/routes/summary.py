"""The summary: how a cluster stands, and how much of it is known."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.pagination import Text
from scanner.api.problems import ProblemError, documented
from scanner.api.schemas import StandingOut, SummaryOut, freshness_out, standing_out
from scanner.posture.summary import Standing, summarise
from scanner.store.database import reading
from scanner.store.findings import tally_findings
from scanner.store.scans import get_scan, list_clusters, list_scans
from scanner.store.tables import CoverageRow, ScanRow

router = APIRouter(prefix="/api/v1/summary", tags=["summary"])


class SummaryQuery(BaseModel):
    """Of what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Text | None = Field(default=None, description="Of this cluster; of all of them if it is left out.")


@router.get(
    "",
    operation_id="getSummary",
    summary="Summarise",
    responses=documented(problems.NOT_FOUND, problems.INVALID, problems.DATABASE_DOWN),
)
def summary(deps: Deps, query: Annotated[SummaryQuery, Query()]) -> SummaryOut:
    """Count open findings by namespace, severity, pillar, policy and framework, and say what is not known."""
    with reading(deps.engine) as session:
        known = list_clusters(session)
        if query.cluster is not None and query.cluster not in known:
            raise ProblemError(problems.NOT_FOUND, "no cluster of this name was ever scanned")
        chosen = known if query.cluster is None else [query.cluster]
        scans = [(list_scans(session, cluster=name, limit=1)[0], _last_stored(session, name)) for name in chosen]
        tallies = tally_findings(session, query.cluster)
    counted = summarise(tallies, {policy.id: policy.frameworks for policy in deps.policies.values()})
    now = deps.clock()
    return SummaryOut(
        cluster=query.cluster,
        clusters=[freshness_out(attempt, stored, now) for attempt, stored in scans],
        total=standing_out(counted.whole),
        by_namespace=_standings(counted.by_namespace),
        by_pillar=_standings(counted.by_area),
        by_policy=_standings(counted.by_policy),
        by_framework=_standings(counted.by_framework),
    )


def _standings(parts: Mapping[str, Standing]) -> dict[str, StandingOut]:
    return {name: standing_out(standing) for name, standing in parts.items()}


def _last_stored(session: Session, cluster: str) -> tuple[ScanRow, list[CoverageRow]] | None:
    """Return the last scan of a cluster that was stored, with its coverage."""
    stored = [
        scan for state in ("complete", "partial") for scan in list_scans(session, cluster=cluster, state=state, limit=1)
    ]
    return get_scan(session, max(scan.id for scan in stored)) if stored else None
