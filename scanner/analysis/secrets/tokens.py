"""Tokens of service accounts that pods carry though nothing needs them.

Every pod gets a token for the API server unless it or its service account says no. Whoever breaks into the pod has it.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/, "Opt out of API credential
automounting"; plugin/pkg/admission/serviceaccount/admission.go.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.policy import Severity
from scanner.model.rbac import Binding, Rule, Subject
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.service_account import MIRROR, SERVICE_ACCOUNT, automount_by_account, token_is_mounted
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Workload

BINDINGS: tuple[GroupKind, ...] = (
    GroupKind("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    GroupKind("rbac.authorization.k8s.io", "RoleBinding"),
)

#: What the answers rest on.
READS: tuple[GroupKind, ...] = (SERVICE_ACCOUNT, *BINDINGS, *TEMPLATE_PATHS)

DEFAULT_ACCOUNT = "default"

#: What the API server binds to every identity: discovery, and asking what oneself may do. No pod needs a token for it.
#: Source: plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
_BASIC_ROLES = frozenset(
    {
        "system:basic-user",
        "system:cluster-trust-bundle-discovery",
        "system:discovery",
        "system:public-info-viewer",
        "system:service-account-issuer-discovery",
    }
)

#: Vault's agent logs in with the pod's token, which needs no binding in the cluster.
_VAULT = "vault.hashicorp.com/agent-inject"

_Account = tuple[str, str]


def granted_accounts(snapshot: Snapshot) -> frozenset[_Account]:
    """Return what bindings name, beyond what everyone may do, as (namespace, name).

    A group stands as what it means: (namespace, "*") all accounts of a namespace, ("*", "*") all of the cluster.
    """
    return frozenset(
        account
        for binding in snapshot.bindings
        if not _is_basic(binding)
        for subject in binding.subjects
        for account in _accounts_of(subject, binding)
    )


def _is_basic(binding: Binding) -> bool:
    return not binding.ref.namespace and binding.role_ref.name in _BASIC_ROLES


def _accounts_of(subject: Subject, binding: Binding) -> Iterator[_Account]:
    """Yield the service accounts that a subject means, groups and user names included."""
    match subject.kind, subject.name.split(":"):
        case "ServiceAccount", _:
            yield subject.namespace or binding.ref.namespace, subject.name
        case "User", ["system", "serviceaccount", namespace, name]:
            yield namespace, name
        case "Group", ["system", "serviceaccounts", namespace]:
            yield namespace, "*"
        case "Group", ["system", "serviceaccounts" | "authenticated"]:
            yield "*", "*"
        case _:
            return


def weight_of_account(snapshot: Snapshot, namespace: str, name: str) -> Severity | None:
    """Tell how bad it is if someone has a token of a service account, by what bindings give it and its groups.

    Critical if a ClusterRoleBinding gives it everything, high if one gives it anything beyond what everyone may do,
    low if no binding does; None where rights in single namespaces make it neither, or bindings were not all read.
    """
    meant = {(namespace, name), (namespace, "*"), ("*", "*")}
    bindings = [b for account in sorted(meant) for b in snapshot.derive(_bindings_by_account).get(account, ())]
    roles = [(b, snapshot.roles.get(("ClusterRole", "", b.role_ref.name))) for b in bindings if not b.ref.namespace]
    if any(role and any(map(_is_everything, role.rules)) for _, role in roles):
        return Severity.CRITICAL
    if roles:
        return Severity.HIGH
    is_known = snapshot.source is SourceKind.LIVE and not snapshot.inconclusive(BINDINGS, namespace)
    return Severity.LOW if is_known and not bindings else None


def _is_everything(rule: Rule) -> bool:
    return (
        not rule.resource_names
        and "*" in rule.verbs
        and "*" in (rule.api_groups or ())
        and "*" in (rule.resources or ())
    )


def _bindings_by_account(snapshot: Snapshot) -> Mapping[_Account, tuple[Binding, ...]]:
    found: defaultdict[_Account, list[Binding]] = defaultdict(list)
    for binding in snapshot.bindings:
        if not _is_basic(binding):
            for account in {a for subject in binding.subjects for a in _accounts_of(subject, binding)}:
                found[account].append(binding)
    return {account: tuple(bindings) for account, bindings in found.items()}


def has_grants(granted: frozenset[_Account], namespace: str, name: str) -> bool:
    """Tell whether a service account may do more than everyone may."""
    return not granted.isdisjoint({(namespace, name), (namespace, "*"), ("*", "*")})


def useless_tokens(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload with an account of its own whether it carries a token that no binding gives rights.

    The `default` account is left to the question `default_accounts`. A pod in which Vault's agent logs in needs the
    token and passes. Where bindings were not all read, or files do not hold the service account and so hardly its
    bindings, it is unknown.
    """
    del now  # nothing here depends on the time
    granted, automount = snapshot.derive(granted_accounts), snapshot.derive(automount_by_account)
    for workload in snapshot.workloads:
        template, namespace = workload.template, workload.ref.namespace
        account = (namespace, template.service_account)
        if template.service_account == DEFAULT_ACCOUNT or MIRROR in template.annotations:
            continue
        if not token_is_mounted(template, automount.get(account)):
            yield _passed(workload, "Its pods get no token")
        elif has_grants(granted, *account):
            yield _passed(workload, f"ServiceAccount {account[1]} has rights that its pods may need")
        elif template.annotations.get(_VAULT) == "true":
            yield _passed(workload, "Vault's agent logs in with the token")
        else:
            yield _judge_useless(snapshot, workload, is_account_known=account in automount)


