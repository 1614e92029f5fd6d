"""Takes credentials out of objects as they arrive: what is behind this never sees one, and so cannot give it away.

In place of each stands a mask with its kind and a fingerprint (HMAC-SHA256, 64 bits) under a key that this process made
up and forgets. So two places of one scan can be seen to hold the same credential, and nobody can try out guesses on a
saved snapshot or a database.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from scanner.analysis.secrets.credentials import (
    credentials_in,
    credentials_in_command,
    credentials_in_file,
    credentials_of,
    is_made,
)
from scanner.analysis.secrets.detector import Hit
from scanner.model.credential import Masked, mask
from scanner.model.refs import GroupKind
from scanner.model.resources import BY_KIND
from scanner.model.workload import TEMPLATE_PATHS

#: Longer texts are seldom met twice.
_REMEMBERED = 4096
_RBAC = "rbac.authorization.k8s.io"
#: Last parts of the names of headers that hold a credential, if a machine made what they hold.
_TELLING_HEADERS = ("authorization", "cookie", "-key", "-token", "-secret", "-auth")

#: A header may hold `Bearer x`, or cookies as `name=value; name=value`.
_HEADER_PARTS = re.compile(r"[\s;,=]+")

_Find = Callable[[str, str], tuple[Hit, ...]]


class Key:
    """The key of fingerprints; shows nothing of itself."""

    def __init__(self, value: bytes) -> None:
        """Take a key as it is."""
        self.value = value

    def __repr__(self) -> str:
        """Hide it."""
        return "***"


class _OfProcess:
    key = Key(secrets.token_bytes(32))


def key_of_process() -> Key:
    """Return the key under which this process makes fingerprints."""
    return _OfProcess.key


def share_key(value: bytes) -> None:
    """Use the key of the process that this one works for."""
    _OfProcess.key = Key(value)


class Masker:
    """Masks credentials, and remembers what it said of short texts: names and values repeat all over a cluster."""

    def __init__(self) -> None:
        """Start with nothing known."""
        self._known: dict[tuple[_Find, str, str], str] = {}

    def body(self, kind: GroupKind, value: Any) -> Any:
        """Return the body of an object, plain JSON values, without credentials; itself if there are none."""
        if kind in TEMPLATE_PATHS:
            return self._holder(value, TEMPLATE_PATHS[kind].split("."))
        if kind.group == _RBAC or not isinstance(value, dict):
            return value
        return self._any(value, "", by_name=kind not in BY_KIND)

    def annotations(self, annotations: Mapping[str, str]) -> dict[str, str]:
        """Return annotations without credentials."""
        return {
            key: self.named(key if key.startswith("checksum/") else key.rpartition("/")[2], value)
            for key, value in annotations.items()
        }

    def named(self, name: str, value: str) -> str:
        """Return a value that has a name, without credentials; of several lines, each may name what it holds."""
        return self._masked(_in_file if "\n" in value or ": " in value else credentials_of, name, value)

    def text(self, text: str) -> str:
        """Return a text without the credentials that show by their look."""
        return self._masked(_by_look, "", text)

    def config(self, name: str, text: str) -> str:
        """Return what a key of a ConfigMap holds, mostly a file, without credentials."""
        return self._masked(_in_file, name, text)

    def _masked(self, find: _Find, name: str, text: str) -> str:
        if not text:
            return text
        if len(text) > _REMEMBERED:
            return self.without(text, find(name, text))
        known = self._known.get((find, name, text))
        if known is None:
            known = self._known[find, name, text] = self.without(text, find(name, text))
        return known

    def without(self, text: str, hits: Iterable[Hit]) -> str:
        """Return a text with masks in place of these parts of it."""
        raw, parts, at = text.encode(errors="surrogatepass"), [], 0
        for hit in hits:
            made = Masked(hit.kind, fingerprint(raw[hit.start : hit.end]))
            parts += [raw[at : hit.start], mask(made).encode()]
            at = hit.end
        return b"".join((*parts, raw[at:])).decode(errors="replace") if parts else text

    def _holder(self, value: Any, path: list[str]) -> Any:
        """Mask what the PodSpec at a path holds, and the annotations beside it."""
        if not isinstance(value, dict):
            return value
        made = dict(value)
        if not path:
            for field in ("initContainers", "containers", "ephemeralContainers"):
                if isinstance(made.get(field), list):
                    made[field] = [self._container(c) if isinstance(c, dict) else c for c in made[field]]
            return made
        if isinstance(made.get("metadata"), dict) and isinstance(made["metadata"].get("annotations"), dict):
            kept = {k: v for k, v in made["metadata"]["annotations"].items() if isinstance(v, str)}
            made["metadata"] = made["metadata"] | {"annotations": self.annotations(kept)}
        if path[0] in made:
            made[path[0]] = self._holder(made[path[0]], path[1:])
        return made

    def _container(self, container: dict[str, Any]) -> dict[str, Any]:
        made = dict(container)
        if isinstance(made.get("env"), list):
            made["env"] = [self._variable(v) for v in made["env"]]
        command, args = _words(made.get("command")), _words(made.get("args"))
        line = self._line((*command, *args))
        if command:
            made["command"] = line[: len(command)]
        if args:
            made["args"] = line[len(command) :]
        for field in ("livenessProbe", "readinessProbe", "startupProbe"):
            if isinstance(made.get(field), dict):
                made[field] = self._handler(made[field])
        if isinstance(made.get("lifecycle"), dict):
            hooks = made["lifecycle"]
            made["lifecycle"] = {k: self._handler(v) if isinstance(v, dict) else v for k, v in hooks.items()}
        return made

    def _variable(self, variable: Any) -> Any:
        if isinstance(variable, dict) and isinstance(variable.get("value"), str):
            return variable | {"value": self.named(str(variable.get("name") or ""), variable["value"])}
        return variable

    def _line(self, words: tuple[str, ...]) -> list[str]:
        made = list(words)
        for index, hits in credentials_in_command(words):
            made[index] = self.without(words[index], hits)
        return made

    def _handler(self, handler: dict[str, Any]) -> dict[str, Any]:
        made = dict(handler)
        get, execute = made.get("httpGet"), made.get("exec")
        if isinstance(get, dict):
            get = get | ({"path": self.text(f"{get['path']}")} if "path" in get else {})
            if isinstance(get.get("httpHeaders"), list):
                get["httpHeaders"] = [self._header(h) for h in get["httpHeaders"]]
            made["httpGet"] = get
        if isinstance(execute, dict) and (words := _words(execute.get("command"))):
            made["exec"] = execute | {"command": self._line(words)}
        return made

    def _header(self, header: Any) -> Any:
        if not isinstance(header, dict) or not isinstance(header.get("value"), str):
            return header
        name, value = str(header.get("name") or ""), header["value"]
        made = self.named(name, value)
        if made == value and name.lower().endswith(_TELLING_HEADERS) and any(map(is_made, _HEADER_PARTS.split(value))):
            made = self.without(value, (Hit("authorization", 0, len(value.encode(errors="surrogatepass"))),))
        return header | {"value": made}

    def _any(self, value: Any, name: str, *, by_name: bool) -> Any:
        """Mask every text of something whose fields we may not know."""
        match value:
            case str():
                return self.named(name, value) if by_name else self.text(value)
            case {"name": str(own), "value": str(text), **rest} if by_name:
                return {"name": own, "value": self.named(own, text)} | rest
            case dict():
                return {k: self._any(v, k, by_name=by_name) for k, v in value.items()}
            case list():
                return [self._any(v, name, by_name=by_name) for v in value]
            case _:
                return value


def fingerprint(credential: bytes) -> str:
    """Return by what equal credentials are known, under this process's key."""
    return hmac.new(_OfProcess.key.value, credential, hashlib.sha256).hexdigest()[:16]


def _words(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) and all(isinstance(w, str) for w in value) else ()


def _by_look(_name: str, text: str) -> tuple[Hit, ...]:
    return credentials_in(text)


def _in_file(name: str, text: str) -> tuple[Hit, ...]:
    found = credentials_in_file(text)
    return found or credentials_of(name, text)
