"""Published cases on RBAC, each turned into questions that any authorizer can answer: ours, and the API server's.

Every case lives in a world of its own: names of the cluster and of namespaces, users and groups get a prefix, so that
all cases can be in one API server at a time.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scanner.analysis.rbac.requests import Identity, Request, identity_of, user_of
from tests.analysis.rbac.worlds import World

RBAC = "rbac.authorization.k8s.io"
KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")

#: Asks an authorizer whether someone may do something.
Can = Callable[[Identity, Request], bool]
#: Something holds if all questions of one of the lists are answered with yes.
Claim = Sequence[Sequence[tuple[Identity, Request]]]


def holds(claim: Claim, can: Can) -> bool:
    """Tell what an authorizer makes of a claim."""
    return any(all(can(identity, request) for identity, request in together) for together in claim)


@dataclass(frozen=True)
class Case:
    """One published case: who is said to hold something, and what each one concerned would have to be allowed."""

    id: str
    world: World
    #: Those whom the peer names, among the keys of `claims`.
    named: frozenset[str]
    #: By name as the peer writes it.
    claims: Mapping[str, Claim]


def _transplanted(o: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Give a role or binding the names of its world."""
    metadata = o["metadata"]
    placed: dict[str, Any] = {"name": metadata["name"]}
    if o["kind"].startswith("Cluster"):
        placed["name"] = _named(metadata["name"], prefix)
    else:
        placed["namespace"] = f"{prefix}-{metadata.get('namespace', 'default')}"
    made = {"apiVersion": o["apiVersion"], "kind": o["kind"], "metadata": placed}
    if "rules" in o:
        return made | {"rules": o["rules"]}
    role = dict(o["roleRef"])
    if role["kind"] == "ClusterRole":
        role["name"] = _named(role["name"], prefix)
    return made | {"roleRef": role, "subjects": [_subject(s, prefix) for s in o.get("subjects") or ()]}