def _judge_useless(snapshot: Snapshot, workload: Workload, *, is_account_known: bool) -> Answer:
    account = workload.template.service_account
    missing = _missing(snapshot, workload.ref.namespace, (SERVICE_ACCOUNT, *BINDINGS))
    if snapshot.source is not SourceKind.LIVE and not is_account_known:
        missing = ("list serviceaccounts", "list rolebindings.rbac.authorization.k8s.io")
    if missing:
        return Answer(
            resource=workload.ref,
            outcome=Outcome.UNKNOWN,
            message=f"No binding that was read names ServiceAccount {account}",
            evidence=_evidence(workload),
            missing=missing,
        )
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Its pods carry a token of ServiceAccount {account}, to which no binding gives any right",
        evidence=_evidence(workload),
    )


def default_accounts(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether its pods carry a token of the namespace's `default` service account.

    What is granted to that account goes to every pod that names no other: then the severity is `high`.
    """
    del now  # nothing here depends on the time
    granted, automount = snapshot.derive(granted_accounts), snapshot.derive(automount_by_account)
    for workload in snapshot.workloads:
        template, namespace = workload.template, workload.ref.namespace
        if MIRROR in template.annotations:
            continue
        if template.service_account != DEFAULT_ACCOUNT:
            yield _passed(workload, f"Its pods run as ServiceAccount {template.service_account}")
        elif not token_is_mounted(template, automount.get((namespace, DEFAULT_ACCOUNT))):
            yield _passed(workload, "Its pods get no token")
        elif template.spec.get("automountServiceAccountToken") is not True and (
            missing := _missing(snapshot, namespace, (SERVICE_ACCOUNT,))
        ):
            message = "Whether its pods get the token of ServiceAccount default is said by that account"
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.UNKNOWN,
                message=message,
                evidence=_evidence(workload),
                missing=missing,
            )
        else:
            yield _uses_default(workload, has_rights=has_grants(granted, namespace, DEFAULT_ACCOUNT))


def _uses_default(workload: Workload, *, has_rights: bool) -> Answer:
    message = "Its pods carry a token of the namespace's default service account"
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"{message}, which has rights of its own" if has_rights else message,
        evidence=_evidence(workload),
        severity=Severity.HIGH if has_rights else None,
    )


def _missing(snapshot: Snapshot, namespace: str, kinds: tuple[GroupKind, ...]) -> tuple[str, ...]:
    """Return the reads without which nothing is known to be absent; none are missing for files."""
    if snapshot.source is not SourceKind.LIVE:
        return ()
    return tuple(read.missing for read in snapshot.inconclusive(kinds, namespace))


def _passed(workload: Workload, message: str) -> Answer:
    return Answer(resource=workload.ref, outcome=Outcome.PASS, message=message)


def _evidence(workload: Workload) -> tuple[Fact, ...]:
    """Point at the two fields that decide, as the template has them."""
    template = workload.template
    holder: ObjectRef | None = None if template.owner == workload.ref else template.owner
    return tuple(
        Fact(path=f"{template.path}.{field}", value=template.spec.get(field), object=holder)
        for field in ("automountServiceAccountToken", "serviceAccountName")
    )
