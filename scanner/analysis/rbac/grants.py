"""Questions about what bindings give, rule by rule: wildcards, everyone, default service accounts."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from scanner.analysis.rbac.bootstrap import bootstrap_bindings, bootstrap_roles
from scanner.analysis.rbac.index import Chain
from scanner.analysis.rbac.matching import ALL
from scanner.analysis.rbac.requests import ANONYMOUS, AUTHENTICATED, SERVICE_ACCOUNTS, UNAUTHENTICATED
from scanner.analysis.rbac.subjects import (
    chains_of,
    evidence_of,
    expectation,
    gives_everything,
    listed,
    not_failing,
    place_of,
    ref_of,
    unresolved_roles,
)
from scanner.model.answer import Answer
from scanner.model.finding import Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import Rule, Subject
from scanner.model.snapshot import Snapshot

READING = frozenset({"get", "list", "watch"})

#: What anyone may know who reaches the API server: its version, health and kinds. Kubernetes' own bindings give it.
_PUBLIC_ROLES = ("system:discovery", "system:public-info-viewer", "system:service-account-issuer-discovery")
#: kubeadm lets anyone read the one ConfigMap that a joining node starts from.
_CLUSTER_INFO = Rule(("get",), ("",), ("configmaps",), ("cluster-info",))


def subjects_with_wildcards(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every subject: fail if a rule gives it all verbs, all resources or all API groups, yet not everything.

    Of a subject whose only wildcards are those of roles that give everything, it says nothing, as `rights` does.
    """
    chains = chains_of(snapshot)
    return _judged(snapshot, lambda subject: _is_told(chains[subject]), _wildcard_severity, "is granted wildcards")


def _is_told(chains: Sequence[Chain]) -> bool:
    return any(map(_wildcard_severity, chains)) or not any(gives_everything(chain.role) for chain in chains)


