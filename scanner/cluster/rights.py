"""Which namespaces an identity may list what in, where it may not list the whole cluster."""

from collections.abc import Iterable
from functools import cached_property

import msgspec

from scanner.cluster.client import JSON, Client, RequestError
from scanner.model.resources import Resource

#: Namespaces that are asked about where none are configured: one request each, four seconds at our own rate limit.
MAX_NAMESPACES = 200

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class _Rule(msgspec.Struct, rename="camel"):
    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None


class _RulesStatus(msgspec.Struct, rename="camel"):
    resource_rules: tuple[_Rule, ...] = ()


class _Review(msgspec.Struct):
    status: _RulesStatus


class _Name(msgspec.Struct):
    name: str


class _Item(msgspec.Struct):
    metadata: _Name


class _Names(msgspec.Struct):
    items: tuple[_Item, ...] = ()


class Namespaces:
    """The namespaces to try where a list of the whole cluster is forbidden."""

    def __init__(self, client: Client, configured: Iterable[str]) -> None:
        """Try the configured ones, else those that the API server says we have rights in."""
        self._client = client
        self._configured = tuple(sorted(set(configured)))

    def to_try(self, resource: Resource) -> tuple[str, ...]:
        """Return the namespaces where this kind may be listed, or (for namespaces themselves) read; sorted."""
        if self._configured:
            return self._configured
        verb = "list" if resource.namespaced else "get"
        return tuple(name for name, rules in self._rules if any(_allows(r, verb, resource) for r in rules))

    @cached_property
    def _rules(self) -> tuple[tuple[str, tuple[_Rule, ...]], ...]:
        return tuple((name, self._rules_in(name)) for name in self._known())

    def _known(self) -> list[str]:
        own = self._client.access.namespace
        return sorted({own, *self._listed()} - {""})

    def _listed(self) -> list[str]:
        try:
            answer = self._client.get("/api/v1/namespaces", {"limit": MAX_NAMESPACES}, accept=METADATA_LIST)
            return [item.metadata.name for item in msgspec.json.decode(answer, type=_Names).items]
        except (RequestError, msgspec.DecodeError):
            return []

    def _rules_in(self, namespace: str) -> tuple[_Rule, ...]:
        question = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        try:
            answer = self._client.post(_REVIEWS, msgspec.json.encode(question))
            return msgspec.json.decode(answer, type=_Review).status.resource_rules
        except (RequestError, msgspec.DecodeError):
            return ()


def _allows(rule: _Rule, verb: str, resource: Resource) -> bool:
    return (
        not rule.resource_names
        and not {verb, "*"}.isdisjoint(rule.verbs)
        and not {resource.group, "*"}.isdisjoint(rule.api_groups or ())
        and not {resource.plural, "*"}.isdisjoint(rule.resources or ())
    )