def _subject(subject: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    if subject["kind"] == "ServiceAccount":
        return {**subject, "namespace": f"{prefix}-{subject.get('namespace', 'default')}"}
    return {**subject, "name": _named(subject["name"], prefix)}


def _named(name: str, prefix: str) -> str:
    """Name something of the cluster; what is Kubernetes' own stays."""
    return name if name.startswith("system:") else f"{prefix}-{name}"


def _world(objects: Iterable[Mapping[str, Any]], prefix: str) -> World:
    """Make a world of the roles and bindings among some objects, without what the API server has or refuses."""
    wanted = [o for o in objects if o.get("kind") in KINDS and not o["metadata"]["name"].startswith("system:")]
    kept = [o for o in wanted if not (o["kind"] == "ClusterRoleBinding" and o["roleRef"]["kind"] == "Role")]
    made = tuple(_transplanted(o, prefix) for o in kept)
    namespaces = {o["metadata"].get("namespace", f"{prefix}-default") for o in made} | {f"{prefix}-default"}
    return World(prefix, made, tuple(sorted(namespaces)), (), ())


def _objects(files: Iterable[Path]) -> list[dict[str, Any]]:
    return [o for file in files for o in yaml.safe_load_all(file.read_text()) if isinstance(o, dict)]


def _who(subject: Mapping[str, Any]) -> Identity:
    """Return the identity that a subject of a world stands for; of a group, some member."""
    match subject["kind"]:
        case "ServiceAccount":
            return identity_of(user_of(subject["namespace"], subject["name"]))
        case "User":
            return identity_of(subject["name"])
        case _:
            return identity_of("some-member", frozenset({subject["name"]}))


# --- regolibrary: rules that name subjects ---


def _asked(verbs: str, resources: str, *, group: str = "", cluster_scoped: bool = False) -> list[tuple[Request, bool]]:
    """Say what a rule of regolibrary asks, and whether the resources have no namespace."""
    return [
        (Request(verb=verb, group=group, resource=plural, subresource=sub), cluster_scoped)
        for verb, (plural, _, sub) in itertools.product(verbs.split(), (r.partition("/") for r in resources.split()))
    ]


_WEBHOOKS = "validatingwebhookconfigurations mutatingwebhookconfigurations"
#: Rule to what the subjects that it names would be allowed.
RULES = {
    "cluster-admin-role": [(Request(verb="*", group="*", resource="*"), True)],
    "rule-can-approve-cert-signing-request": _asked(
        "update patch", "certificatesigningrequests/approval", group="certificates.k8s.io", cluster_scoped=True
    ),
    "rule-can-create-pod": _asked("create", "pods"),
    "rule-can-delete-k8s-events-v1": _asked("delete deletecollection", "events"),
    "rule-can-impersonate-users-groups-v1": [
        *_asked("impersonate", "users groups", cluster_scoped=True),
        *_asked("impersonate", "serviceaccounts"),
    ],
    "rule-can-list-get-secrets-v1": _asked("get list watch", "secrets"),
    "rule-can-modify-admission-webhooks": _asked(
        "create update patch delete", _WEBHOOKS, group="admissionregistration.k8s.io", cluster_scoped=True
    ),
    "rule-excessive-delete-rights-v1": _asked("delete", "secrets pods services configmaps serviceaccounts"),
}
#: Rules about pods, by what their service accounts would be allowed everywhere.
WORKLOAD_RULES = {
    "workload-with-administrative-roles": [(Request(verb="*", resource="*"), True)],
    "workload-with-cluster-takeover-roles": [
        (Request(verb="create", resource="pods"), True),
        *((Request(verb=verb, resource="secrets"), True) for verb in ("get", "list", "watch")),
    ],
}
#: Rules about bindings, by what tells the subjects that they are about.
BINDING_RULES: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "anonymous-access-enabled": lambda s: s["name"] in {"system:anonymous", "system:unauthenticated"},
    "ensure-default-service-accounts-has-only-default-roles": lambda s: (
        s["kind"] == "ServiceAccount" and s["name"] == "default"
    ),
}
#: Rules with roles and bindings in their input that are about no right.
LEFT_OUT_RULES = {
    "role-in-default-namespace": "where an object lies, not what it grants",
    "rule-access-dashboard-subject-v1": "a role's name, `kubernetes-dashboard`, whatever it grants",
    "serviceaccount-token-mount": "whether a token is mounted: a question about pods",
}


def regolibrary_cases(corpus: Path, run: str) -> Iterator[Case]:
    """Yield the cases of rules about rights."""
    folder = corpus / "regolibrary"
    for number, line in enumerate((folder / "cases.jsonl").read_text().splitlines()):
        row = json.loads(line)
        rule = row["check_hint"].partition(":")[0]
        if rule not in {*RULES, *WORKLOAD_RULES, *BINDING_RULES}:
            continue
        objects = _objects(folder / file for file in row["input"])
        if not any(o.get("kind") in KINDS for o in objects):
            continue
        prefix = f"{run}-{number}"
        world = _world(objects, prefix)
        yield Case(row["id"], world, frozenset(row["objects"]), _claims(rule, objects, world))


def _claims(rule: str, objects: Sequence[Mapping[str, Any]], world: World) -> dict[str, Claim]:
    prefix = world.prefix
    if rule in WORKLOAD_RULES:
        return {
            f"Pod/default/{o['metadata']['name']}": _any_of(
                WORKLOAD_RULES[rule],
                {"kind": "ServiceAccount", "namespace": f"{prefix}-default", "name": "default"},
                world,
            )
            for o in objects
            if o["kind"] == "Pod"
        }
    bindings = [o for o in objects if o["kind"].endswith("Binding")]
    if rule in BINDING_RULES:
        return {
            f"{o['kind']}/{o['metadata'].get('namespace', '-')}/{o['metadata']['name']}": [
                claim
                for subject in o["subjects"]
                if BINDING_RULES[rule](subject)
                for claim in _all_that_it_gives(o, subject, objects, prefix)
            ]
            for o in bindings
        }
    return {
        f"{s['kind']}/{s.get('namespace', '-')}/{s['name']}": _any_of(RULES[rule], _subject(s, prefix), world)
        for o in bindings
        for s in o["subjects"]
    }


