"""Semantic versions.

Source: k8s.io/apiserver/pkg/cel/library/semverlib.go and github.com/blang/semver/v4.
"""

import re

from scanner.policy.library import Opaque, content, opaque

NAME = "kubernetes.Semver"

_PART = r"(0|[1-9]\d*)"
_NAMES = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(rf"{_PART}\.{_PART}\.{_PART}(?:-({_NAMES}))?(?:\+({_NAMES}))?", re.ASCII)
_LEADING_ZERO = re.compile(r"0\d+", re.ASCII)
_PARTS = 3
_MAX_UINT64 = 2**64 - 1


def parse(text: str, normalize: bool = False) -> Opaque:  # noqa: FBT002 - CEL passes it by position
    """Read a version; normalising drops a leading `v` and zeros and fills up what is missing."""
    found = _SEMVER.fullmatch(_normalized(text) if normalize else text)
    if found is None:
        raise ValueError(f"not a semantic version: {text!r}")
    numbers = [int(found[i]) for i in (1, 2, 3)]
    before = found[4].split(".") if found[4] else []
    if max(numbers) > _MAX_UINT64 or any(_LEADING_ZERO.fullmatch(name) for name in before):
        raise ValueError(f"not a semantic version: {text!r}")
    return opaque(NAME, [str(n) for n in numbers] + before)


def _normalized(text: str) -> str:
    parts = text.removeprefix("v").split(".", _PARTS - 1)
    for index, part in enumerate(parts):
        if len(part) > 1:
            stripped = part.lstrip("0")
            parts[index] = stripped if stripped[:1].isdigit() else f"0{stripped}"
    missing = _PARTS - len(parts)
    if missing:
        if "+" in parts[-1] or "-" in parts[-1]:
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * missing
    return ".".join(parts)


def is_semver(text: str, normalize: bool = False) -> bool:  # noqa: FBT002 - CEL passes it by position
    """Tell whether a text is a version."""
    try:
        parse(text, normalize)
    except ValueError:
        return False
    return True


def number(version: Opaque, index: int) -> int:
    """Return major (0), minor (1) or patch (2)."""
    return int(content(version, NAME)[index])


def compare(one: Opaque, other: Opaque) -> int:
    """Return -1, 0 or 1 as the first is older than, equal to or newer than the second; build metadata don't count."""
    first, second = _key(one), _key(other)
    return (first > second) - (first < second)


def _key(version: Opaque) -> tuple[object, ...]:
    """Order as semver.org has it: a pre-release is before its release, numbers are before words."""
    parts = content(version, NAME)
    before = [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in parts[_PARTS:]]
    return (*(int(p) for p in parts[:_PARTS]), not before, before)
