"""Service accounts joined to the workloads that run as them: what a finding about an account puts at risk.

A right is as near to an attacker as the pod that carries its token. So a finding about a service account shows, as
evidence, each workload that runs as it, whether its pods carry the token, and on how many nodes, those of the control
plane by name. Names of pods and of other nodes are left out: they change by themselves, and a finding does not.

An account whose token no pod carries, and for which nobody can get one, is one step less severe. Nobody can, if no
subject may create its tokens, impersonate it, or run pods in its namespace, but those who may do everything anyway and
Kubernetes' own controllers; and if no Secret that was read holds a token of it (where Secrets are not read, such tokens
are unknown by their own policy). It takes a live cluster in which every kind of workload was read: in files, pods may
be elsewhere.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.matching import rule_allows
from scanner.analysis.rbac.requests import Request
from scanner.analysis.rbac.subjects import expectation, gives_everything, listed
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import labels_of
from scanner.model.rbac import Rule, Subject
from scanner.model.service_account import automount_by_account, token_is_mounted, token_is_projected
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, PodTemplate, Workload

#: Taste: more workloads than this are counted; those that carry the token come first.
WORKLOADS_SHOWN = 20
#: Labels of nodes that run the control plane; the second is from before 1.24.
#: Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane
_CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
#: What the service account of a Secret with a token is named by.
_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
#: What runs pods, which may run as any service account of their namespace.
_RUNS_PODS = (
    *(Request(verb="create", resource=resource) for resource in ("pods", "replicationcontrollers")),
    *(
        Request(verb="create", group="apps", resource=resource)
        for resource in ("deployments", "daemonsets", "statefulsets", "replicasets")
    ),
    *(Request(verb="create", group="batch", resource=resource) for resource in ("jobs", "cronjobs")),
)
#: What lets one act as a service account without a pod.
_ACTS_AS = (
    Request(verb="create", resource="serviceaccounts", subresource="token"),
    Request(verb="impersonate", resource="serviceaccounts"),
)

_Account = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A workload that runs as a service account."""

    workload: Workload
    #: The first of its templates that names the account.
    template: PodTemplate
    is_token_mounted: bool


def uses_of(snapshot: Snapshot, namespace: str, name: str) -> tuple[Use, ...]:
    """Return the workloads that run as a service account: those that carry its token first, then by name."""
    return snapshot.derive(_uses).get((namespace, name), ())


def _uses(snapshot: Snapshot) -> Mapping[_Account, tuple[Use, ...]]:
    automount = automount_by_account(snapshot)
    found: defaultdict[_Account, list[Use]] = defaultdict(list)
    for workload in snapshot.workloads:
        by_account: defaultdict[_Account, list[PodTemplate]] = defaultdict(list)
        for template in workload.templates:
            by_account[workload.ref.namespace, template.service_account].append(template)
        for account, templates in by_account.items():
            setting = automount.get(account)
            is_mounted = any(token_is_mounted(t, setting) or token_is_projected(t) for t in templates)
            found[account].append(Use(workload=workload, template=templates[0], is_token_mounted=is_mounted))
    return {
        account: tuple(sorted(uses, key=lambda use: (not use.is_token_mounted, use.workload.ref)))
        for account, uses in found.items()
    }


def with_workloads(ask: Callable[..., Iterable[Answer]]) -> Callable[..., Iterable[Answer]]:
    """Make a question's failing answers about service accounts say what runs as them, and weigh accordingly.

    The key of an answer stays, and so the id of the finding.
    """

    @functools.wraps(ask)
    def joined(snapshot: Snapshot, **arguments: Any) -> Iterator[Answer]:
        for answer in ask(snapshot, **arguments):
            ref = answer.resource
            is_account = (ref.group, ref.kind) == ("", "ServiceAccount")
            yield _joined(snapshot, answer) if is_account and answer.outcome is Outcome.FAIL else answer

    return joined


