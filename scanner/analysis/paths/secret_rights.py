"""The rights that lead to a Secret's value, and who holds them where; found once, however many Secrets there are.

Which verbs answer with the value is compared with a real API server by the tests: `patch` and `deletecollection` return
what they change, `update` and `delete` do not.
"""

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.index import Chain, Index
from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import MASTERS, Request
from scanner.analysis.rbac.subjects import gives_everything
from scanner.analysis.rbac.ways import Way
from scanner.model.rbac import RBAC_GROUP, Rule, Subject
from scanner.model.snapshot import Snapshot

K = TypeVar("K")


class Means(enum.StrEnum):
    """How someone comes by the value of a Secret, or to act as somebody else."""

    GET = "get"
    LIST = "list"
    WATCH = "watch"
    PATCH = "patch"
    DELETE_COLLECTION = "deletecollection"
    RUN_POD = "runPod"
    EXEC = "exec"
    ATTACH = "attach"
    DEBUG = "ephemeralContainer"
    CHANGE_IMAGE = "changeImage"
    PORT_FORWARD = "portForward"
    NODE_PROXY = "nodeProxy"
    TOKEN_SECRET = "tokenSecret"  # noqa: S105 - how to act as an account, not a token
    WRITE_SECRETS = "writeSecrets"
    TOKEN = "token"  # noqa: S105 - how to act as an account, not a token
    IMPERSONATE = "impersonate"
    IMPERSONATE_USER = "impersonateUser"
    IMPERSONATE_GROUP = "impersonateGroup"
    BIND = "bind"
    BIND_IN_NAMESPACE = "bindInNamespace"
    WRITE_BINDINGS = "writeBindings"
    ESCALATE = "escalate"
    WRITE_ROLES = "writeRoles"


#: The value comes in the API server's answer; a SubjectAccessReview says whether it does.
DIRECT = (Means.GET, Means.LIST, Means.WATCH, Means.PATCH, Means.DELETE_COLLECTION)
#: Commands run in a pod that is there already.
INSIDE_POD = (Means.EXEC, Means.ATTACH, Means.DEBUG, Means.CHANGE_IMAGE)

_CONTROLLERS = (
    "replicationcontrollers",
    "deployments.apps",
    "statefulsets.apps",
    "daemonsets.apps",
    "replicasets.apps",
    "jobs.batch",
    "cronjobs.batch",
)
_WRITES = ("create", "update", "patch")
#: Feature gate AuthorizePodWebsocketUpgradeCreatePermission, on by default since this release.
_CREATE_NEEDED = "1.35"

_WAYS: Mapping[Means, tuple[Way, ...]] = {
    **{means: (Way(verbs=(means.value,), resources=("secrets",)),) for means in DIRECT},
    Means.RUN_POD: (
        Way(verbs=("create",), resources=("pods",)),
        Way(verbs=_WRITES, resources=_CONTROLLERS),
    ),
    Means.EXEC: (
        Way(verbs=("create",), resources=("pods/exec",)),
        Way(verbs=("get",), resources=("pods/exec",), before=_CREATE_NEEDED),
    ),
    Means.ATTACH: (
        Way(verbs=("create",), resources=("pods/attach",)),
        Way(verbs=("get",), resources=("pods/attach",), before=_CREATE_NEEDED),
    ),
    Means.DEBUG: (Way(verbs=("update", "patch"), resources=("pods/ephemeralcontainers",)),),
    Means.CHANGE_IMAGE: (Way(verbs=("update", "patch"), resources=("pods",)),),
    Means.PORT_FORWARD: (
        Way(verbs=("create",), resources=("pods/portforward", "pods/proxy")),
        Way(verbs=("get",), resources=("pods/proxy",)),
        Way(verbs=("get",), resources=("pods/portforward",), before=_CREATE_NEEDED),
    ),
    # The kubelet runs commands by a websocket, which is a GET.
    Means.NODE_PROXY: (Way(verbs=("get", "create"), resources=("nodes/proxy",), cluster_scoped=True),),
    # A new Secret of the type kubernetes.io/service-account-token is filled with a token that stays valid.
    Means.WRITE_SECRETS: (Way(verbs=("create",), resources=("secrets",)),),
    Means.TOKEN: (Way(verbs=("create",), resources=("serviceaccounts/token",)),),
    Means.IMPERSONATE: (Way(verbs=("impersonate",), resources=("serviceaccounts",)),),
    Means.IMPERSONATE_USER: (Way(verbs=("impersonate",), resources=("users",), cluster_scoped=True),),
    Means.IMPERSONATE_GROUP: (Way(verbs=("impersonate",), resources=("groups",), cluster_scoped=True),),
    Means.BIND: (Way(verbs=("bind",), resources=(f"clusterroles.{RBAC_GROUP}",)),),
    Means.BIND_IN_NAMESPACE: (Way(verbs=("bind",), resources=(f"roles.{RBAC_GROUP}",)),),
    Means.WRITE_BINDINGS: (
        Way(verbs=_WRITES, resources=(f"rolebindings.{RBAC_GROUP}", f"clusterrolebindings.{RBAC_GROUP}")),
    ),
    Means.ESCALATE: (Way(verbs=("escalate",), resources=(f"roles.{RBAC_GROUP}", f"clusterroles.{RBAC_GROUP}")),),
    Means.WRITE_ROLES: (
        Way(verbs=("update", "patch"), resources=(f"roles.{RBAC_GROUP}", f"clusterroles.{RBAC_GROUP}")),
    ),
}


