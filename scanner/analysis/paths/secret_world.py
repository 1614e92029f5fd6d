"""What of a snapshot, beside roles and bindings, decides who reaches a Secret: small enough to be kept of a scan.

It names Secrets and what uses them; nothing in it is a Secret's value, and no Secret is read for it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from scanner.analysis.pods.admission import enforced
from scanner.analysis.rbac.authorizer import authorizer_of
from scanner.analysis.secrets.copies import copiers_of
from scanner.analysis.secrets.usage import secret_uses, uses_of_workload
from scanner.model.coverage import Read
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.secret import SecretBody, SecretRef, SecretUse, SecretUseKind
from scanner.model.service_account import automount_by_account, token_is_mounted, token_is_projected
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Workload

SECRET = GroupKind("", "Secret")
#: What the answers rest on beside roles and bindings.
READS = (SECRET, *TEMPLATE_PATHS)

#: Uses by which the value is inside a container, where whoever runs commands there finds it.
_INSIDE = frozenset({SecretUseKind.ENV, SecretUseKind.ENV_FROM, SecretUseKind.VOLUME})
#: Resources whose rules may name pods.
_NAMING_PODS = frozenset(
    {"pods", "pods/exec", "pods/attach", "pods/ephemeralcontainers", "pods/portforward", "pods/proxy"}
)


class KnownSecret(msgspec.Struct, frozen=True, order=True, rename="camel", omit_defaults=True):
    """A Secret that was seen, or that something refers to."""

    namespace: str
    name: str
    #: Empty where it is not known.
    type: str = ""
    #: Its metadata was read; otherwise it may not even exist.
    is_seen: bool = False
    #: What hands copies of it to other places, in words.
    copied_by: tuple[str, ...] = ()

    @property
    def ref(self) -> SecretRef:
        """Its name."""
        return SecretRef(self.namespace, self.name)


class Run(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A workload as far as it lets people at Secrets: those in its containers, and the token that its pods carry."""

    workload: ObjectRef
    #: Name of the service account.
    account: str
    carries_token: bool = False
    #: Names of Secrets whose values are inside its containers.
    secrets: tuple[str, ...] = ()
    #: Nodes where its pods run; sorted.
    nodes: tuple[str, ...] = ()
    #: Names of its pods, as far as rules name pods; sorted.
    pods: tuple[str, ...] = ()
    #: There is a pod to run commands in, now or from time to time.
    is_running: bool = True


class SecretWorld(msgspec.Struct, frozen=True, rename="camel"):
    """Everything beside roles and bindings; see the module."""

    #: Sorted.
    secrets: tuple[KnownSecret, ...]
    #: Sorted by Secret, user and path.
    uses: tuple[SecretUse, ...]
    runs: tuple[Run, ...]
    #: By namespace: what may refuse a new pod there, or may do so as far as anyone could read.
    admission: dict[str, tuple[str, ...]]
    #: Reads of what the answers rest on.
    coverage: tuple[Read, ...]


def secret_world(snapshot: Snapshot) -> SecretWorld:
    """Return what of a snapshot decides who reaches a Secret, beside roles and bindings; it is made once."""
    return snapshot.derive(_secret_world)


def _secret_world(snapshot: Snapshot) -> SecretWorld:
    uses = snapshot.derive(secret_uses)
    names = {BY_KIND[kind].name for kind in READS}
    return SecretWorld(
        secrets=tuple(_secrets(snapshot, uses)),
        uses=uses,
        runs=tuple(_runs(snapshot)),
        admission=_admission(snapshot),
        coverage=tuple(read for read in snapshot.coverage if read.resource in names),
    )


def _secrets(snapshot: Snapshot, uses: Iterable[SecretUse]) -> Iterator[KnownSecret]:
    """Yield every Secret that is known, sorted."""
    seen = {(o.meta.namespace, o.meta.name): o for o in snapshot.of(*SECRET)}
    copiers = snapshot.derive(copiers_of)
    for namespace, name in sorted(seen.keys() | {(u.secret.namespace, u.secret.name) for u in uses}):
        found = seen.get((namespace, name))
        yield KnownSecret(
            namespace=namespace,
            name=name,
            type=found.decode(SecretBody).type if found else "",
            is_seen=found is not None,
            copied_by=copiers.get(SecretRef(namespace, name), ()),
        )


def _runs(snapshot: Snapshot) -> Iterator[Run]:
    automount, named = automount_by_account(snapshot), _named_pods(snapshot)
    for workload in snapshot.workloads:
        found = _run(snapshot, workload, automount, named)
        if found.secrets or found.carries_token:
            yield found


def _run(
    snapshot: Snapshot, workload: Workload, automount: Mapping[tuple[str, str], bool | None], named: frozenset[str]
) -> Run:
    namespace, account = workload.ref.namespace, workload.template.service_account
    setting = automount.get((namespace, account))
    inside = {
        u.secret.name for u in uses_of_workload(workload) if u.kind in _INSIDE and u.secret.namespace == namespace
    }
    live = [pod for pod in workload.pods if not pod.status.is_terminated]
    is_periodic = workload.ref.kind == "CronJob"
    return Run(
        workload=workload.ref,
        account=account,
        carries_token=any(token_is_mounted(t, setting) or token_is_projected(t) for t in workload.templates),
        secrets=tuple(sorted(inside)),
        nodes=tuple(sorted({pod.status.node_name for pod in live} - {""})),
        pods=tuple(sorted(pod.ref.name for pod in live if pod.ref.name in named)),
        is_running=bool(live) or is_periodic or snapshot.source is not SourceKind.LIVE,
    )


def _named_pods(snapshot: Snapshot) -> frozenset[str]:
    """Return the names of pods that rules are limited to."""
    rules = (rule for role in authorizer_of(snapshot).index.roles.values() for rule in role.rules)
    return frozenset(
        name
        for rule in rules
        if rule.resource_names and not _NAMING_PODS.isdisjoint(rule.resources or ())
        for name in rule.resource_names
    )


def _admission(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Say what may refuse pods in each namespace; no level of Pod Security refuses a volume that is a Secret."""
    found: defaultdict[str, tuple[str, ...]] = defaultdict(tuple)
    for place in enforced(snapshot):
        found[place.namespace] = (
            *(f"admission may refuse it: {webhook}" for webhook in place.webhooks),
            *(f"admission may refuse it: ValidatingAdmissionPolicy {policy}" for policy in place.policies),
            *(f"not known: {what}" for what in place.unknown if what.startswith("not read")),
        )
    return {namespace: said for namespace, said in found.items() if said}
