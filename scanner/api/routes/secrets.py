"""Secrets: what uses them and who reaches them, as of the last stored scan; never what they hold."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from scanner.analysis.paths.secret_access import Reach, Route, Step
from scanner.api import problems
from scanner.api.access import AsOf, ChainOut, SubjectOut, as_of, chain_out, ref_out, subject_out
from scanner.api.dependencies import Deps, Services
from scanner.api.pagination import PageQuery, Text, decode_cursor, encode_cursor, next_link
from scanner.api.problems import ProblemError, documented
from scanner.api.routes.rbac import grants_of
from scanner.api.schemas import ObjectRefOut, Page, Shape
from scanner.service.secret_paths import KeptSecretPaths, secret_id

router = APIRouter(prefix="/api/v1/secrets", tags=["secrets"])

_PROBLEMS = documented(problems.NOT_FOUND, problems.NOT_SCANNED, problems.INVALID, problems.DATABASE_DOWN)
_CLUSTER = "In this cluster; may be left out where there is but one."
#: A popular pull secret has a use for each service account of its namespace.
_USES_SHOWN = 1000


class SecretsQuery(PageQuery):
    """Which Secrets."""

    cluster: Text | None = Field(default=None, description=_CLUSTER)
    namespace: Text | None = Field(default=None, description="In this namespace.")


class AccessQuery(BaseModel):
    """Of which cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Text | None = Field(default=None, description=_CLUSTER)


class SecretOut(Shape):
    """A Secret by its name."""

    id: str = Field(description="To ask who reaches it.", examples=["5f0c8a1e9d3b47626a1c0e9f8d7b6a54"])
    namespace: str = Field(description="Namespace.", examples=["shop"])
    name: str = Field(description="Name.", examples=["db"])
    type: str = Field(description="Type; empty where it is not known.", examples=["Opaque"])
    is_seen: bool = Field(description="Its metadata was read; otherwise it is known by what refers to it.")
    consumers: int = Field(description="How many objects refer to it.")
    direct: int = Field(description="How many subjects the API server lets read it, beside those who reach all.")
    indirect: int = Field(description="How many more reach it in other ways.")


class SecretPage(Page[SecretOut]):
    """Known Secrets, sorted by namespace and name."""

    everything: int = Field(description="How many subjects reach every Secret, and are not counted above.")
    missing: list[str] = Field(description="What was not read: there may be more Secrets and more who reach them.")
    as_of: AsOf = Field(description="What the answer is from.")


class SecretStepOut(Shape):
    """One step of a route."""

    subject: SubjectOut = Field(description="Who does it.")
    means: str = Field(description="What it does.", examples=["token"])
    text: str = Field(description="The same in words.", examples=["makes a token for ServiceAccount shop/reader"])
    chains: list[ChainOut] = Field(description="What lets it; several where it takes several rights.")


class SecretRouteOut(Shape):
    """One way to a Secret."""

    means: str = Field(description="Of its first step.", examples=["get"])
    is_direct: bool = Field(
        description="The API server's answer holds the Secret; a SubjectAccessReview says the same."
    )
    is_named: bool = Field(description="The right on the Secret, or on what uses it, is limited to names.")
    steps: list[SecretStepOut] = Field(description="In order; the last reaches the Secret.")
    others: int = Field(description="How many more grants give the first step.")
    doubts: list[str] = Field(description="What may stand in the way, or is needed besides.")


class SecretReachOut(Shape):
    """Somebody who reaches a Secret."""

    subject: SubjectOut = Field(description="Who; a group stands for its members.")
    routes: list[SecretRouteOut] = Field(description="How; the shortest first.")
    expected: str = Field(
        description="Why it is as it should be, if it is: Kubernetes' own grant, unchanged; else empty.",
        examples=["Kubernetes' own ClusterRoleBinding system:kube-controller-manager, unchanged"],
    )


class SecretUseOut(Shape):
    """One place that refers to a Secret."""

    kind: str = Field(description="How it is used.", examples=["env"])
    user: ObjectRefOut = Field(description="The object that refers to it.")
    path: str = Field(description="Where in that object.", examples=["spec.template.spec.volumes[0].secret"])
    container: str = Field(description="The container, where it is one.", examples=["app"])
    key: str = Field(description="A single key, where only that is used.", examples=["password"])
    optional: bool = Field(description="The user starts without it.")