def _any_of(asked: Iterable[tuple[Request, bool]], subject: Mapping[str, Any], world: World) -> Claim:
    """Claim that a subject is allowed one of these, in any place where that means something."""
    who = _who(subject)
    return [
        [(who, _in(request, namespace))]
        for request, is_cluster_scoped in asked
        for namespace in (("",) if is_cluster_scoped else ("", *world.namespaces))
    ]


def _all_that_it_gives(
    o: Mapping[str, Any], subject: Mapping[str, Any], objects: Sequence[Mapping[str, Any]], prefix: str
) -> Claim:
    """Claim that a binding gives a subject anything: some right of its role."""
    who = _who(_subject(subject, prefix))
    namespace = f"{prefix}-{o['metadata']['namespace']}" if o["kind"] == "RoleBinding" else ""
    roles = [r for r in objects if r["kind"].endswith("Role") and r["metadata"]["name"] == o["roleRef"]["name"]]
    found = [request for role in roles for rule in role["rules"] for request in _requests(rule, namespace)]
    if o["roleRef"]["name"] == "system:public-info-viewer":
        found.append(Request(verb="get", path="/healthz"))
    elif not roles:  # a role that is not there could give anything
        found.append(Request(verb="get", resource="pods", namespace=namespace))
    return [[(who, request)] for request in found]


def _requests(rule: Mapping[str, Any], namespace: str) -> Iterator[Request]:
    for verb, group, resource in itertools.product(rule["verbs"], rule["apiGroups"], rule["resources"]):
        plural, _, subresource = resource.partition("/")
        yield Request(verb=verb, group=group, resource=plural, subresource=subresource, namespace=namespace)


def _in(request: Request, namespace: str) -> Request:
    return Request(
        verb=request.verb,
        group=request.group,
        resource=request.resource,
        subresource=request.subresource,
        namespace=namespace,
    )


# --- KubeHound: edges from a permission set or an identity ---

#: Edge to what its source would be allowed on its target, a pod, or in the namespace.
EDGES = {
    "POD_CREATE": Request(verb="create", resource="pods"),
    "POD_EXEC": Request(verb="create", resource="pods", subresource="exec"),
    "POD_PATCH": Request(verb="patch", resource="pods"),
    "TOKEN_BRUTEFORCE": Request(verb="get", resource="secrets"),
    "TOKEN_LIST": Request(verb="list", resource="secrets"),
}
#: Edges that are about no right.
LEFT_OUT_EDGES = {
    "CE_*, ENDPOINT_EXPLOIT, EXPLOIT_*, SHARE_PS_NAMESPACE": "what a pod may do to its node or its neighbours",
    "IDENTITY_ASSUME, TOKEN_STEAL": "which service account a pod runs as",
    "NO_EDGE": "that a pod has no edge of any kind",
}


def kubehound_cases(corpus: Path, run: str) -> tuple[World, list[Case]]:
    """Return the one world of KubeHound, and a case for each kind of edge: who is said to have it, and who could."""
    folder = corpus / "kubehound"
    objects = _objects(sorted((folder / "attacks").glob("*.yaml")))
    world = _world(objects, f"{run}-kubehound")
    rows = [json.loads(line) for line in (folder / "cases.jsonl").read_text().splitlines()]
    edges = [*EDGES, "PERMISSION_DISCOVER", "ROLE_BIND_CASE_1", "ROLE_BIND_CASE_3"]
    claims = {edge: _edge_claims(edge, objects, world) for edge in edges}
    named = {edge: frozenset(_edge_name(row) for row in rows if row["id"].split("/")[1] == edge) for edge in edges}
    # Nodes are no part of the folder: those that the peer names are taken as they are.
    sources = {name.partition(" -> ")[0]: claim for name, claim in claims["POD_CREATE"].items()}
    claims["POD_CREATE"] = {
        f"{source} -> {node}": claim
        for source, claim in sources.items()
        for node in {name.partition(" -> ")[2] for name in named["POD_CREATE"]}
    }
    return world, [Case(f"kubehound/{edge}", world, named[edge], claims[edge]) for edge in edges]


