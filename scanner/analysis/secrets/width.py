"""Secrets that lie wider or longer than they need to: in too many containers, open to change, in a history.

What a program reads of a Secret nobody sees from outside. These answers rest on what manifests say elsewhere: that a
workload names single keys of it, or that one container's command line names the place and another's does not.
"""

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scanner.analysis.secrets.hygiene import FOUND_BY_NAME, FOUND_BY_TYPE, GIVEN
from scanner.analysis.secrets.usage import secret_uses, uses_of_workload
from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.refs import GroupKind, ObjectRef
from scanner.model.secret import SecretBody, SecretRef, SecretUse, SecretUseKind
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS, Container, PodTemplate, Workload

SECRET = GroupKind("", "Secret")
#: What the answer about containers rests on.
WIDTH_READS = tuple(TEMPLATE_PATHS)
#: What the answer about mutable ones rests on: only those that containers are given are judged.
MUTABLE_READS = (SECRET, *TEMPLATE_PATHS)

#: Where Helm 3 keeps one revision of a release: `sh.helm.release.v1.<release>.v<revision>`.
#: Source: helm.sh/helm/v3, pkg/storage/storage.go, makeKey.
_HELM = re.compile(r"sh\.helm\.release\.v1\.(?P<release>.+)\.v(?P<revision>[0-9]{1,18})")
#: Managers write a new Secret in steps; what they wrote in this time after it was made counts as making it.
_MAKING = dt.timedelta(hours=1)


