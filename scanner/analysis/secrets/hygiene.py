"""Secrets that nothing seems to use, that several applications share, and that were not renewed for long."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping

from scanner.analysis.secrets.usage import secret_uses, uses_of_workload
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.policy import Confidence
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.resources import BY_KIND
from scanner.model.secret import SecretBody, SecretRef, SecretUse, SecretUseKind
from scanner.model.snapshot import Snapshot, SourceKind
from scanner.model.workload import TEMPLATE_PATHS, Workload

SECRET = GroupKind("", "Secret")
_API_SERVICE = GroupKind("apiregistration.k8s.io", "APIService")
#: How many groups a message names.
_NAMED = 3
#: What the answers about Secrets that were seen rest on.
READS = (
    SECRET,
    GroupKind("", "ServiceAccount"),
    GroupKind("networking.k8s.io", "Ingress"),
    *TEMPLATE_PATHS,
)
#: What the answer about shared ones rests on.
SHARED_READS = tuple(TEMPLATE_PATHS)

#: Types that no object refers to: something finds such Secrets by their type or name.
FOUND_BY_TYPE = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1")
#: The same where the type is not known, as in metadata-only reads.
FOUND_BY_NAME = ("sh.helm.release.v1.", "bootstrap-token-")
#: What a container is given; certificates and pull secrets are shared by design.
GIVEN = frozenset({SecretUseKind.ENV, SecretUseKind.ENV_FROM, SecretUseKind.VOLUME})
#: Labels that say to which application a workload belongs, the widest first.
#: Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/.
_APPLICATION = ("app.kubernetes.io/part-of", "app.kubernetes.io/instance", "app.kubernetes.io/name", "app")


def unused_secrets(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Secret that was read whether something that was read refers to it.

    Programs may read it from the API, and custom resources may refer to it in ways that nobody knows: hardly certain,
    and still less where the cluster serves kinds of operators that a scan does not read, or where that is not known.
    Those that are found by type or name, and those that another object owns, pass.
    """
    del now  # nothing here depends on the time
    strange = _strange_groups(snapshot)
    message = "Nothing that was read refers to it"
    if strange:
        message += f"; not read: custom resources of {', '.join(strange[:_NAMED])}"
        message += " and more" if len(strange) > _NAMED else ""
    is_sure = snapshot.source is SourceKind.LIVE and not strange and not snapshot.inconclusive((_API_SERVICE,))
    used = {use.secret for use in snapshot.derive(secret_uses)}
    for o in snapshot.of(*SECRET):
        is_found_otherwise = o.decode(SecretBody).type in FOUND_BY_TYPE or o.meta.name.startswith(FOUND_BY_NAME)
        if is_found_otherwise or o.meta.owner_references or SecretRef(o.meta.namespace, o.meta.name) in used:
            yield Answer(resource=o.ref, outcome=Outcome.PASS, message="Something uses it")
        else:
            yield Answer(
                resource=o.ref,
                outcome=Outcome.FAIL,
                message=message,
                confidence=Confidence.LIKELY if is_sure else Confidence.POSSIBLE,
                evidence=(Fact(path="metadata.name", value=o.meta.name),),
            )


def _strange_groups(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the groups of custom resources that the cluster serves and of which a scan reads no kind, sorted.

    The API server makes an APIService for each group and version that it serves, of CustomResourceDefinitions too.
    """
    groups = {o.meta.name.partition(".")[2] for o in snapshot.of(*_API_SERVICE)}
    return tuple(sorted(g for g in groups - {kind.group for kind in BY_KIND} if "." in g and not g.endswith(".k8s.io")))


def old_secrets(snapshot: Snapshot, *, now: dt.datetime, days: int) -> Iterator[Answer]:
    """Answer for each Secret that was read whether it was made at most so many days ago.

    A value that was replaced in place keeps the Secret's age, so that an old one may have been rotated all the same.
    """
    for o in snapshot.of(*SECRET):
        made = o.meta.creation_timestamp
        if made is None:  # a file that was never applied
            continue
        age = (now - made).days
        body = o.decode(SecretBody)
        yield Answer(
            resource=o.ref,
            outcome=Outcome.FAIL if age > days else Outcome.PASS,
            message=f"It was made more than {days} days ago" if age > days else f"It is {age} days old",
            evidence=(
                Fact(
                    path="metadata.creationTimestamp",
                    value=made.isoformat().replace("+00:00", "Z"),
                    note="immutable: only a new Secret replaces it" if body.immutable else "",
                ),
            )
            if age > days
            else (),
        )


def shared_secrets(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each Secret that containers are given whether only one application has it.

    Workloads belong to one application if a label says so, else each is its own.
    """
    del now  # nothing here depends on the time
    for secret, applications in sorted(_given(snapshot).items()):
        seen = snapshot.find(*SECRET, secret.namespace, secret.name)
        resource = seen.ref if seen else ObjectRef("v1", "Secret", secret.namespace, secret.name)
        names = sorted(applications)
        is_shared = len(names) > 1
        yield Answer(
            resource=resource,
            outcome=Outcome.FAIL if is_shared else Outcome.PASS,
            message=f"{len(names)} applications have it: {', '.join(names[:5])}" if is_shared else "One has it",
            evidence=tuple(
                Fact(path=use.path, value=secret.name, container=use.container, object=use.user)
                for name in (names if is_shared else ())
                for use in applications[name][:1]
            ),
        )


def _given(snapshot: Snapshot) -> Mapping[SecretRef, Mapping[str, list[SecretUse]]]:
    found: defaultdict[SecretRef, defaultdict[str, list[SecretUse]]] = defaultdict(lambda: defaultdict(list))
    for workload in snapshot.workloads:
        for use in uses_of_workload(workload):
            if use.kind in GIVEN:
                found[use.secret][_application(workload)].append(use)
    return found


def _application(workload: Workload) -> str:
    labels = {**workload.template.labels, **(workload.meta.labels or {})}
    return next((labels[key] for key in _APPLICATION if labels.get(key)), workload.ref.name)
