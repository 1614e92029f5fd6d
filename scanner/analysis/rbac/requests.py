"""What is asked of the authorizer: who wants to do what."""

from dataclasses import dataclass

from scanner.errors import UsageError
from scanner.model.rbac import RBAC_GROUP, Subject

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNTS = "system:serviceaccounts"
NODES = "system:nodes"
SERVICE_ACCOUNT_USER = "system:serviceaccount:"
NODE_USER = "system:node:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What someone wants to do: a verb on a resource, or on a path that is none.

    The fields are those of a SubjectAccessReview and mean the same: an empty namespace is the whole cluster, an empty
    name is every name. The verb is that of RBAC (`list`), not of HTTP.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    namespace: str = ""
    #: Set for a nonResourceURL alone.
    path: str | None = None

    @property
    def combined_resource(self) -> str:
        """The resource as rules name it: `pods`, `pods/exec`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource

    def __str__(self) -> str:
        """Write it as people say it: `create pods/exec`, `list deployments.apps in shop`, `get /metrics`."""
        if self.path is not None:
            return f"{self.verb} {self.path}"
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        what += f"/{self.subresource}" if self.subresource else ""
        what += f" {self.name}" if self.name else ""
        return f"{self.verb} {what} in {self.namespace}" if self.namespace else f"{self.verb} {what}"


def request_of(
    verb: str, resource: str, *, api_group: str | None = None, name: str = "", namespace: str = ""
) -> Request:
    """Return what someone asks in kubectl's words: `pods`, `deployments.apps/scale`, or a path: `/metrics`.

    Without a group in the resource's name or beside it, the core group is meant.

    Raises:
        UsageError: The parts contradict each other.
    """
    if resource.startswith("/"):
        if api_group or name or namespace:
            raise UsageError(f"{resource} is a path: it has no API group, name or namespace")
        return Request(verb=verb, path=resource)
    named, _, subresource = resource.partition("/")
    plural, dot, group = named.partition(".")
    if dot and api_group is not None and api_group != group:
        raise UsageError(f"{named} is of API group {group}, and not of {api_group or 'the core group'}")
    return Request(
        verb=verb,
        group=group if dot else api_group or "",
        resource=plural,
        subresource=subresource,
        name=name,
        namespace=namespace,
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks, as the API server's authentication would hand it to authorization: exactly these groups, no others."""

    user: str
    groups: frozenset[str] = frozenset()

    @property
    def is_node(self) -> bool:
        """Tell whether the Node authorizer knows this identity; its answers depend on which pods run on the node.

        Source: k8s.io/kubernetes/pkg/auth/nodeidentifier.
        """
        return self.user.startswith(NODE_USER) and NODES in self.groups


def identity_of(user: str, groups: frozenset[str] = frozenset()) -> Identity:
    """Return the identity that a user name has once authenticated: with the groups that come by themselves.

    Who is said to be unauthenticated is not authenticated besides.

    Source: k8s.io/apiserver/pkg/authentication/serviceaccount, MakeGroupNames; group/authenticated_group_adder.go.
    """
    if user == ANONYMOUS:
        return Identity(user, groups | {UNAUTHENTICATED})
    if UNAUTHENTICATED not in groups:
        groups |= {AUTHENTICATED}
    account = service_account_of(user)
    if account is None:
        return Identity(user, groups)
    namespace, _ = account
    return Identity(user, groups | {SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"})


def service_account_of(user: str) -> tuple[str, str] | None:
    """Return namespace and name of the service account that a user name stands for, or None if for none."""
    if not user.startswith(SERVICE_ACCOUNT_USER):
        return None
    parts = user.removeprefix(SERVICE_ACCOUNT_USER).split(":")
    return (parts[0], parts[1]) if len(parts) == 2 and all(parts) else None  # noqa: PLR2004 - namespace and name


def user_of(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"{SERVICE_ACCOUNT_USER}{namespace}:{name}"


def canonical_subject(subject: Subject, binding_namespace: str) -> Subject | None:
    """Return the one form of a subject under which all its bindings are found, or None if it is nobody.

    A User named as a service account is that service account; a service account without namespace is one of the
    binding's namespace, and nobody in a ClusterRoleBinding. The subject's apiGroup decides nothing.

    Source: k8s.io/kubernetes/pkg/registry/rbac/validation/rule.go, appliesToUser.
    """
    match subject.kind:
        case "User":
            return _subject_of_user(subject.name)
        case "Group":
            return Subject("Group", subject.name, "", RBAC_GROUP)
        case "ServiceAccount" if subject.namespace or binding_namespace:
            return _subject_of_user(user_of(subject.namespace or binding_namespace, subject.name))
        case _:
            return None


def _subject_of_user(user: str) -> Subject:
    account = service_account_of(user)
    return Subject("ServiceAccount", account[1], account[0]) if account else Subject("User", user, "", RBAC_GROUP)


def subjects_of(identity: Identity) -> tuple[Subject, ...]:
    """Return every subject, in canonical form, whose bindings count for an identity."""
    return (_subject_of_user(identity.user), *(Subject("Group", g, "", RBAC_GROUP) for g in sorted(identity.groups)))


def implied_groups(subject: Subject) -> tuple[Subject, ...]:
    """Return the groups that every member of a subject is in besides: what a binding to them gives, it holds too."""
    match subject.kind:
        case "ServiceAccount":
            groups = identity_of(user_of(subject.namespace, subject.name)).groups
        case "User":
            groups = identity_of(subject.name).groups
        case _ if subject.name in {UNAUTHENTICATED, AUTHENTICATED}:
            groups = frozenset()
        case _ if subject.name.startswith(f"{SERVICE_ACCOUNTS}:"):
            groups = frozenset({AUTHENTICATED, SERVICE_ACCOUNTS})
        case _:
            groups = frozenset({AUTHENTICATED})
    return tuple(Subject("Group", name, "", RBAC_GROUP) for name in sorted(groups))
