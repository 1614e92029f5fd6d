"""Credentials that stand in the open; evidence names their place, never what they are.

Everyone who may read workloads, or annotations, or custom resources may read them: that is far more people, tools and
repositories than may read Secrets. The readers have put masks in their places (`cluster.masking`); here these are
looked for, so that no value is ever behind them.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from scanner.model.answer import Answer
from scanner.model.credential import MARK, Masked, masked_in
from scanner.model.finding import Fact, Outcome
from scanner.model.objects import KubeObject
from scanner.model.policy import Severity
from scanner.model.refs import GroupKind
from scanner.model.resources import RESOURCES, SECRETS
from scanner.model.snapshot import Snapshot
from scanner.model.workload import TEMPLATE_PATHS, Container, Workload

#: What the answers about workloads rest on.
READS: tuple[GroupKind, ...] = tuple(TEMPLATE_PATHS)
#: What the answers about all other objects rest on.
OBJECT_READS: tuple[GroupKind, ...] = tuple(
    r.group_kind
    for r in RESOURCES
    if not r.group or r.group in {"networking.k8s.io", "admissionregistration.k8s.io"}
    if r != SECRETS and r.group_kind not in TEMPLATE_PATHS
)
CONFIG_MAP = GroupKind("", "ConfigMap")
#: Who holds one of these holds an identity outside this cluster too, or everything that was signed with it.
_WORST = frozenset({"private-key", "aws-access-token", "github-pat", "github-fine-grained-pat", "gcp-api-key"})
#: Kinds of ours in words; of the detector's, the rule's name says it.
_WORDS = {
    "password": "a password",
    "token-or-key": "a token or key",
    "url-password": "a password in a URL",
    "authorization": "a value of the header Authorization",
    "private-key": "a private key",
    "aws-access-token": "an access key of AWS",
    "jwt": "a signed JSON Web Token",
}

_Places = Iterator[tuple[str, str]]


def literal_environment(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether an environment variable of a container holds a credential as a literal."""
    del now  # nothing here depends on the time
    return _of_workloads(snapshot, _in_environment, "An environment variable holds")


