"""Releases of Kubernetes, as far as rights depend on them."""

import itertools


def minor_of(version: str) -> tuple[int, int]:
    """Return major and minor of a release, named as `v1.37.2`, `1.35` or `v1.29+`."""
    major, minor = version.removeprefix("v").split(".")[:2]
    return int(major), int("".join(itertools.takewhile(str.isdigit, minor)) or "0")
