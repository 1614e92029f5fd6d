"""The authorizer: who may do what, `authorizer.group('apps').resource('deployments').check('create').allowed()`.

The engine hands plain values about, so that whoever evaluates says beforehand who answers (`answering`). An answer that
is not known is an error of the expression, which `||` and `&&` absorb where the other side decides, as they should; it
is also noted, for the engine may report another error instead.

Source: k8s.io/apiserver/pkg/cel/library/authz.go.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from scanner.analysis.rbac.requests import SERVICE_ACCOUNTS, Identity, Request, user_of
from scanner.policy.library import Opaque, content, opaque, type_of
from scanner.policy.library.formats import FORMATS

AUTHORIZER = "kubernetes.authorization.Authorizer"
_PATH = "kubernetes.authorization.PathCheck"
_GROUP = "kubernetes.authorization.GroupCheck"
_RESOURCE = "kubernetes.authorization.ResourceCheck"
_DECISION = "kubernetes.authorization.Decision"

#: Places in the list that a resource check is: identity, group, resource, subresource, namespace, name.
_SUBRESOURCE, _NAMESPACE, _NAME = 3, 4, 5


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the authorizer says; `None` stands for what is not known."""

    is_allowed: bool | None
    #: Why, in the API server's words.
    reason: str | None
    #: Why something of it is not known.
    doubt: str = ""


Judge = Callable[[Identity, Request], Ruling]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who answers, and what could not be answered so far."""

    judge: Judge
    doubts: list[str] = field(default_factory=list)


_ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)


@contextmanager
def answering(judge: Judge) -> Iterator[Asked]:
    """Let a judge answer all that expressions ask of the authorizer meanwhile."""
    asked = Asked(judge)
    token = _ASKED.set(asked)
    try:
        yield asked
    finally:
        _ASKED.reset(token)


def authorizer_for(identity: Identity | None) -> Opaque:
    """Return the authorizer of someone; of None it can only be asked about service accounts."""
    return opaque(AUTHORIZER, [identity.user, *sorted(identity.groups)] if identity else [])


def request_resource(identity: Identity | None, request: Request) -> Opaque:
    """Return the check of what is being requested."""
    who = content(authorizer_for(identity), AUTHORIZER)
    return opaque(
        _RESOURCE, [who, request.group, request.resource, request.subresource, request.namespace, request.name]
    )


def path(authorizer: Opaque, text: str) -> Opaque:
    """Return the check of a path that is no resource."""
    if not text.strip():
        raise ValueError("path must not be empty")
    return opaque(_PATH, [content(authorizer, AUTHORIZER), text])


def group(authorizer: Opaque, name: str) -> Opaque:
    """Return the check of an API group."""
    return opaque(_GROUP, [content(authorizer, AUTHORIZER), name])


def service_account(authorizer: Opaque, namespace: str, name: str) -> Opaque:
    """Return the authorizer of a service account: with the groups of those, and not that of all the authenticated."""
    content(authorizer, AUTHORIZER)
    if FORMATS["dns1123Subdomain"](name):
        raise ValueError("Invalid service account name")
    if FORMATS["dns1123Label"](namespace):
        raise ValueError("Invalid service account namespace")
    groups = frozenset({SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{namespace}"})
    return authorizer_for(Identity(user_of(namespace, name), groups))


def resource(check: Opaque, name: str) -> Opaque:
    """Return the check of a resource: in the whole cluster, whatever its name."""
    if not name.strip():
        raise ValueError("resource must not be empty")
    return opaque(_RESOURCE, [*content(check, _GROUP), name, "", "", ""])


def subresource(check: Opaque, name: str) -> Opaque:
    """Narrow a check to a subresource."""
    return _narrowed(check, _SUBRESOURCE, name)


def namespace(check: Opaque, name: str) -> Opaque:
    """Narrow a check to a namespace."""
    return _narrowed(check, _NAMESPACE, name)


def named(check: Opaque, name: str) -> Opaque:
    """Narrow a check to one object."""
    return _narrowed(check, _NAME, name)


def selector(check: Opaque, text: str) -> Opaque:
    """Return the check as it is: RBAC looks at no selector."""
    del text
    content(check, _RESOURCE)
    return check


def _narrowed(check: Opaque, place: int, text: str) -> Opaque:
    parts = list(content(check, _RESOURCE))
    parts[place] = text
    return opaque(_RESOURCE, parts)


def check(checked: Opaque, verb: str) -> Opaque:
    """Ask; nothing is decided before it is asked whether it is allowed, or why."""
    if type_of(checked) == _PATH:
        who, target = content(checked, _PATH)
        return opaque(_DECISION, [who, verb, target])
    return opaque(_DECISION, [*content(checked, _RESOURCE), verb, ""])


def allowed(decision: Opaque) -> bool:
    """Tell whether it is allowed."""
    ruling = _ruling(decision)
    if ruling.is_allowed is None:
        raise _doubtful(ruling.doubt)
    return ruling.is_allowed


def reason(decision: Opaque) -> str:
    """Return why it is allowed, or not."""
    ruling = _ruling(decision)
    if ruling.reason is None:
        raise _doubtful(ruling.doubt)
    return ruling.reason


def errored(decision: Opaque) -> bool:
    """Tell whether the authorizer failed, which RBAC does not."""
    allowed(decision)
    return False


def error(decision: Opaque) -> str:
    """Return how the authorizer failed; empty, since RBAC does not."""
    allowed(decision)
    return ""


def _ruling(decision: Opaque) -> Ruling:
    asked = _ASKED.get()
    who, *rest = content(decision, _DECISION)
    if asked is None or not who:
        return Ruling(None, None, "depends on who asks, which an audit does not know")
    identity = Identity(who[0], frozenset(who[1:]))
    if len(rest) == 2:  # noqa: PLR2004 - verb and path
        return asked.judge(identity, Request(verb=rest[0], path=rest[1]))
    api_group, plural, sub, where, name, verb, _ = rest
    request = Request(verb=verb, group=api_group, resource=plural, subresource=sub, namespace=where, name=name)
    return asked.judge(identity, request)


def _doubtful(doubt: str) -> ValueError:
    asked = _ASKED.get()
    if asked is not None:
        asked.doubts.append(doubt)
    return ValueError(doubt)
