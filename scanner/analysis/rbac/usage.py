"""What identities used: their requests, one entry for each kind of thing that they did, however often they did it.

An entry has no name of an object but a set of them, up to a limit: what is created and forgotten all day (pods, events)
has as many names as there were requests, and a log of any length must fit. For the same reason the entries and the
identities are limited; an identity of which something had to be left out says so, and nothing is proposed for it.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from scanner.analysis.rbac.requests import Identity, Request

#: Names that an entry keeps. Taste: a list of more resourceNames than that nobody reads, nor keeps up.
MAX_NAMES = 20
#: Entries that an identity keeps. The garbage collector, which touches everything, has some hundreds a namespace.
MAX_USES = 20_000
#: Entries of all identities, about 600 bytes each in memory.
MAX_ALL_USES = 250_000
#: Identities that are kept; the largest clusters have some thousands of service accounts.
MAX_IDENTITIES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One request that was made, and whether the API server's authorizers allowed it."""

    identity: Identity
    request: Request
    is_allowed: bool
    at: dt.datetime
    #: False for the beginning of an answer, whose end comes as another event or, if it is watched, maybe never.
    has_ended: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One kind of thing that an identity did."""

    #: Without the name.
    request: Request
    #: Names that it was done to; empty among them for requests that name no object.
    names: frozenset[str]
    #: There were more names than are kept.
    has_more_names: bool = False
    first_seen: dt.datetime
    last_seen: dt.datetime
    #: Requests that were answered.
    count: int

    @property
    def requests(self) -> Iterator[Request]:
        """The requests as they were made, one a name that is kept."""
        return (replace(self.request, name=name) for name in sorted(self.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """All that one identity did."""

    #: With every group that it had at any time.
    identity: Identity
    #: Sorted by request.
    uses: tuple[Use, ...]
    #: Requests that were denied: they are no use.
    denied: int = 0
    #: Something that it did had to be left out.
    is_partial: bool = False


def joined(one: Use, other: Use, *, max_names: int = MAX_NAMES) -> Use:
    """Join two entries of the same thing."""
    names = one.names | other.names
    return Use(
        request=one.request,
        names=frozenset(sorted(names)[:max_names]),
        has_more_names=one.has_more_names or other.has_more_names or len(names) > max_names,
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
        count=one.count + other.count,
    )


def request_key(request: Request) -> tuple[str, str, str, str, str, str]:
    """Order requests: by place, by what they are about, by verb."""
    return (
        request.namespace,
        request.path or "",
        request.group,
        request.combined_resource,
        request.verb,
        request.name,
    )


@dataclass(slots=True)
class _Entry:
    """A `Use` in the making."""

    names: set[str]
    first_seen: dt.datetime
    last_seen: dt.datetime
    count: int = 0
    has_more_names: bool = False


@dataclass(slots=True)
class _Person:
    """A `Usage` in the making."""

    groups: set[str]
    entries: dict[Request, _Entry]
    denied: int = 0
    is_partial: bool = False


class Recorder:
    """Collects requests in bounded memory, however many there are."""

    def __init__(
        self, *, is_wanted: Callable[[Identity], bool] = lambda _: True, max_all_uses: int = MAX_ALL_USES
    ) -> None:
        """Start empty; only identities that are wanted are kept."""
        self._is_wanted = is_wanted
        self._max_all_uses = max_all_uses
        self._people: dict[str, _Person] = {}
        self._size = 0
        #: Requests of identities beyond the limit, of whom nothing is kept.
        self.left_out = 0

    def record(self, observed: Observed) -> None:
        """Add one request."""
        user = observed.identity.user
        person = self._people.get(user)
        if person is None:
            if not self._is_wanted(observed.identity):
                return
            if len(self._people) >= MAX_IDENTITIES:
                self.left_out += 1
                return
            person = self._people[user] = _Person(set(), {})
        person.groups |= observed.identity.groups
        if observed.is_allowed:
            self._add(person, observed)
        else:
            person.denied += observed.has_ended

    def _add(self, person: _Person, observed: Observed) -> None:
        request, name = observed.request, observed.request.name
        key = replace(request, name="") if name else request
        entry = person.entries.get(key)
        if entry is None:
            if len(person.entries) >= MAX_USES or self._size >= self._max_all_uses:
                person.is_partial = True
                return
            entry = person.entries[key] = _Entry(set(), observed.at, observed.at)
            self._size += 1
        entry.count += observed.has_ended
        entry.first_seen = min(entry.first_seen, observed.at)
        entry.last_seen = max(entry.last_seen, observed.at)
        if name not in entry.names:
            if len(entry.names) < MAX_NAMES:
                entry.names.add(name)
            else:
                entry.has_more_names = True

    def usages(self) -> tuple[Usage, ...]:
        """Return what was collected, sorted by user."""
        return tuple(
            Usage(
                identity=Identity(user, frozenset(person.groups)),
                uses=tuple(_uses(person.entries)),
                denied=person.denied,
                is_partial=person.is_partial,
            )
            for user, person in sorted(self._people.items())
        )


def _uses(entries: dict[Request, _Entry]) -> Iterator[Use]:
    for request, entry in sorted(entries.items(), key=lambda item: request_key(item[0])):
        yield Use(
            request=request,
            names=frozenset(entry.names),
            has_more_names=entry.has_more_names,
            first_seen=entry.first_seen,
            last_seen=entry.last_seen,
            count=entry.count,
        )


def usages_of(observed: Iterable[Observed]) -> tuple[Usage, ...]:
    """Collect requests."""
    recorder = Recorder()
    for one in observed:
        recorder.record(one)
    return recorder.usages()
