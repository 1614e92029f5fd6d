"""Quantities: `100m`, `1.5Gi`, `3e2`.

Source: k8s.io/apimachinery/pkg/api/resource/{quantity,amount,suffix}.go and apiserver/pkg/cel/library/quantity.go.
"""

import re
from fractions import Fraction
from math import ceil
from typing import Any

from scanner.policy.library import Opaque, content, opaque

NAME = "kubernetes.Quantity"

_QUANTITY = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*(?:[+-]?\d+)?)", re.ASCII)
_EXPONENT = re.compile(r"[eE]([+-]?\d+)", re.ASCII)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO = 10**9
_MAX_INT64 = 2**63 - 1
#: Digits that an int64 always holds; longer numbers are kept as decimals, which `asInteger` refuses.
_INT64_DIGITS = 18
#: The same for numbers with a binary suffix, whose factor takes some of the digits.
_BINARY_DIGITS = 15
#: Exponents beyond this are not computed with: one of ten digits would fill the memory.
_MAX_EXPONENT = 1000


def parse(text: str) -> Opaque:
    """Read a quantity; fractions of a nano round away from zero, binary ones are capped at the largest int64."""
    found = _QUANTITY.fullmatch(text)
    if found is None or not text:
        raise ValueError("quantities must match the regular expression of resource.Quantity")
    whole, fraction, suffix = found[2].lstrip("0") or "0", found[3] or "", found[4]
    number = Fraction(int(whole + fraction), 10 ** len(fraction))
    if suffix in _BINARY:
        exact = number * 2 ** _BINARY[suffix]
        value = min(Fraction(ceil(exact * _NANO), _NANO), Fraction(_MAX_INT64))
        is_integer = not fraction and len(whole) + _BINARY[suffix] * 3 // 10 < _BINARY_DIGITS
    else:
        exponent = _exponent(suffix)
        value = Fraction(ceil(number * Fraction(10) ** exponent * _NANO), _NANO)
        is_integer = exponent >= len(fraction) and len(whole) + len(fraction) <= _INT64_DIGITS
    is_integer = is_integer and value <= _MAX_INT64
    return _wrap(-value if found[1] == "-" else value, is_integer=is_integer)


def _exponent(suffix: str) -> int:
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    found = _EXPONENT.fullmatch(suffix)
    if found is None:
        raise ValueError("unable to parse quantity's suffix")
    exponent = int(found[1])
    if exponent > _MAX_EXPONENT:
        raise ValueError("quantity is too large to compute with here")
    return max(exponent, -_MAX_EXPONENT)


def _wrap(value: Fraction, *, is_integer: bool) -> Opaque:
    # Whether asInteger works depends on how a number was written, but equality does not; CEL takes 1 and 1.0 for equal.
    return opaque(NAME, [f"{value.numerator}/{value.denominator}", 1 if is_integer else 1.0])


def _unwrap(quantity: Opaque) -> tuple[Fraction, bool]:
    value, flag = content(quantity, NAME)
    return Fraction(value), isinstance(flag, int)


def is_quantity(text: str) -> bool:
    """Tell whether a text is a quantity."""
    try:
        parse(text)
    except ValueError as error:
        return "too large" in str(error)
    return True


def sign(quantity: Opaque) -> int:
    """Return -1, 0 or 1."""
    value = _unwrap(quantity)[0]
    return (value > 0) - (value < 0)


def compare(one: Opaque, other: Opaque) -> int:
    """Return -1, 0 or 1 as the first is less than, equal to or greater than the second."""
    first, second = _unwrap(one)[0], _unwrap(other)[0]
    return (first > second) - (first < second)


def is_integer(quantity: Opaque) -> bool:
    """Tell whether `as_integer` gives a value; `1000m` and `1.0` are kept as fractions and do not."""
    return _unwrap(quantity)[1]


def as_integer(quantity: Opaque) -> int:
    """Return the value as an int64."""
    value, is_whole = _unwrap(quantity)
    if not is_whole:
        raise ValueError("cannot convert value to integer")
    return int(value)


def as_float(quantity: Opaque) -> float:
    """Return the nearest double."""
    return float(_unwrap(quantity)[0])


def add(quantity: Opaque, other: Any) -> Opaque:
    """Add a quantity or an integer."""
    return _sum(quantity, other, 1)


def subtract(quantity: Opaque, other: Any) -> Opaque:
    """Subtract a quantity or an integer."""
    return _sum(quantity, other, -1)


def _sum(quantity: Opaque, other: Any, factor: int) -> Opaque:
    value, is_whole = _unwrap(quantity)
    added, added_whole = (Fraction(other), True) if isinstance(other, int) else _unwrap(other)
    result = value + factor * added
    # Zero takes on the form of what is added to it.
    both = (is_whole or value == 0) and (added_whole or added == 0)
    return _wrap(result, is_integer=both and abs(result) <= _MAX_INT64)
