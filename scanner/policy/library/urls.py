"""URLs.

Source: k8s.io/apiserver/pkg/cel/library/urls.go and Go's net/url, ParseRequestURI and Parse.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from scanner.policy.library import Opaque, content, opaque

NAME = "kubernetes.URL"

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.ASCII | re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*", re.ASCII)
#: What a host may hold unescaped, beside what is not ASCII.
_HOST = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:\[\]<>\"]|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f]|%25)*")
_PORT = re.compile(r"(?::[0-9]*)?", re.ASCII)
#: What a path may hold unescaped; anything else makes Go escape the whole path anew.
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/\[\]]|%[0-9A-Fa-f]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Url:
    scheme: str
    host: str
    path: str
    query: str


def parse(text: str) -> Opaque:
    """Read an absolute URL, or an absolute path."""
    _parsed(text)
    return opaque(NAME, text)


def is_url(text: str) -> bool:
    """Tell whether a text is an absolute URL, or an absolute path."""
    try:
        _parsed(text)
    except ValueError:
        return False
    return True


def _parsed(text: str) -> _Url:
    if not text or _CONTROL.search(text):
        raise ValueError(f"URL parse error during conversion from string: {text!r}")
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    found = _SCHEME.fullmatch(text)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", text)
    if not rest.startswith("/"):
        if not scheme and text != "*":
            raise ValueError(f"invalid URI for request: {text!r}")
        rest, _, query = rest.partition("#")[0].partition("?")
        return _Url(scheme, "", "*" if text == "*" else "", query)
    # A request URI has no fragment, so that a `#` is checked as part of the path, and dropped only then.
    _checked_path(rest, scheme)
    rest, _, query = rest.partition("#")[0].partition("?")
    host, path = _authority(rest, scheme)
    return _Url(scheme, host, path, query)


def _checked_path(rest: str, scheme: str) -> None:
    _authority(rest.partition("?")[0], scheme)


def _authority(rest: str, scheme: str) -> tuple[str, str]:
    """Split host and path; raises where either is malformed."""
    host = ""
    if scheme and rest.startswith("//"):
        authority, slash, path = rest[2:].partition("/")
        user, at, host = authority.rpartition("@")
        if at and (not _USER.fullmatch(user) or _BAD_ESCAPE.search(user)):
            raise ValueError("net/url: invalid userinfo")
        _check_host(host)
        rest = slash + path
    if _BAD_ESCAPE.search(rest):
        raise ValueError("invalid URL escape")
    return host, rest


def _check_host(host: str) -> None:
    if host.startswith("["):
        inside, bracket, port = host.rpartition("]")
        if not bracket or not re.fullmatch(r"[0-9A-Fa-f:.]+(?:%25.+)?", inside[1:], re.ASCII):
            raise ValueError("missing ']' in host")
    else:
        _, colon, number = host.rpartition(":")
        port = colon + number if colon else ""
    if not _PORT.fullmatch(port):
        raise ValueError(f"invalid port {port!r} after host")
    if not _HOST.fullmatch(host) and not host.startswith("["):
        raise ValueError("invalid character in host name")


def scheme(url: Opaque) -> str:
    """Return the scheme in lower case."""
    return _parsed(content(url, NAME)).scheme


def host(url: Opaque) -> str:
    """Return the host with its port."""
    return _parsed(content(url, NAME)).host


def hostname(url: Opaque) -> str:
    """Return the host without port and brackets."""
    name = host(url)
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if ":" in name else name


def port(url: Opaque) -> str:
    """Return the port as a text, empty if there is none."""
    name = host(url).rpartition("]")[2]
    return name.rpartition(":")[2] if ":" in name else ""


def escaped_path(url: Opaque) -> str:
    """Return the path with its escapes."""
    path = _parsed(content(url, NAME)).path
    return path if _PATH.fullmatch(path) else quote(_unquoted(path), safe="$&+,/:;=@-._~")


def _unquoted(path: str) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), path.encode())


def query(url: Opaque) -> dict[str, list[str]]:
    """Return the values of each query parameter; a malformed pair is left out."""
    found: dict[str, list[str]] = {}
    for pair in _parsed(content(url, NAME)).query.split("&"):
        if not pair or ";" in pair or _BAD_ESCAPE.search(pair):
            continue
        key, _, value = (_unquoted(part.replace("+", " ")).decode() for part in pair.partition("="))
        found.setdefault(key, []).append(value)
    return found
