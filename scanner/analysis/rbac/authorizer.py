"""The authorizer: who may do what, as the API server in mode RBAC decides it, with the reason."""

import enum
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scanner.analysis.rbac.bootstrap import bootstrap_roles
from scanner.analysis.rbac.index import Chain, Index, index_of
from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import MASTERS, Identity, Request, subjects_of
from scanner.model.rbac import RBAC_GROUP, Rule, Subject
from scanner.model.snapshot import Snapshot

NODE_ROLE = "system:node"


class Verdict(enum.StrEnum):
    """What the authorizer says."""

    ALLOWED = "allowed"
    DENIED = "denied"
    #: RBAC does not allow it as far as was read, and what was not read, or the Node authorizer, may.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request of one identity."""

    verdict: Verdict
    #: Every chain that allows it, sorted; none for members of `system:masters`, whom RBAC is not asked about.
    chains: tuple[Chain, ...] = ()
    reason: str = ""
    #: For unknown: what was not read and could allow it, `list rolebindings.rbac.authorization.k8s.io in shop`.
    missing: tuple[str, ...] = ()

    @property
    def is_allowed(self) -> bool:
        """Tell whether the API server would say yes."""
        return self.verdict is Verdict.ALLOWED


@dataclass(frozen=True, slots=True)
class Holder:
    """A subject, in canonical form, that may do something by itself, with every chain that lets it."""

    subject: Subject
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Answers both directions over one index."""

    index: Index

    def can(self, identity: Identity, request: Request) -> Decision:
        """Decide one request; the identity has just the groups that it names (see `identity_of`)."""
        if MASTERS in identity.groups:
            return Decision(Verdict.ALLOWED, reason=f"group {MASTERS} may do everything, whatever RBAC says")
        chains = tuple(sorted(self._chains_of(identity, request), key=lambda chain: chain.sort_key))
        if chains:
            return Decision(Verdict.ALLOWED, chains, f"RBAC: {chains[0]}")
        if identity.is_node and any(rule_allows(rule, request) for rule in self._rules_of_nodes()):
            return Decision(Verdict.UNKNOWN, reason="the Node authorizer decides by the pods that run on the node")
        return Decision(Verdict.DENIED, reason="no rule bound to this identity allows it")

    def what_can(self, identity: Identity) -> tuple[Chain, ...]:
        """Return all that bindings give an identity and its groups, rule by rule: cluster-wide, then by namespace."""
        found = (
            chain
            for subject in subjects_of(identity)
            for scope in self.index.scopes.get(subject, ())
            for chain in self.index.chains_of(subject, scope)
        )
        return tuple(sorted(found, key=lambda chain: chain.sort_key))

    def who_can(self, request: Request) -> tuple[Holder, ...]:
        """Name every subject that may do something: users, groups and service accounts that bindings name.

        A group stands for its members. `system:masters` is always among them. Sorted by subject.
        """
        return self._holders(self.index.chains(request, ("", request.namespace) if request.namespace else ("",)))

    def who_can_somewhere(self, request: Request) -> tuple[Holder, ...]:
        """Name every subject that may do something in the whole cluster or in any one namespace.

        The request's own namespace is not looked at; a chain's `namespace` says where it holds.
        """
        return self._holders(self.index.chains(request))

    def _chains_of(self, identity: Identity, request: Request) -> Iterator[Chain]:
        for subject in subjects_of(identity):
            for scope in ("", request.namespace) if request.namespace else ("",):
                yield from self.index.chains_that_allow(request, subject, scope)

    def _rules_of_nodes(self) -> Iterator[Rule]:
        """Return all that the Node authorizer allows to any node: the rules of the role `system:node`.

        That role is bound to nobody; Kubernetes makes it from the authorizer's own rules, which differ by release.

        Source: k8s.io/kubernetes/plugin/pkg/auth/authorizer/node/node_authorizer.go, Authorize.
        """
        known = (role for role in bootstrap_roles() if role.ref.name == NODE_ROLE)
        scanned = self.index.roles.get(("ClusterRole", "", NODE_ROLE))
        return itertools.chain.from_iterable(role.rules for role in (*known, *([scanned] if scanned else [])))

    @staticmethod
    def _holders(found: Iterable[tuple[Subject, Chain]]) -> tuple[Holder, ...]:
        chains: defaultdict[Subject, list[Chain]] = defaultdict(list)
        chains[Subject("Group", MASTERS, "", RBAC_GROUP)] = []
        for subject, chain in found:
            chains[subject].append(chain)
        return tuple(
            Holder(subject, tuple(sorted(held, key=lambda chain: chain.sort_key)))
            for subject, held in sorted(chains.items(), key=lambda item: subject_key(item[0]))
        )


def subject_key(subject: Subject) -> tuple[str, str, str]:
    """Order subjects by kind, namespace and name."""
    return (subject.kind, subject.namespace, subject.name)


def authorizer_of(snapshot: Snapshot) -> Authorizer:
    """Return the authorizer of a snapshot; it is made once."""
    return snapshot.derive(_authorizer_of)


def _authorizer_of(snapshot: Snapshot) -> Authorizer:
    return Authorizer(index_of(snapshot))