def anonymous_grants(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge `system:anonymous` and `system:unauthenticated`: fail if they may do more than learn what serves them."""
    return _judged(snapshot, _is_anonymous, _anonymous_severity, "may, without logging in, do more than discovery")


def authenticated_grants(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge the groups that everyone is in: fail if they may do more than Kubernetes itself gives them."""
    return _judged(snapshot, _is_everyone, _everyone_severity, "gives all its members rights")


def default_accounts_with_rights(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:  # noqa: ARG001 - as all questions
    """Judge every service account named `default`: fail if a binding gives it any right by name."""
    yield from _judged(
        snapshot, _is_default_account, lambda _: Severity.MEDIUM, "runs every pod that names none and has rights"
    )
    for account in snapshot.of("", "ServiceAccount"):
        subject = Subject("ServiceAccount", account.meta.name, account.meta.namespace)
        if _is_default_account(subject) and subject not in chains_of(snapshot):
            yield Answer(resource=account.ref, outcome=Outcome.PASS, message="no binding names it")


def _judged(
    snapshot: Snapshot,
    is_judged: Callable[[Subject], bool],
    severity_of: Callable[[Chain], Severity | None],
    claim: str,
) -> Iterator[Answer]:
    """Judge subjects by each rule that they are granted; a rule without severity is harmless."""
    for subject, chains in chains_of(snapshot).items():
        if not is_judged(subject):
            continue
        bad = [(severity, chain) for chain in chains for severity in (severity_of(chain),) if severity]
        added = [(severity, chain) for severity, chain in bad if not expectation(snapshot, [chain])]
        resource, doubts = ref_of(snapshot, subject), unresolved_roles(snapshot).get(subject, ())
        shown = added or bad
        if not shown or (doubts and not added):
            yield not_failing(resource, "no such grant beyond what is expected" if bad else "no such grant", doubts)
            continue
        yield Answer(
            resource=resource,
            outcome=Outcome.FAIL,
            message=f"{subject} {claim} {place_of(c.namespace for _, c in shown)}: {_told(c for _, c in shown)}",
            evidence=evidence_of(chain for _, chain in shown),
            severity=max((severity for severity, _ in shown), key=lambda severity: severity.rank),
            expected=expectation(snapshot, (chain for _, chain in shown)),
        )


def _told(chains: Iterable[Chain]) -> str:
    """Say what rules grant: `get, list pods, secrets`."""
    return listed(dict.fromkeys(_words(chain.rule) for chain in chains))


def _words(rule: Rule) -> str:
    if rule.non_resource_urls:
        return f"{' '.join(rule.verbs)} on paths {' '.join(rule.non_resource_urls)}"
    groups = [group for group in rule.api_groups or () if group]
    return f"{' '.join(rule.verbs)} on {' '.join(rule.resources or ())}" + (f" of {' '.join(groups)}" if groups else "")


def _wildcard_severity(chain: Chain) -> Severity | None:
    rule = chain.rule
    groups, resources = rule.api_groups or (), rule.resources or ()
    if rule.resource_names or gives_everything(chain.role):
        return None  # named objects alone; or a role that grants everything, which is another policy's finding
    if rule.non_resource_urls:
        return Severity.MEDIUM if ALL in rule.non_resource_urls and not chain.namespace else None
    if not any(map(_is_kubernetes_group, groups)):
        return Severity.LOW if groups and ALL in (*rule.verbs, *resources) else None
    if ALL in resources:
        return Severity.MEDIUM if chain.namespace else Severity.HIGH
    if ALL in (*rule.verbs, *groups):
        return Severity.LOW if chain.namespace else Severity.MEDIUM
    return None


def _is_kubernetes_group(group: str) -> bool:
    """Tell whether an API group is one of Kubernetes' own, or all of them: others hold an operator's own objects."""
    return "." not in group or group.endswith(".k8s.io")


def _is_anonymous(subject: Subject) -> bool:
    return (subject.kind, subject.name) in {("User", ANONYMOUS), ("Group", UNAUTHENTICATED)}


def _anonymous_severity(chain: Chain) -> Severity | None:
    if _is_public(chain):
        return None
    if chain.rule.non_resource_urls:
        return Severity.MEDIUM
    return Severity.HIGH if _only_reads(chain.rule) else Severity.CRITICAL


def _is_everyone(subject: Subject) -> bool:
    return subject.kind == "Group" and (
        subject.name in {AUTHENTICATED, SERVICE_ACCOUNTS} or subject.name.startswith(f"{SERVICE_ACCOUNTS}:")
    )


def _everyone_severity(chain: Chain) -> Severity | None:
    if _is_public(chain) or any(_covers(given, chain.rule) for given in _given_to_everyone()):
        return None
    if chain.rule.non_resource_urls:
        return Severity.LOW
    if _only_reads(chain.rule):
        return Severity.LOW if chain.namespace else Severity.MEDIUM
    return Severity.MEDIUM if chain.namespace else Severity.HIGH


def _is_default_account(subject: Subject) -> bool:
    return subject.kind == "ServiceAccount" and subject.name == "default"


def _only_reads(rule: Rule) -> bool:
    """Tell whether a rule lets one look, and not at Secrets."""
    return READING.issuperset(rule.verbs) and not {ALL, "secrets"} & set(rule.resources or ())


def _is_public(chain: Chain) -> bool:
    """Tell whether a rule gives away nothing that Kubernetes does not show to everyone anyway."""
    rule = chain.rule
    if rule.non_resource_urls:
        # The API server asks for paths without a namespace, so a RoleBinding grants none.
        return bool(chain.namespace) or (
            READING.issuperset(rule.verbs) and _public_paths().issuperset(rule.non_resource_urls)
        )
    return not rule.verbs or (chain.namespace == "kube-public" and _covers(_CLUSTER_INFO, rule))


@cache
def _public_paths() -> frozenset[str]:
    """Return the paths of Kubernetes' own roles for discovery, health and token verification."""
    rules = (rule for role in bootstrap_roles() if role.ref.name in _PUBLIC_ROLES for rule in role.rules)
    return frozenset(url for rule in rules for url in rule.non_resource_urls or ())


@cache
def _given_to_everyone() -> tuple[Rule, ...]:
    """Return the rules that Kubernetes itself binds to all users or all service accounts."""
    roles = {role.ref.name: role.rules for role in bootstrap_roles()}
    everyone = (b for b in bootstrap_bindings() if any(_is_everyone(subject) for subject in b.subjects))
    return tuple(rule for b in everyone for rule in roles[b.role_ref.name])


def _covers(wide: Rule, narrow: Rule) -> bool:
    """Tell whether one rule on resources names all that another names; wildcards are words like any other here."""
    return (
        not narrow.non_resource_urls
        and set(narrow.verbs) <= set(wide.verbs)
        and set(narrow.api_groups or ()) <= set(wide.api_groups or ())
        and set(narrow.resources or ()) <= set(wide.resources or ())
        and (not wide.resource_names or set(narrow.resource_names or ("",)) <= set(wide.resource_names))
    )
