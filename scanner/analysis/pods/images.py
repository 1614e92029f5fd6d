"""Where images come from: the registry and repository that their names stand for."""

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import lru_cache

from scanner.model.answer import Answer
from scanner.model.finding import Fact, Outcome
from scanner.model.snapshot import Snapshot
from scanner.model.workload import Container, Workload

#: The registry of names without one. Source: github.com/distribution/reference, normalize.go.
_DEFAULT_REGISTRY = "docker.io"
#: Other names of it.
_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


def images_from_other_registries(
    snapshot: Snapshot, *, now: dt.datetime, trusted: Sequence[str] = (), untrusted: Sequence[str] = ()
) -> Iterator[Answer]:
    """Tell which workloads run images from elsewhere than they should.

    Both lists hold registries or the beginnings of repositories (`docker.io`, `ghcr.io/example`), cut at a slash. An
    image fails if it is below none of the trusted ones and, if any untrusted ones are given, below one of those.
    """
    del now  # nothing here depends on the time
    for workload in snapshot.workloads:
        found = [c for c in workload.containers if _is_foreign(c, tuple(trusted), tuple(untrusted))]
        yield _answer(workload, found)


@lru_cache(maxsize=65536)
def repository(image: str) -> str:
    """Return the full name of an image's repository, without tag and digest: `nginx:1` is `docker.io/library/nginx`.

    Nodes may be set up to look elsewhere for names without a registry, which no object of the API tells.
    """
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    name = head + slash + last.partition(":")[0]
    registry, slash, path = name.partition("/")
    if not slash or not (registry == "localhost" or "." in registry or ":" in registry):
        registry, path = _DEFAULT_REGISTRY, name
    if registry in _ALIASES:
        registry = _DEFAULT_REGISTRY
    if registry == _DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    return f"{registry}/{path}"


def _is_foreign(container: Container, trusted: tuple[str, ...], untrusted: tuple[str, ...]) -> bool:
    image = container.spec.get("image")
    if not isinstance(image, str) or not image:
        return False
    name = repository(image)
    return not _is_below(name, trusted) and (not untrusted or _is_below(name, untrusted))


def _is_below(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix.rstrip("/") or name.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


def _answer(workload: Workload, found: Sequence[Container]) -> Answer:
    if not found:
        return Answer(resource=workload.ref, outcome=Outcome.PASS, message="All images come from where they should")
    names = ", ".join(sorted({repository(str(c.spec["image"])) for c in found}))
    return Answer(
        resource=workload.ref,
        outcome=Outcome.FAIL,
        message=f"Images come from other registries: {names}",
        evidence=tuple(
            Fact(
                path=f"{c.path}.image",
                value=c.spec["image"],
                container=c.name,
                object=c.owner if c.owner != workload.ref else None,
            )
            for c in found
        ),
    )
