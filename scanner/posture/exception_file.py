"""Exceptions as a file in git: YAML text → `PolicyException` values; every complaint names file, entry and field."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, NoReturn

import yaml

from scanner.errors import InputError
from scanner.model.exception import PolicyException, Scope
from scanner.model.policy import Severity

#: A file of that size is a wrong path; ten thousand entries fit.
MAX_FILE_BYTES = 4 * 1024 * 1024

_REQUIRED = ("policy", "owner", "reason", "expires")
_KNOWN = frozenset((*_REQUIRED, "id", "scope", "ticket", "createdBy", "severity", "evidence"))
_SCOPE = frozenset(("finding", "namespace", "kind", "name", "labels", "container"))


def read_exceptions(text: bytes, file: str, *, now: dt.datetime, longest: dt.timedelta) -> tuple[PolicyException, ...]:
    """Read the list of exceptions in a file, in its order.

    Args:
        text: The file's content.
        file: Its name, for complaints.
        now: The moment.
        longest: No exception may last longer than this from now.

    Raises:
        InputError: For the first thing wrong, in one line.
    """
    if len(text) > MAX_FILE_BYTES:
        raise InputError(f"{file}: larger than {MAX_FILE_BYTES:,} bytes")
    entries = _load(text, file)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        raise InputError(f"{file}: a list of exceptions is expected")
    found: dict[str, PolicyException] = {}
    for number, fields in enumerate(entries, 1):
        entry = _Entry(f"{file}: entry {number}", fields)
        exception = _exception(entry, f"entry {number}", now + longest)
        if exception.id in found:
            entry.refuse("id", f"{exception.id!r} is taken by an entry before it")
        found[exception.id] = exception
    return tuple(found.values())


def _load(text: bytes, file: str) -> Any:
    try:
        # In Python: the reader in C overflows the stack on brackets without end, instead of raising.
        node = yaml.compose(text, yaml.SafeLoader)
        _refuse_doubles(node, file, set())
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None)
        raise InputError(f"{file}{where}: is no YAML: {problem or 'it cannot be read'}") from error
    except (RecursionError, ValueError, TypeError) as error:
        raise InputError(f"{file}: is no YAML that can be read") from error


def _refuse_doubles(node: yaml.Node | None, file: str, seen: set[int]) -> None:
    """Refuse a key that stands twice in one mapping: readers take the last, and an exception would grow by it."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise InputError(f"{file}:{key.start_mark.line + 1}: {name[:80]!r} stands twice in one mapping")
            keys.add(name)
            _refuse_doubles(value, file, seen)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value, file, seen)


class _Entry:
    """One mapping of the file and how complaints name it."""

    def __init__(self, where: str, fields: Any, prefix: str = "") -> None:
        self._where = where
        self._prefix = prefix
        if not isinstance(fields, Mapping):
            raise InputError(f"{where}: {prefix.rstrip('.') or 'it'} must be a mapping of fields")
        self.fields = fields

    def refuse(self, field: str, why: str) -> NoReturn:
        """Complain about a field."""
        raise InputError(f"{self._where}: {self._prefix}{field}: {why}")

    def check_names(self, known: frozenset[str]) -> None:
        """Refuse a field that does not exist: misspelt, it would leave the exception wider than it was meant."""
        for name in self.fields:
            if name not in known:
                self.refuse(repr(str(name)[:80]), f"unknown; known are {', '.join(sorted(known))}")

    def text(self, field: str) -> str:
        """Return a field's text; empty if it is missing. Text that is there and empty is refused."""
        if field not in self.fields:
            return ""
        value = self.fields[field]
        if not isinstance(value, str) or not value.strip():
            self.refuse(field, "must be text that is not empty")
        return value.strip()

    def scope(self) -> "_Entry":
        """Return the mapping `scope`, empty if it is missing."""
        return _Entry(self._where, self.fields.get("scope", {}), "scope.")


def _exception(entry: _Entry, default_id: str, latest: dt.datetime) -> PolicyException:
    entry.check_names(_KNOWN)
    for name in _REQUIRED:
        if name not in entry.fields:
            entry.refuse(name, "missing")
    expires = _time(entry)
    if expires > latest:
        entry.refuse("expires", f"too late: {latest:%Y-%m-%d} is the latest that an exception may last to today")
    return PolicyException(
        id=entry.text("id") or default_id,
        policy=entry.text("policy"),
        scope=_scope(entry.scope()),
        owner=entry.text("owner"),
        reason=entry.text("reason"),
        ticket=entry.text("ticket"),
        created_by=entry.text("createdBy"),
        expires_at=expires,
        severity=_severity(entry),
        evidence=_digests(entry),
    )


def _scope(entry: _Entry) -> Scope:
    entry.check_names(_SCOPE)
    labels = entry.fields.get("labels", {})
    if not isinstance(labels, Mapping) or not all(isinstance(text, str) for pair in labels.items() for text in pair):
        entry.refuse("labels", "must be a mapping of text to text; quote numbers and true or false")
    if "labels" in entry.fields and not labels:
        entry.refuse("labels", "must not be empty")
    return Scope(
        finding=entry.text("finding"),
        namespace=entry.text("namespace"),
        kind=entry.text("kind"),
        name=entry.text("name"),
        labels=dict(labels),
        container=entry.text("container"),
    )


def _time(entry: _Entry) -> dt.datetime:
    """Read when it ends: a day, at whose start in UTC it does, or a time with its zone."""
    value = entry.fields["expires"]
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value) if "T" in value else dt.date.fromisoformat(value)
        except ValueError:
            entry.refuse("expires", "must be a day (2027-01-31) or a time with its zone (2027-01-31T12:00:00Z)")
    if isinstance(value, dt.datetime):
        if value.tzinfo is None:
            entry.refuse("expires", "a time needs its zone, such as 2027-01-31T12:00:00Z")
        try:
            return value.astimezone(dt.UTC)
        except OverflowError:
            entry.refuse("expires", "no time that can be")
    if not isinstance(value, dt.date):
        entry.refuse("expires", "must be a day (2027-01-31) or a time with its zone (2027-01-31T12:00:00Z)")
    return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)


def _severity(entry: _Entry) -> Severity | None:
    text = entry.text("severity")
    if text and text not in set(Severity):
        entry.refuse("severity", f"must be one of {', '.join(Severity)}")
    return Severity(text) if text else None


def _digests(entry: _Entry) -> frozenset[str]:
    if "evidence" not in entry.fields:
        return frozenset()
    value = entry.fields["evidence"]
    if not isinstance(value, list) or not value or not all(isinstance(digest, str) for digest in value):
        entry.refuse("evidence", "must be a list of the digests that a report shows, as text")
    return frozenset(value)
