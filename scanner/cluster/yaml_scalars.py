"""What a scalar of a manifest means, read as kubectl reads it.

kubectl reads YAML by sigs.k8s.io/yaml, which stands on go-yaml v2: YAML 1.1 with exceptions of its own. `yes` is true,
`010` is 8, and so is `0o10`; `1:30` and `2001-12-14` are strings. The rules here are those of go-yaml's resolve.go and
of the conversion to JSON in sigs.k8s.io/yaml; a test holds them against the real ones.
"""

import base64
import binascii
import math
import re
import struct

Scalar = str | int | float | bool | None

TAG_PREFIX = "tag:yaml.org,2002:"
STR_TAG = TAG_PREFIX + "str"
BOOL_TAG = TAG_PREFIX + "bool"
INT_TAG = TAG_PREFIX + "int"
FLOAT_TAG = TAG_PREFIX + "float"
NULL_TAG = TAG_PREFIX + "null"
TIMESTAMP_TAG = TAG_PREFIX + "timestamp"
BINARY_TAG = TAG_PREFIX + "binary"
MERGE_TAG = TAG_PREFIX + "merge"

#: Tags that go-yaml converts to; any other leaves the text as it is.
_TAGGED = frozenset({BOOL_TAG, INT_TAG, FLOAT_TAG, NULL_TAG, TIMESTAMP_TAG})

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}

#: What Go's strconv.ParseInt takes with base 0, underscores taken out; a sign is for signed numbers only.
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[oO]?(?P<octal>[0-7]+)|0[bB](?P<binary>[01]+)"
    r"|(?P<decimal>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
#: What strconv.ParseFloat takes of words that start with a dot; underscores stand between digits.
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}.*)?")

_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
#: Up to here every whole number is a float of its own, and Go writes a whole float without a fraction.
_EXACT_FLOAT = 2.0**53


class ScalarError(ValueError):
    """A scalar cannot be what its tag says, or is nothing that JSON has; the message says which."""


def value_of(text: str, tag: str, *, is_plain: bool) -> Scalar:
    """Return the value of a scalar; `is_plain` tells that it stands without quotes and without a tag.

    Raises `ScalarError` for what kubectl refuses: infinities, not-a-number, and a tag that does not fit.
    """
    value = _resolve(text, tag, is_plain=is_plain)
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ScalarError("JSON has no infinite and no undefined numbers")
    return int(value) if value.is_integer() and abs(value) < _EXACT_FLOAT else value


def key_of(text: str, tag: str, *, is_plain: bool) -> str:
    """Return what a key is called in JSON; raises `ScalarError` for null, for huge integers and wrong tags."""
    match text if not (tag or is_plain) else _resolve(text, tag, is_plain=is_plain):
        case str(value):
            return value
        case bool(value):
            return "true" if value else "false"
        case int(value) if value <= _INT64_MAX:
            return str(value)
        case float(value):
            return _float32_text(value)
        case value:
            raise ScalarError(f"a key cannot be {'null' if value is None else 'a number of that size'}")


def _resolve(text: str, tag: str, *, is_plain: bool) -> Scalar:
    if not tag:
        return _plain(text) if is_plain else text
    if tag == BINARY_TAG:
        return _from_base64(text)
    return _as_tagged(text, _plain(text), tag) if tag in _TAGGED else text


def _plain(text: str) -> Scalar:
    """Return what a scalar without quotes means, before JSON has a say in it: infinities are floats."""
    first = text[:1]
    if first not in "~.+-0123456789yYnNtTfFoO":
        return text
    if text in _WORDS:
        return _WORDS[text]
    if first == ".":
        return _finite_float(text.replace("_", ""), text) if _DOT_FLOAT.fullmatch(text) else text
    return _number(text) if first in "+-0123456789" else text


def _number(text: str) -> Scalar:
    digits = text.replace("_", "")
    if (match := _INTEGER.fullmatch(digits)) and len(match["decimal"] or "") <= len(str(_UINT64_MAX)):
        value = _integer(match)
        if _INT64_MIN <= value <= (_INT64_MAX if match["sign"] else _UINT64_MAX):
            return value
    return _finite_float(digits, text) if _FLOAT.fullmatch(digits) else text


def _integer(match: re.Match[str]) -> int:
    bases = {"hex": 16, "octal": 8, "binary": 2, "decimal": 10}
    value = next(int(match[name], base) for name, base in bases.items() if match[name] is not None)
    return -value if match["sign"] == "-" else value


def _finite_float(digits: str, text: str) -> Scalar:
    """Return the number, or the text where it is too large for a float, as Go does."""
    value = float(digits)
    return text if math.isinf(value) else value


def _as_tagged(text: str, value: Scalar, tag: str) -> Scalar:
    """Check a value against the tag that was written before it."""
    match tag, value:
        case ("tag:yaml.org,2002:bool", bool()) | ("tag:yaml.org,2002:null", None):
            return value
        case ("tag:yaml.org,2002:float", float()):
            return value
        case ("tag:yaml.org,2002:float", int()) if not isinstance(value, bool) and value <= _INT64_MAX:
            return float(value)
        case ("tag:yaml.org,2002:int", int()) if not isinstance(value, bool):
            return value
        case ("tag:yaml.org,2002:timestamp", str()) if _TIMESTAMP.fullmatch(text):
            return text
        case _:
            raise ScalarError(f"a scalar cannot be read as its tag !!{tag.removeprefix(TAG_PREFIX)}")


def _from_base64(text: str) -> str:
    try:
        decoded = base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ScalarError("!!binary is not followed by base64") from error
    # Go's JSON encoder puts the replacement character for each byte that is not UTF-8.
    return _ESCAPED_BYTE.sub("\ufffd", decoded.decode("utf-8", errors="surrogateescape"))


def _float32_text(value: float) -> str:
    """Write a key as strconv.FormatFloat(value, 'g', -1, 32) does: the shortest text that a float32 is told by."""
    if math.isnan(value):
        return ".nan"
    try:
        single = struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        single = math.copysign(math.inf, value)
    if math.isinf(single):
        return ".inf" if single > 0 else "-.inf"
    # 9 digits tell every float32 apart.
    shortest = next(s for p in range(9) if struct.pack("f", float(s := f"{single:.{p}e}")) == struct.pack("f", single))
    mantissa, exponent = shortest.split("e")
    digits = len(mantissa.lstrip("-").replace(".", ""))
    # Go's 'g' writes an exponent below -4 and from 6 on.
    if -4 <= int(exponent) < 6:  # noqa: PLR2004 - as just said
        return f"{float(shortest):.{max(0, digits - 1 - int(exponent))}f}"
    return f"{mantissa}e{exponent}"
