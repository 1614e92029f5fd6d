"""Named formats of texts: `format.dns1123Label().validate(name)`.

Source: k8s.io/apiserver/pkg/cel/library/format.go, apimachinery's util/validation and kube-openapi's strfmt.
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

from scanner.policy.library import Opaque, content, opaque
from scanner.policy.library.urls import is_url

NAME = "kubernetes.Format"
#: The engine's own optionals cannot be made outside of it; this one answers to `hasValue` and `value`.
OPTIONAL = "kubernetes.Optional"

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_UUID = r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", re.ASCII)

Check = Callable[[str], list[str]]


def _sized(pattern: str, limit: int, what: str) -> Check:
    """Return a check for texts of a pattern with at most so many bytes."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> list[str]:
        errors = [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []
        return errors if compiled.fullmatch(text) else [*errors, f"{what} (regex used for validation is '{pattern}')"]

    return check


_is_label = _sized(_LABEL, 63, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'")
_is_subdomain = _sized(_SUBDOMAIN, 253, "a lowercase RFC 1123 subdomain must consist of lower case labels and dots")
_is_1035_label = _sized(_LABEL_1035, 63, "a DNS-1035 label must start with an alphabetic character")
_is_name = _sized(_NAME, 63, "name part must consist of alphanumeric characters, '-', '_' or '.'")
_is_label_value = _sized(rf"({_NAME})?", 63, "a valid label must be an empty string or consist of such characters")


def _as_prefix(check: Check) -> Check:
    """Let a prefix of a generated name end with a dash, in the way that the API machinery does."""
    return lambda text: check(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)


def _qualified_name(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    if (slash and not prefix) or not name or "/" in prefix:
        return [
            "a qualified name must consist of alphanumeric characters, with an optional DNS subdomain prefix and '/'"
        ]
    errors = [f"prefix part {error}" for error in _is_subdomain(prefix)] if prefix else []
    return errors + _is_name(name)


def _one(is_valid: Callable[[str], bool], error: str) -> Check:
    return lambda text: [] if is_valid(text) else [error]


def _is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return bool(text)


def _is_date(text: str) -> bool:
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text, re.ASCII):
        return False
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_datetime(text: str) -> bool:
    date, _, rest = text.lower().partition("t")
    found = _TIME.fullmatch(rest.partition("t")[0])
    return _is_date(date) and found is not None and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


FORMATS: Mapping[str, Check] = {
    "dns1123Label": _is_label,
    "dns1123Subdomain": _is_subdomain,
    "dns1035Label": _is_1035_label,
    "qualifiedName": _qualified_name,
    "dns1123LabelPrefix": _as_prefix(_is_label),
    "dns1123SubdomainPrefix": _as_prefix(_is_subdomain),
    "dns1035LabelPrefix": _as_prefix(_is_1035_label),
    "labelValue": _is_label_value,
    "uri": _one(is_url, "invalid URI"),
    "uuid": _one(lambda text: re.fullmatch(_UUID, text, re.ASCII) is not None, "does not match the UUID format"),
    "byte": _one(_is_base64, "invalid base64"),
    "date": _one(_is_date, "invalid date"),
    "datetime": _one(_is_datetime, "invalid datetime"),
}


def named(name: str) -> Opaque:
    """Return an optional with the format of this name."""
    return opaque(OPTIONAL, [opaque(NAME, name)] if name in FORMATS else [])


def validate(form: Opaque, text: str) -> Opaque:
    """Return an optional with what is wrong with a text; nothing if it is right."""
    errors = FORMATS[content(form, NAME)](text)
    return opaque(OPTIONAL, [errors] if errors else [])


def has_value(optional: Opaque) -> bool:
    """Tell whether an optional holds something."""
    return bool(content(optional, OPTIONAL))


def value(optional: Opaque) -> Any:
    """Return what an optional holds; raises if that is nothing."""
    held = content(optional, OPTIONAL)
    if not held:
        raise ValueError("optional.none() dereference")
    return held[0]