def _joined(snapshot: Snapshot, answer: Answer) -> Answer:
    namespace, name = answer.resource.namespace, answer.resource.name
    uses = uses_of(snapshot, namespace, name)
    facts = tuple(_fact(snapshot, use) for use in uses[:WORKLOADS_SHOWN])
    more = len(uses) - len(facts)
    said = f"; {more} more workloads run as it" if more > 0 else ""
    if not answer.expected and not is_within_reach(snapshot, namespace, name):
        said += "; no pod carries its token and nobody else can get one"
        answer = replace(answer, is_milder=True)
    return replace(answer, message=answer.message + said, evidence=(*answer.evidence, *facts))


def _fact(snapshot: Snapshot, use: Use) -> Fact:
    """Show what makes a workload run as an account, whether it carries the token, and where."""
    template, field = use.template, "serviceAccountName"
    carries = "its pods carry the token" if use.is_token_mounted else "its pods carry no token"
    return Fact(
        path=f"{template.path}.{field}",
        value=template.spec.get(field),
        object=template.owner,
        note="; ".join(filter(None, (carries, _where(snapshot, use.workload)))),
    )


def _where(snapshot: Snapshot, workload: Workload) -> str:
    """Say on how many nodes a workload runs, and which of them run the control plane."""
    running = {pod.status.node_name for pod in workload.pods if not pod.status.is_terminated} - {""}
    if not running:
        return ""
    control = sorted(running & snapshot.derive(_control_plane_nodes))
    where = f"on {len(running)} node{'s' if len(running) > 1 else ''}"
    return f"{where}, of the control plane {listed(control)}" if control else where


def _control_plane_nodes(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(o.meta.name for o in snapshot.of("", "Node") if not labels_of(o).keys().isdisjoint(_CONTROL_PLANE))


def is_within_reach(snapshot: Snapshot, namespace: str, name: str) -> bool:
    """Tell whether anyone could come by a service account's token, as far as is known: see the module."""
    if snapshot.source is not SourceKind.LIVE or snapshot.inconclusive(TEMPLATE_PATHS, namespace):
        return True
    return (
        any(use.is_token_mounted for use in uses_of(snapshot, namespace, name))
        or (namespace, name) in snapshot.derive(_with_token_secrets)
        or _has_others(snapshot, namespace, name)
    )


def _with_token_secrets(snapshot: Snapshot) -> frozenset[_Account]:
    accounts = (
        (o.meta.namespace, (o.meta.annotations or {}).get(_ACCOUNT_ANNOTATION, "")) for o in snapshot.of("", "Secret")
    )
    return frozenset(account for account in accounts if account[1])


def _has_others(snapshot: Snapshot, namespace: str, name: str) -> bool:
    """Tell whether someone who may not do everything anyway can act as a service account."""
    account = Subject("ServiceAccount", name, namespace)
    strangers = snapshot.derive(_strangers)
    places = itertools.product(("", namespace), ("", name))
    return any(stranger != account for place in places for stranger in strangers.get(place, ()))


def _strangers(snapshot: Snapshot) -> Mapping[tuple[str, str], frozenset[Subject]]:
    """Map a scope and a service account's name (empty: all of them) to who can act as such an account there.

    Those who may do everything anyway are left out, and what Kubernetes itself grants.
    """
    index = authorizer_of(snapshot).index
    found: defaultdict[tuple[str, str], set[Subject]] = defaultdict(set)
    for request in (*_RUNS_PODS, *_ACTS_AS):
        for subject, chain in index.chains(request):
            if _is_strange(snapshot, chain):
                found[chain.namespace, ""].add(subject)
    for key, by_scope in index.by_role.items():
        for number, rule in enumerate(index.roles[key].rules):
            if rule.resource_names and _is_about_accounts(rule):
                for bound in itertools.chain(*by_scope.values()):
                    chain = Chain(bound.binding, bound.subject_index, index.roles[key], number)
                    if _is_strange(snapshot, chain):
                        for name in rule.resource_names:
                            found[chain.namespace, name].add(bound.subject)
    return {place: frozenset(subjects) for place, subjects in found.items()}


def _is_strange(snapshot: Snapshot, chain: Chain) -> bool:
    return not gives_everything(chain.role) and not expectation(snapshot, [chain])


def _is_about_accounts(rule: Rule) -> bool:
    """Tell whether a rule limited to names would let one act as the accounts that it names."""
    unlimited = msgspec.structs.replace(rule, resource_names=None)
    return any(rule_allows(unlimited, request) for request in _ACTS_AS)