class Grip(NamedTuple):
    """Someone who holds a right, and the chain that gives it."""

    subject: Subject
    request: Request
    chain: Chain


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a right."""

    #: On objects of any name, by scope (empty: the whole cluster).
    unnamed: Mapping[str, tuple[Grip, ...]]
    #: On objects of one name, by scope and name.
    named: Mapping[tuple[str, str], tuple[Grip, ...]]

    def on(self, namespace: str, names: Iterable[str] = ()) -> Iterator[Grip]:
        """Yield who holds it in a namespace on everything, or on one of these names; empty for cluster-wide things."""
        scopes = ("", namespace) if namespace else ("",)
        for scope in scopes:
            yield from self.unnamed.get(scope, ())
        for name in names:
            for scope in scopes:
                yield from self.named.get((scope, name), ())


@dataclass(frozen=True)
class Rights:
    """Who holds which of the rights that lead to Secrets; those who may do everything anyway are left out."""

    index: Index
    server_version: str

    @cached_property
    def masters(self) -> Mapping[Subject, Chain | None]:
        """Who may do everything in the whole cluster, by RBAC or, for `system:masters`, before it (then None)."""
        found: dict[Subject, Chain | None] = {Subject("Group", MASTERS, "", RBAC_GROUP): None}
        for key, by_scope in self.index.by_role.items():
            role = self.index.roles[key]
            if by_scope.get("") and gives_everything(role):
                number = next(n for n, rule in enumerate(role.rules) if rule_allows(rule, _EVERYTHING))
                for bound in by_scope[""]:
                    found.setdefault(bound.subject, Chain(bound.binding, bound.subject_index, role, number))
        return found

    @cached_property
    def _known(self) -> dict[Means, Held]:
        return {}

    def held(self, means: Means) -> Held:
        """Return who holds a right; found once."""
        if means not in self._known:
            self._known[means] = self._find(means)
        return self._known[means]

    def _find(self, means: Means) -> Held:
        unnamed: defaultdict[str, list[Grip]] = defaultdict(list)
        named: defaultdict[tuple[str, str], list[Grip]] = defaultdict(list)
        for way in _WAYS[means]:
            if not way.works_in(self.server_version):
                continue
            for request in way.requests():
                for subject, chain in self.index.chains(request, way.scopes):
                    if subject not in self.masters:
                        unnamed[chain.namespace].append(Grip(subject, request, chain))
            for grip in self._limited(way):
                for name in grip.chain.rule.resource_names or ():
                    named[grip.chain.namespace, name].append(grip)
        return Held(_sorted(unnamed), _sorted(named))

    def _limited(self, way: Way) -> Iterator[Grip]:
        """Yield who holds a right on objects of certain names alone; requests that carry no name are left out."""
        requests = [r for r in way.requests() if r.subresource or r.verb not in {"create", "deletecollection"}]
        for rule, bound in self._limited_rules:
            unlimited = msgspec.structs.replace(rule, resource_names=None)
            for request in requests:
                if rule_allows(unlimited, request):
                    for subject, chain in bound:
                        if subject not in self.masters and (way.scopes is None or chain.namespace in way.scopes):
                            yield Grip(subject, request, chain)

    @cached_property
    def _limited_rules(self) -> tuple[tuple[Rule, tuple[tuple[Subject, Chain], ...]], ...]:
        """Every rule with resourceNames, with who is bound to it."""
        return tuple(
            (
                rule,
                tuple(
                    (bound.subject, Chain(bound.binding, bound.subject_index, self.index.roles[key], number))
                    for bounds in by_scope.values()
                    for bound in bounds
                ),
            )
            for key, by_scope in self.index.by_role.items()
            for number, rule in enumerate(self.index.roles[key].rules)
            if rule.resource_names
        )


_EVERYTHING = Request(verb="*", group="*", resource="*")


def _sorted(found: Mapping[K, list[Grip]]) -> Mapping[K, tuple[Grip, ...]]:
    return {key: tuple(sorted(grips, key=lambda grip: grip.chain.sort_key)) for key, grips in found.items()}


def rights_of(snapshot: Snapshot) -> Rights:
    """Return who holds which rights that lead to Secrets; made once for a snapshot."""
    return snapshot.derive(_rights_of)


def _rights_of(snapshot: Snapshot) -> Rights:
    return Rights(authorizer_of(snapshot).index, snapshot.server_version)