def literal_commands(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether a command or argument of a container gives away a credential."""
    del now  # nothing here depends on the time
    return _of_workloads(snapshot, _in_command, "The command line holds")


def literal_probes(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each workload whether a probe or a hook of a container gives away a credential."""
    del now  # nothing here depends on the time
    return _of_workloads(snapshot, _in_probes, "A probe or hook holds")


def literal_annotations(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each object whether an annotation of it, or of its pod template, gives away a credential.

    Passes are given for workloads alone: that nothing else of a cluster holds one is no answer about anything.
    """
    del now  # nothing here depends on the time
    repeated = snapshot.derive(_counted)
    for workload in snapshot.workloads:
        found = [(None, path, text) for path, text in _in_annotations(workload.meta.annotations or {}, "")]
        template = f"{workload.template.path.removesuffix('.spec')}"
        if workload.template.owner == workload.ref and template != "spec":
            found += [(None, path, text) for path, text in _in_annotations(workload.template.annotations, template)]
        yield _answer(workload.ref, [(Fact(path=p), t) for _, p, t in found], "An annotation holds", repeated)
    for thing in _others(snapshot):
        places = [(Fact(path=path), text) for path, text in _in_annotations(thing.meta.annotations or {}, "")]
        if places:
            yield _answer(thing.ref, places, "An annotation holds", repeated)


def literal_config_maps(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for each ConfigMap whether a key of it holds a credential."""
    del now  # nothing here depends on the time
    repeated = snapshot.derive(_counted)
    for thing in snapshot.of(*CONFIG_MAP):
        yield _answer(thing.ref, _in_body(thing), "A key holds", repeated)


def literal_fields(snapshot: Snapshot, *, now: dt.datetime) -> Iterator[Answer]:
    """Answer for objects other than workloads whose fields give away a credential: URLs, custom resources."""
    del now  # nothing here depends on the time
    repeated = snapshot.derive(_counted)
    for thing in _others(snapshot):
        if thing.group_kind != CONFIG_MAP and (places := _in_body(thing)):
            yield _answer(thing.ref, places, "A field holds", repeated)


def _of_workloads(snapshot: Snapshot, find: Callable[[Container], _Places], what: str) -> Iterator[Answer]:
    repeated = snapshot.derive(_counted)
    for workload in snapshot.workloads:
        found = [(_fact(workload, c, path), text) for c in workload.containers for path, text in find(c)]
        yield _answer(workload.ref, found, what, repeated)


def _answer(ref: Any, found: list[tuple[Fact, str]], what: str, repeated: Mapping[Masked, int]) -> Answer:
    facts = [
        (msgspec.structs.replace(fact, note=_note(masked, repeated)), masked)
        for fact, text in found
        for masked in masked_in(text)
    ]
    reasons = sorted({_word(masked) for _, masked in facts})
    is_worst = any(masked.kind in _WORST for _, masked in facts)
    return Answer(
        resource=ref,
        outcome=Outcome.FAIL if facts else Outcome.PASS,
        message=f"{what} {', '.join(reasons)}" if facts else "No credential seen",
        evidence=tuple(sorted({fact for fact, _ in facts}, key=lambda f: (f.container, f.path, f.note))),
        severity=Severity.CRITICAL if is_worst else None,
    )


def _word(masked: Masked) -> str:
    return _WORDS.get(masked.kind) or f"a credential of the kind {masked.kind}"


def _note(masked: Masked, repeated: Mapping[Masked, int]) -> str:
    others = repeated.get(masked, 1) - 1
    same = f"; the same as in {others} other place{'s' if others > 1 else ''}" if others > 0 else ""
    return f"holds {_word(masked)}{same}"


def _counted(snapshot: Snapshot) -> Mapping[Masked, int]:
    """Count in how many places each credential stands: containers once, however many pods run from them."""
    counts: Counter[Masked] = Counter()
    for workload in snapshot.workloads:
        for container in workload.containers:
            for find in (_in_environment, _in_command, _in_probes):
                counts.update(masked for _, text in find(container) for masked in masked_in(text))
    for thing in _others(snapshot):
        if MARK.encode() in thing.body:
            counts.update(m for _, text in _texts(msgspec.json.decode(thing.body), "") for m in masked_in(text))
    return counts


def _fact(workload: Workload, container: Container, path: str) -> Fact:
    """Name the place; the fact has no value, which would be the credential."""
    holder = None if container.owner == workload.ref else container.owner
    return Fact(path=f"{container.path}.{path}", container=container.name, object=holder)


def _others(snapshot: Snapshot) -> Iterator[KubeObject]:
    """Yield every object that is neither a workload, nor part of one, nor a Secret."""
    for kind, objects in snapshot.objects.items():
        if kind not in TEMPLATE_PATHS and kind != SECRETS.group_kind:
            yield from objects


def _in_body(thing: KubeObject) -> list[tuple[Fact, str]]:
    """Return the places of an object, beside its metadata, where credentials were."""
    if MARK.encode() not in thing.body:
        return []
    texts = _texts(msgspec.json.decode(thing.body), "")
    return [(Fact(path=path), text) for path, text in texts if any(masked_in(text))]


def _in_environment(container: Container) -> _Places:
    for index, variable in enumerate(container.spec.get("env") or ()):
        yield f"env[{index}].value", str(variable.get("value") or "")


def _in_command(container: Container) -> _Places:
    for field in ("command", "args"):
        for index, word in enumerate(container.spec.get(field) or ()):
            yield f"{field}[{index}]", str(word)


def _in_probes(container: Container) -> _Places:
    for field in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        if field in container.spec:
            yield from _texts(container.spec[field], field)


def _in_annotations(annotations: Mapping[str, str], holder: str) -> _Places:
    for key, value in annotations.items():
        if MARK in value:
            yield f"{holder}{'.' if holder else ''}metadata.annotations[{key}]", value


def _texts(value: Any, path: str) -> _Places:
    """Yield every masked text inside plain JSON values, with its path."""
    match value:
        case str() if MARK in value:
            yield path, value
        case dict():
            for key, inner in value.items():
                yield from _texts(inner, f"{path}.{key}" if path else key)
        case list():
            for index, inner in enumerate(value):
                yield from _texts(inner, f"{path}[{index}]")
        case _:
            return
