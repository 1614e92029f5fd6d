"""SubjectAccessReviews as questions: what programs write to ask the API server, read as the API server reads it.

Nothing is added to what a review says: the API server takes user and groups from it as they are, so a review of a
service account without its groups does not ask about what is bound to them.

Source: k8s.io/kubernetes/pkg/apis/authorization/validation, and AuthorizationAttributesFrom in its registry.
"""

import msgspec

from scanner.analysis.rbac.requests import Identity, Request
from scanner.errors import InputError

_KINDS = frozenset({"SubjectAccessReview", "LocalSubjectAccessReview"})


class _ResourceAttributes(msgspec.Struct, rename="camel"):
    namespace: str | None = None
    verb: str | None = None
    group: str | None = None
    resource: str | None = None
    subresource: str | None = None
    name: str | None = None


class _NonResourceAttributes(msgspec.Struct, rename="camel"):
    path: str | None = None
    verb: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    resource_attributes: _ResourceAttributes | None = None
    non_resource_attributes: _NonResourceAttributes | None = None
    user: str | None = None
    groups: tuple[str | None, ...] | None = None


class _Review(msgspec.Struct, rename="camel"):
    kind: str | None = None
    spec: _Spec | None = None


_review_decoder = msgspec.json.Decoder(_Review)
_spec_decoder = msgspec.json.Decoder(_Spec)


def parse_review(text: bytes) -> tuple[Identity, Request]:
    """Read a SubjectAccessReview, or its spec alone.

    Raises:
        InputError: The API server would refuse it; the message says why, without naming where it stands.
    """
    try:
        review = _review_decoder.decode(text)
        spec = review.spec or _spec_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a SubjectAccessReview: {error}") from error
    if review.kind and review.kind not in _KINDS:
        raise InputError("not a SubjectAccessReview: it is of another kind")
    if not spec.user and not spec.groups:
        raise InputError("at least one of user and groups must be given")
    groups = frozenset(group or "" for group in spec.groups or ())
    return Identity(spec.user or "", groups), _request(spec)


def _request(spec: _Spec) -> Request:
    match spec.resource_attributes, spec.non_resource_attributes:
        case _ResourceAttributes() as wanted, None:
            return Request(
                verb=wanted.verb or "",
                group=wanted.group or "",
                resource=wanted.resource or "",
                subresource=wanted.subresource or "",
                name=wanted.name or "",
                namespace=wanted.namespace or "",
            )
        case None, _NonResourceAttributes() as wanted:
            return Request(verb=wanted.verb or "", path=wanted.path or "")
        case _:
            raise InputError("exactly one of resourceAttributes and nonResourceAttributes must be given")