def given_wider(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload with a whole Secret in a container whether something says that it is wider than needed.

    Two things do: several containers of different images have all of a Secret of which the workload names single keys
    elsewhere; or a container whose own command line is known has a volume that another's names, and its does not.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        whole = _whole(workload)
        wide = [*_beside_single_keys(workload, whole), *_not_named(whole)]
        if wide:
            names = sorted({use.secret.name for use in wide})
            holders = sorted({use.container for use in wide})
            yield Answer(
                resource=workload.ref,
                outcome=Outcome.FAIL,
                message=f"All of {', '.join(names)} is in {', '.join(holders)}, which seems more than is needed",
                evidence=tuple(
                    Fact(
                        path=use.path,
                        value=use.secret.name,
                        container=use.container,
                        object=None if use.user == workload.ref else use.user,
                    )
                    for use in dict.fromkeys(wide)
                ),
            )
        elif whole:
            yield Answer(
                resource=workload.ref, outcome=Outcome.PASS, message="Nothing says that a container has too much"
            )


@dataclass(frozen=True, slots=True)
class _Whole:
    """A container that has all of a Secret."""

    container: Container
    use: SecretUse
    #: Where it is mounted; empty for the environment.
    place: str
    #: What the container is told stands in its own spec: a command line, and no ConfigMap.
    is_open: bool = False

    @property
    def image(self) -> str:
        return str(self.container.spec.get("image", ""))

    @property
    def is_named(self) -> bool:
        """Tell whether the command line or environment names the folder where it is mounted."""
        path = re.compile(rf"{re.escape(self.place.rstrip('/'))}(?![A-Za-z0-9_.-])")
        return any(path.search(word) for word in _words(self.container))


def _whole(workload: Workload) -> tuple[_Whole, ...]:
    """Return which containers have all of which Secrets; what is mounted by subPath is one key."""
    uses = uses_of_workload(workload)
    in_environment = (
        _Whole(container, use, "")
        for container in workload.containers
        for use in uses
        if use.kind is SecretUseKind.ENV_FROM
        and use.user == container.owner
        and use.path.startswith(f"{container.path}.")
    )
    mounted = (
        _Whole(
            container,
            replace(use, container=container.name),
            str(mount.get("mountPath", "")),
            _is_open(container, template),
        )
        for template in workload.templates
        for volumes in (_whole_volumes(template, uses),)
        for container in template.containers
        for mount in container.spec.get("volumeMounts") or ()
        if not (mount.get("subPath") or mount.get("subPathExpr"))
        for use in volumes.get(str(mount.get("name", "")), ())
    )
    return (*in_environment, *mounted)


def _whole_volumes(template: PodTemplate, uses: Iterable[SecretUse]) -> Mapping[str, tuple[SecretUse, ...]]:
    """Return by a volume's name the Secrets that are wholly in it."""
    whole = [u for u in uses if u.kind is SecretUseKind.VOLUME and not u.key and u.user == template.owner]
    return {
        str(volume.get("name", "")): tuple(
            u
            for u in whole
            # Not what a storage driver logs in with: that is in no container.
            if re.fullmatch(rf"{re.escape(f'{template.path}.volumes[{number}]')}\.(projected\..*\.)?secret", u.path)
        )
        for number, volume in enumerate(template.spec.get("volumes") or ())
    }


def _beside_single_keys(workload: Workload, whole: Iterable[_Whole]) -> Iterator[SecretUse]:
    """Yield how containers of different images have all of a Secret of which the workload names single keys too."""
    singled = {use.secret for use in uses_of_workload(workload) if use.key}
    images: defaultdict[SecretRef, set[str]] = defaultdict(set)
    for having in whole:
        images[having.use.secret].add(having.image)
    return (h.use for h in whole if h.use.secret in singled and len(images[h.use.secret]) > 1)


def _not_named(whole: Iterable[_Whole]) -> Iterator[SecretUse]:
    """Yield mounted Secrets that the command line of another container names, and not that of the one that has it.

    Containers of one image read the same places. One with a ConfigMap may be told by that, one without a command line
    of its own by its image.
    """
    mounted = [having for having in whole if having.place]
    readers = {(having.use.secret, having.image) for having in mounted if having.is_named}
    read = {secret for secret, _ in readers}
    for having in mounted:
        secret = having.use.secret
        if secret in read and (secret, having.image) not in readers and having.is_open:
            yield having.use


def _words(container: Container) -> Iterator[str]:
    for field in ("command", "args"):
        yield from (str(word) for word in container.spec.get(field) or ())
    yield from (str(variable.get("value") or "") for variable in container.spec.get("env") or ())


def _is_open(container: Container, template: PodTemplate) -> bool:
    spec = container.spec
    if not (spec.get("command") or spec.get("args")):
        return False
    mounts = {mount.get("name") for mount in spec.get("volumeMounts") or ()}
    volumes = [volume for volume in template.spec.get("volumes") or () if volume.get("name") in mounts]
    told: list[Any] = [
        *volumes,
        *(source for volume in volumes for source in (volume.get("projected") or {}).get("sources") or ()),
        *(spec.get("envFrom") or ()),
        *((variable.get("valueFrom") or {}) for variable in spec.get("env") or ()),
    ]
    return not any(source.keys() & {"configMap", "configMapRef", "configMapKeyRef"} for source in told)


def mutable_secrets(snapshot: Snapshot, *, now: dt.datetime, days: int) -> Iterator[Answer]:
    """Answer for each Secret that containers are given whether it can be changed, though in so many days nobody did.

    When a Secret was changed, its managed fields tell; without them the answer is unknown. Younger ones, and those that
    another object owns or that something finds by type or name, pass.
    """
    given = {use.secret for use in snapshot.derive(secret_uses) if use.kind in GIVEN}
    for o in snapshot.of(*SECRET):
        made, body = o.meta.creation_timestamp, o.decode(SecretBody)
        # A file that was never applied has no age.
        if made is None or SecretRef(o.meta.namespace, o.meta.name) not in given:
            continue
        is_made_by_others = (
            body.type in FOUND_BY_TYPE or o.meta.name.startswith(FOUND_BY_NAME) or bool(o.meta.owner_references)
        )
        if body.immutable or is_made_by_others or now - made <= dt.timedelta(days=days):
            yield Answer(resource=o.ref, outcome=Outcome.PASS, message="It is immutable, young, or a controller's")
        elif body.changed_at is None:
            yield Answer(
                resource=o.ref,
                outcome=Outcome.UNKNOWN,
                message="Nothing tells whether it was ever changed",
                missing=("its managed fields",),
            )
        elif body.changed_at - made > _MAKING:
            yield Answer(resource=o.ref, outcome=Outcome.PASS, message="It was changed since it was made")
        else:
            yield Answer(
                resource=o.ref,
                outcome=Outcome.FAIL,
                message=f"Nobody changed it in more than {days} days, and anybody who may write it can",
                evidence=(Fact(path="immutable"),),
            )


def helm_histories(snapshot: Snapshot, *, now: dt.datetime, revisions: int) -> Iterator[Answer]:
    """Answer for each namespace with Helm releases whether a release keeps more than so many revisions.

    Each is a Secret that holds every value that the release was installed with, then.
    """
    del now  # nothing here depends on the time
    for namespace, releases in sorted(_releases(snapshot).items()):
        known = snapshot.find("", "Namespace", "", namespace)
        resource = known.ref if known else ObjectRef("v1", "Namespace", "", namespace)
        long = {release: kept for release, kept in releases.items() if len(kept) > revisions}
        for release, kept in sorted(long.items()):
            first, last = min(kept), max(kept)
            yield Answer(
                resource=resource,
                outcome=Outcome.FAIL,
                message=f"Helm keeps more than {revisions} revisions of release {release}, each with all its values",
                evidence=(
                    Fact(path="metadata.name", value=kept[first].name, object=kept[first], note="the oldest"),
                    Fact(path="metadata.name", value=kept[last].name, object=kept[last], note="the newest"),
                ),
                key=release,
            )
        if not long:
            yield Answer(
                resource=resource, outcome=Outcome.PASS, message=f"No release keeps more than {revisions} revisions"
            )


def _releases(snapshot: Snapshot) -> Mapping[str, Mapping[str, Mapping[int, ObjectRef]]]:
    """Return the Secrets of each revision by namespace and release."""
    found: defaultdict[str, defaultdict[str, dict[int, ObjectRef]]] = defaultdict(lambda: defaultdict(dict))
    for o in snapshot.of(*SECRET):
        if named := _HELM.fullmatch(o.meta.name):
            found[o.meta.namespace][named["release"]][int(named["revision"])] = o.ref
    return found
