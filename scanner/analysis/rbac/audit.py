"""The API server's audit events: who asked for what, and whether the authorizers said yes.

Only what authorization decides by is read: no request or response body is ever decoded, whatever the audit policy has
put into the log.

Source: k8s.io/apiserver/pkg/apis/audit/v1/types.go; pkg/audit/request.go, LogRequestObject.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import msgspec

from scanner.analysis.rbac.requests import NODE_USER, Identity, Request, identity_of, service_account_of
from scanner.analysis.rbac.usage import Observed

AUDIT_GROUP = "audit.k8s.io"
#: Of what is impersonated besides users, groups and service accounts; of all that, where it is constrained.
_AUTHENTICATION = "authentication.k8s.io"
DECISION = "authorization.k8s.io/decision"
#: The answer of an API server whose authorizers said no.
_FORBIDDEN = 403
#: A request is told up to three times: as it comes, as its answer begins (for watches), and as that ends.
_STAGES = frozenset({"ResponseStarted", "ResponseComplete", "Panic"})


class AuditUser(msgspec.Struct, frozen=True, rename="camel"):
    """Who asked, after authentication."""

    username: str = ""
    groups: tuple[str, ...] | None = None
    uid: str = ""
    extra: dict[str, tuple[str, ...]] | None = None


class AuditTarget(msgspec.Struct, frozen=True, rename="camel"):
    """The object that a request is about."""

    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


class AuditStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How a request was answered."""

    code: int = 0


class AuditAuthentication(msgspec.Struct, frozen=True, rename="camel"):
    """How a request was authenticated."""

    #: Of a constrained impersonation (KEP-5284), the verb that allowed it: `impersonate:user-info`.
    impersonation_constraint: str = ""


class AuditEvent(msgspec.Struct, frozen=True, rename="camel"):
    """The part of an event that is read."""

    verb: str
    user: AuditUser
    request_received_timestamp: dt.datetime
    stage: str
    kind: str = ""
    api_version: str = ""
    impersonated_user: AuditUser | None = None
    authentication_metadata: AuditAuthentication | None = None
    object_ref: AuditTarget | None = None
    request_uri: str = msgspec.field(default="", name="requestURI")
    response_status: AuditStatus | None = None
    annotations: dict[str, str] | None = None


class _EventList(msgspec.Struct, frozen=True, rename="camel"):
    kind: str
    api_version: str
    items: tuple[msgspec.Raw, ...] | None = None


_decode_event = msgspec.json.Decoder(AuditEvent).decode
_decode_list = msgspec.json.Decoder(_EventList).decode


def event_of(line: bytes) -> AuditEvent | None:
    """Decode one line of an audit log; None if it is no audit event."""
    event = _event_of(line)
    return event if event and event.kind == "Event" and _is_audit(event.api_version) else None


def events_of(body: bytes) -> tuple[AuditEvent | None, ...] | None:
    """Decode what the audit webhook posts, with None for each item that is no event; None if it is no list of them."""
    try:
        posted = _decode_list(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if posted.kind != "EventList" or not _is_audit(posted.api_version):
        return None
    return tuple(_event_of(item) for item in posted.items or ())


def _event_of(data: bytes | msgspec.Raw) -> AuditEvent | None:
    try:
        event: AuditEvent = _decode_event(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event if event.request_received_timestamp.tzinfo else None


def _is_audit(api_version: str) -> bool:
    return api_version.partition("/")[0] == AUDIT_GROUP


def observed(event: AuditEvent) -> Iterator[Observed]:
    """Return the requests that an event tells of: the request itself, and each right that impersonating needed.

    None for what has not been answered yet, and for who was not authenticated.
    """
    if event.stage not in _STAGES or not event.user.username:
        return
    common: dict[str, Any] = {
        "at": event.request_received_timestamp.astimezone(dt.UTC),
        "has_ended": event.stage != "ResponseStarted",
    }
    who, request = event.impersonated_user or event.user, request_of(event)
    yield Observed(identity=_identity(who), request=request, is_allowed=_is_allowed(event), **common)
    if event.impersonated_user is not None:
        constraint = event.authentication_metadata.impersonation_constraint if event.authentication_metadata else ""
        for needed in _impersonations(event.impersonated_user, constraint, request):
            yield Observed(identity=_identity(event.user), request=needed, is_allowed=True, **common)


def request_of(event: AuditEvent) -> Request:
    """Return a request as the authorizers saw it.

    They know no name of what is about to be created; the event has it all the same, from the object that was sent.
    """
    target = event.object_ref
    if target is None or not target.resource:
        return Request(verb=event.verb, path=unquote(event.request_uri.partition("?")[0]))
    is_creation = event.verb == "create" and not target.subresource
    return Request(
        verb=event.verb,
        group=target.api_group,
        resource=target.resource,
        subresource=target.subresource,
        name="" if is_creation or event.verb == "deletecollection" else target.name,
        namespace=target.namespace,
    )


def _identity(user: AuditUser) -> Identity:
    return Identity(user.username, frozenset(user.groups or ()))


def _is_allowed(event: AuditEvent) -> bool:
    """Tell what the authorizers said; without their annotation, by the answer.

    Admission may have said no after them, with the same status.
    """
    decision = (event.annotations or {}).get(DECISION)
    if decision:
        return decision == "allow"
    return event.response_status is None or event.response_status.code != _FORBIDDEN


def _impersonations(user: AuditUser, constraint: str, request: Request) -> Iterator[Request]:
    """Return what must be allowed to act as someone: as the user, and for each group and more that was asked for.

    An impersonation that is constrained (KEP-5284) has verbs of its own, in another API group, and one for the request.

    Source: k8s.io/apiserver/pkg/endpoints/filters/impersonation, mode.go.
    """
    verb, group = (constraint, _AUTHENTICATION) if constraint else ("impersonate", "")
    mode = constraint.removeprefix("impersonate:")
    account = service_account_of(user.username)
    if account is not None:
        yield Request(verb=verb, group=group, resource="serviceaccounts", namespace=account[0], name=account[1])
    elif mode in {"associated-node", "arbitrary-node"}:
        name = "*" if mode == "associated-node" else user.username.removeprefix(NODE_USER)
        yield Request(verb=verb, group=group, resource="nodes", name=name)
    else:
        yield Request(verb=verb, group=group, resource="users", name=user.username)
    if mode in {"", "user-info"}:
        yield from _impersonated_parts(user, verb, group)
    if constraint:
        yield replace(request, verb=f"impersonate-on:{mode}:{request.verb}")


def _impersonated_parts(user: AuditUser, verb: str, group: str) -> Iterator[Request]:
    """Return what else is asked for one by one; groups that come by themselves are not."""
    for name in sorted(frozenset(user.groups or ()) - identity_of(user.username).groups):
        yield Request(verb=verb, group=group, resource="groups", name=name)
    if user.uid:
        yield Request(verb=verb, group=_AUTHENTICATION, resource="uids", name=user.uid)
    for key, values in sorted((user.extra or {}).items()):
        for value in values:
            yield Request(verb=verb, group=_AUTHENTICATION, resource="userextras", subresource=key, name=value)
