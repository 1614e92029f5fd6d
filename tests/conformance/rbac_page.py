"""Where published cases on RBAC and Kubernetes disagree, and the page about it.

`python -m tests.conformance.rbac_page` writes the page.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.rbac_cases import LEFT_OUT_EDGES, LEFT_OUT_RULES

PAGE = Path(__file__).parents[2] / "docs" / "conformance" / "rbac.md"


@dataclass(frozen=True)
class Disagreement:
    """One thing that a peer says and Kubernetes does not, or the other way round."""

    case: str
    who: str
    #: What the peer says; Kubernetes says the opposite.
    peer: bool
    why: str


_REGOLIBRARY = {
    "ensure-default-service-accounts-has-only-default-roles/failed_clusterrolebinding": (
        "ClusterRoleBinding/-/read-secrets-global",
        "the ClusterRole `test` does not exist: the binding grants nothing until someone makes that",
    ),
    "ensure-default-service-accounts-has-only-default-roles/failed_clusterrolebinding_boots_none_default": (
        "ClusterRoleBinding/-/read-secrets-global",
        "the ClusterRole `test` does not exist, as above",
    ),
    **{
        f"rule-can-approve-cert-signing-request/{kind}-rolebinding": (
            "User/-/jane",
            "CertificateSigningRequests have no namespace, so that a RoleBinding cannot grant anything on them",
        )
        for kind in ("clusterrole", "role")
    },
    **{
        f"rule-can-modify-admission-webhooks/{kind}-rolebinding": (
            "User/-/jane",
            "webhook configurations have no namespace, so that a RoleBinding cannot grant anything on them",
        )
        for kind in ("clusterrole", "role")
    },
}
_CLUSTER_ROLES = tuple(f"rolebind-rb-cr-{x}::pod-bind-role-rb-cr-{x}" for x in ("crb-cr-fail", "rb-cr", "rb-r"))
_BIND_ROLES = (
    "rolebind-rb-r-rb-r::pod-bind-role-rb-r-rb-r",
    "rolebind-rb-r-rb-r::pod-bind-role-rb-r-rb-r-g",
    "rolebind-rb-r-rb-r::pod-bind-role-rb-r-rb-r-u",
)
_BIND_CLUSTER_ROLES = (
    "rolebind-rb-cr-rb-cr::pod-bind-role-rb-cr-rb-cr",
    *(f"rolebind-rb-r-rb-crb::pod-bind-role-rb-r-rb-crb{x}" for x in ("", "-g", "-u")),
)


def _role_bind(pairs: Iterable[tuple[str, str]], *, peer: bool, why: str) -> list[Disagreement]:
    return [Disagreement("kubehound/ROLE_BIND_CASE_3", f"{src} -> {dst}", peer, why) for src, dst in pairs]


DISAGREEMENTS = (
    *(Disagreement(f"regolibrary/{case}", who, peer=True, why=why) for case, (who, why) in _REGOLIBRARY.items()),
    *_role_bind(
        itertools.product((*_BIND_ROLES, _CLUSTER_ROLES[2]), _CLUSTER_ROLES[:2]),
        peer=True,
        why="the source may `bind` Roles alone, and the target is a ClusterRole",
    ),
    *_role_bind(
        itertools.product(_BIND_ROLES, _CLUSTER_ROLES[2:]),
        peer=True,
        why="the source may `bind` Roles alone, and the target is a ClusterRole; it may be bound by those who hold its "
        "rules already, as this source does, which gives them nothing",
    ),
    *_role_bind(
        itertools.product(_BIND_CLUSTER_ROLES, _CLUSTER_ROLES),
        peer=False,
        why="the source may create RoleBindings and `bind` ClusterRoles in the namespace, so it can bind this one",
    ),
    *_role_bind(
        zip(_BIND_ROLES, _BIND_ROLES, strict=True),
        peer=False,
        why="the source may bind the role that it has already, which gives it nothing; the peer leaves such edges out",
    ),
)
#: Cases that were compared: edges of KubeHound, sets of alerts of regolibrary.
EDGE_COUNT, ALERT_COUNT = 164, 40


def page() -> str:
    """Write the page about disagreements."""
    rows = "\n".join(
        f"| {d.case} | `{d.who}` | {'yes' if d.peer else 'no'} | {'no' if d.peer else 'yes'} | {d.why} |"
        for d in DISAGREEMENTS
    )
    left_out = "\n".join(f"- {name}: {why}." for name, why in (LEFT_OUT_EDGES | LEFT_OUT_RULES).items())
    missing = sum(not d.peer for d in DISAGREEMENTS)
    return _PAGE.format(
        edges=EDGE_COUNT,
        alerts=ALERT_COUNT,
        wrong=len(DISAGREEMENTS) - missing,
        missing=missing,
        rows=rows,
        left_out=left_out,
    )


_PAGE = """\
# RBAC: published cases of other tools

{edges} edges of KubeHound and {alerts} cases of regolibrary (Kubescape) say who may do what. Each is turned into
SubjectAccessReviews; the authorizer and a real API server answer them, and they answer alike, every one. Where both
differ from the tool, the tool is wrong: {wrong} times it says that something is allowed that Kubernetes denies,
{missing} times it does not see what Kubernetes allows. `tests/conformance/test_rbac.py` asks again in every run and
compares with this page, which `python -m tests.conformance.rbac_page` writes.

| Case | Who | Tool | Kubernetes | Why |
|---|---|---|---|---|
{rows}

A further difference is no answer of RBAC: for KubeHound, reading the Secrets of a namespace gives every identity there
(TOKEN_BRUTEFORCE, TOKEN_LIST). We agree on who may read them. Since Kubernetes 1.24 a service account has no token
Secret unless someone makes one.

## Left out

{left_out}
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