class SecretAccessOut(Shape):
    """Everything about one Secret but what it holds."""

    id: str = Field(description="Its id.", examples=["5f0c8a1e9d3b47626a1c0e9f8d7b6a54"])
    namespace: str = Field(description="Namespace.", examples=["shop"])
    name: str = Field(description="Name.", examples=["db"])
    type: str = Field(description="Type; empty where it is not known.", examples=["Opaque"])
    is_seen: bool = Field(description="Its metadata was read; otherwise it is known by what refers to it.")
    reaches: list[SecretReachOut] = Field(
        description="Who reaches it: direct ones first, then by the length of the route."
    )
    everything: list[SecretReachOut] = Field(description="Who reaches every Secret of the cluster.")
    kubelets: dict[str, list[str]] = Field(description="Nodes whose kubelets may read it, with what runs there.")
    copied_by: list[str] = Field(description="What hands copies of it to other places.")
    uses: list[SecretUseOut] = Field(description=f"What refers to it; the first {_USES_SHOWN:,} of all.")
    use_count: int = Field(description="How many places refer to it.")
    missing: list[str] = Field(description="What was not read: there may be more.")
    as_of: AsOf = Field(description="What the answer is from.")


@router.get(
    "", operation_id="listSecrets", summary="Which Secrets are known, and how open are they?", responses=_PROBLEMS
)
def list_secrets(
    request: Request, response: Response, deps: Deps, query: Annotated[SecretsQuery, Query()]
) -> SecretPage:
    """List Secrets by name with how many use and reach them; those that nothing refers to only if they were read."""
    after = decode_cursor(query, (str, str))
    kept = _kept(deps, query.cluster)
    cluster = str(kept.grants.snapshot.cluster)
    rows = [
        row
        for row in kept.paths.counts[0]
        if query.namespace in {None, row.secret.namespace}
        if after is None or (row.secret.namespace, row.secret.name) > after
    ]
    items, following = rows[: query.limit], None
    if len(rows) > query.limit:
        last = items[-1].secret
        following = encode_cursor(query, (last.namespace, last.name))
        response.headers.update(next_link(request.url.path, query, following))
    return SecretPage(
        items=[
            SecretOut(
                id=secret_id(cluster, row.secret),
                namespace=row.secret.namespace,
                name=row.secret.name,
                type=row.secret.type,
                is_seen=row.secret.is_seen,
                consumers=row.consumers,
                direct=row.direct,
                indirect=row.indirect,
            )
            for row in items
        ],
        next=following,
        everything=len(kept.paths.everything),
        missing=list(kept.paths.all_missing),
        as_of=as_of(kept.grants),
    )


@router.get("/{id}/access", operation_id="getSecretAccess", summary="Who reaches this Secret?", responses=_PROBLEMS)
def get_secret_access(
    deps: Deps,
    secret: Annotated[Text, Path(alias="id", description="Id of the Secret, as the list has it.")],
    query: Annotated[AccessQuery, Query()],
) -> SecretAccessOut:
    """Name everyone who reaches a Secret and how, and what uses it."""
    kept = _kept(deps, query.cluster)
    found = kept.by_id.get(secret)
    if found is None:
        raise ProblemError(problems.NOT_FOUND, "the last scan knows no Secret of this id")
    access = kept.paths.access(found)
    uses = kept.paths.uses.get(found.ref, ())
    return SecretAccessOut(
        id=secret,
        namespace=found.namespace,
        name=found.name,
        type=found.type,
        is_seen=found.is_seen,
        reaches=[_reach_out(reach) for reach in access.reaches],
        everything=[_reach_out(Reach(subject=s, routes=(route,))) for s, route in kept.paths.everything.items()],
        kubelets={node: list(what) for node, what in access.kubelets.items()},
        copied_by=list(found.copied_by),
        uses=[
            SecretUseOut(
                kind=use.kind,
                user=ref_out(use.user),
                path=use.path,
                container=use.container,
                key=use.key,
                optional=use.optional,
            )
            for use in uses[:_USES_SHOWN]
        ],
        use_count=len(uses),
        missing=list(access.missing),
        as_of=as_of(kept.grants),
    )


def _kept(deps: Services, cluster: str | None) -> KeptSecretPaths:
    found = deps.secrets.of(deps.engine, grants_of(deps, cluster))
    if found is None:
        raise ProblemError(problems.NOT_SCANNED, "no scan that keeps what uses Secrets was stored yet")
    return found


def _reach_out(reach: Reach) -> SecretReachOut:
    return SecretReachOut(
        subject=subject_out(reach.subject),
        routes=[_route_out(route) for route in reach.routes],
        expected=reach.expected,
    )


def _route_out(route: Route) -> SecretRouteOut:
    return SecretRouteOut(
        means=route.means,
        is_direct=route.is_direct,
        is_named=route.is_named,
        steps=[_step_out(step) for step in route.steps],
        others=route.others,
        doubts=list(route.doubts),
    )


def _step_out(step: Step) -> SecretStepOut:
    return SecretStepOut(
        subject=subject_out(step.subject),
        means=step.means,
        text=step.text,
        chains=[chain_out(chain) for chain in step.chains],
    )