def _edge_name(row: Mapping[str, Any]) -> str:
    return f"{row['src']['name']} -> {row['dst']['name']}"


def _edge_claims(edge: str, objects: Sequence[Mapping[str, Any]], world: World) -> dict[str, Claim]:
    sets = {
        f"{o['roleRef']['name']}::{o['metadata']['name']}": o for o in world.objects if o["kind"].endswith("Binding")
    }
    sets = {name.replace(f"{world.prefix}-", ""): o for name, o in sets.items()}
    pods, accounts = (
        [
            o["metadata"]["name"]
            for o in objects
            if o["kind"] == kind and o["metadata"].get("namespace", "default") == "default"
        ]
        for kind in ("Pod", "ServiceAccount")
    )
    default = f"{world.prefix}-default"
    match edge:
        case "PERMISSION_DISCOVER":
            roles = {(o["kind"], o["metadata"]["name"]): o for o in world.objects if o["kind"].endswith("Role")}
            return {
                f"{account} -> {name}": _discovers(
                    account, o, roles[o["roleRef"]["kind"], o["roleRef"]["name"]], default
                )
                for account in accounts
                for name, o in sets.items()
                # Others may hold the same rights by other names: who is bound is a fact of the file.
                if any(s["kind"] == "ServiceAccount" and s["name"] == account for s in o["subjects"])
            }
        case "ROLE_BIND_CASE_1" | "ROLE_BIND_CASE_3":
            kind = "ClusterRoleBinding" if edge.endswith("1") else "RoleBinding"
            scoped = {name: o for name, o in sets.items() if name.startswith("rolebind-") and o["kind"] == kind}
            return {
                f"{src} -> {dst}": _binds(one["subjects"], other["roleRef"], world)
                for (src, one), (dst, other) in itertools.product(scoped.items(), repeat=2)
            }
        case _:
            targets = pods if edge.startswith("POD") else accounts
            by_name = edge in {"POD_EXEC", "POD_PATCH"}
            return {
                f"{name} -> {target}": [
                    [(_who(s), _named_in(EDGES[edge], default, target if by_name else ""))] for s in o["subjects"]
                ]
                for name, o in sets.items()
                if o["kind"] == "RoleBinding"
                for target in targets
            }


def _named_in(request: Request, namespace: str, name: str) -> Request:
    return Request(
        verb=request.verb, resource=request.resource, subresource=request.subresource, namespace=namespace, name=name
    )


def _discovers(account: str, o: Mapping[str, Any], role: Mapping[str, Any], namespace: str) -> Claim:
    """Claim that a service account holds all of a role's rules where a binding grants them."""
    who = identity_of(user_of(namespace, account))
    scope = namespace if o["kind"] == "RoleBinding" else ""
    return [[(who, request) for rule in role["rules"] for request in _requests(rule, scope)]]


def _binds(subjects: Iterable[Mapping[str, Any]], role: Mapping[str, Any], world: World) -> Claim:
    """Claim that one of these may bind a role, in some namespace or in the whole cluster."""
    plural = "clusterroles" if role["kind"] == "ClusterRole" else "roles"
    places = [(namespace, "rolebindings") for namespace in world.namespaces]
    if plural == "clusterroles":
        places.append(("", "clusterrolebindings"))
    return [
        [
            (_who(subject), Request(verb="create", group=RBAC, resource=bindings, namespace=namespace)),
            (_who(subject), Request(verb="bind", group=RBAC, resource=plural, namespace=namespace, name=role["name"])),
        ]
        for subject in subjects
        for namespace, bindings in places
    ]
