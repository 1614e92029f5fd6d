"""Readiness: how ready each resource is to live on Kubernetes, chapter by chapter, by the findings that are stored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from scanner.api import problems
from scanner.api.dependencies import Deps
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import documented
from scanner.api.schemas import Page, ResourceRefOut, Shape
from scanner.model.finding import Outcome
from scanner.model.policy import Chapter
from scanner.posture.readiness import Verdict
from scanner.posture.stored_readiness import Standing, standings
from scanner.store.database import reading
from scanner.store.findings import Count, count_by_resource
from scanner.store.resources import ResourceFilter, ResourcePosition, list_resources
from scanner.store.tables import ResourceRow

router = APIRouter(prefix="/api/v1/readiness", tags=["readiness"])

_Counted = Mapping[str, list[tuple[str, Outcome, int]]]
#: What is said of the cluster is kept under no name: no namespace is called so.
_EVERYWHERE = ""


class ReadinessQuery(PageQuery):
    """Of which resources."""

    cluster: Text | None = Field(default=None, description="Of this cluster.")
    namespace: Text | None = Field(default=None, description="In this namespace; empty: in none.")
    kind: Text | None = Field(default=None, description="Of this kind.")


class ChapterOut(Shape):
    """One chapter of a resource."""

    verdict: Verdict = Field(
        description="`not-ready` if a finding fails, `unknown` if none does but something could not be judged, else "
        "`ready`; what is said of its namespace and of the cluster counts."
    )
    failed: int = Field(description="How many of its own findings fail.", examples=[2])
    unknown: int = Field(description="How many of its own findings are unknown.", examples=[0])


class ReadinessOut(Shape):
    """How ready a resource is."""

    cluster: str = Field(description="Name of the cluster.", examples=["prod-eu"])
    resource: ResourceRefOut = Field(description="The workload, or another object that findings are about.")
    chapters: dict[Chapter, ChapterOut] = Field(description="By chapter.")


@router.get(
    "",
    operation_id="listReadiness",
    summary="List how ready resources are",
    responses=documented(problems.INVALID, problems.DATABASE_DOWN),
)
def list_readiness(
    request: Request, response: Response, deps: Deps, query: Annotated[ReadinessQuery, Query()]
) -> Page[ReadinessOut]:
    """List workloads by cluster, namespace, kind and name, with the verdict of each chapter.

    The findings themselves are in `GET /findings?resource=…`. Findings on an autoscaler, a disruption budget or a
    Service stand under that; the report of `plimsoll readiness` counts them for the workloads that they are about too.
    """
    after = decode_cursor(query, (str, str, str, str, str))
    wanted = ResourceFilter(cluster=query.cluster, namespace=query.namespace, kind=query.kind)
    chapters = {str(policy.id): policy.chapter for policy in deps.policies.values()}
    with reading(deps.engine) as session:
        rows = list_resources(session, wanted, after=ResourcePosition(*after) if after else None, limit=query.limit + 1)
        items, following = rows[: query.limit], None
        clusters = sorted({row.cluster for row in items})
        around = {name: _around(count_by_resource(session, name, without_namespace=True)) for name in clusters}
        own: dict[str, _Counted] = {
            name: _by_resource(
                count_by_resource(session, name, resources=(row.id for row in items if row.cluster == name))
            )
            for name in clusters
        }
    if len(rows) > query.limit:
        last = items[-1]
        following = encode_cursor(query, (last.cluster, last.namespace, last.kind, last.name, last.id))
        response.headers.update(next_link(request.url.path, query, following))
    return Page[ReadinessOut](
        items=[_out(row, own[row.cluster].get(row.id, []), around[row.cluster], chapters) for row in items],
        next=following,
    )


def _by_resource(counts: Iterable[Count]) -> _Counted:
    found: dict[str, list[tuple[str, Outcome, int]]] = defaultdict(list)
    for count in counts:
        found[count.resource_id].append((count.policy, count.outcome, count.number))
    return found


def _around(counts: Iterable[Count]) -> _Counted:
    """Sort what belongs to no namespace: what is said of a namespace counts there, all else everywhere."""
    found: dict[str, list[tuple[str, Outcome, int]]] = defaultdict(list)
    for count in counts:
        is_namespace = (count.api_version, count.kind) == ("v1", "Namespace")
        found[count.name if is_namespace else _EVERYWHERE].append((count.policy, count.outcome, count.number))
    return found


def _out(
    row: ResourceRow,
    own: list[tuple[str, Outcome, int]],
    around: _Counted,
    chapters: Mapping[str, Chapter | None],
) -> ReadinessOut:
    besides = [*around.get(_EVERYWHERE, ()), *(around.get(row.namespace, ()) if row.namespace else ())]
    surroundings = {chapter: s.verdict for chapter, s in standings(besides, chapters, {}).items()}
    return ReadinessOut(
        cluster=row.cluster,
        resource=ResourceRefOut(
            id=row.id, api_version=row.api_version, kind=row.kind, namespace=row.namespace, name=row.name
        ),
        chapters={chapter: _chapter_out(s) for chapter, s in standings(own, chapters, surroundings).items()},
    )


def _chapter_out(standing: Standing) -> ChapterOut:
    return ChapterOut(verdict=standing.verdict, failed=standing.failed, unknown=standing.unknown)
