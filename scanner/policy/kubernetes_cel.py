"""The CEL libraries that Kubernetes adds to the language, declared for the engine.

Each function is one row: its name, whether it is called on its first argument, the types of its arguments and result,
and the Python function that computes it. The engine tells overloads apart by the kinds of their arguments alone, so
that one row serves a quantity and a version, both of which are maps to it (see `library`).

Not here: `includes`, which the API server takes in no new policy before 1.38; `orValue`, `or` and the
like of what `validate` and `format.named` return; sums, minima and maxima of durations and timestamps (the engine
cannot take them back; `admission` says that they are unknown); and a `compareTo` of two types, which Kubernetes finds
while it compiles and we while it runs.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from cel_expr_python import cel

from scanner.policy.library import (
    Opaque,
    authorization,
    formats,
    lists,
    networks,
    opaque,
    quantities,
    regexes,
    type_of,
    urls,
    versions,
)

_T = cel.Type
_MEMBER, _GLOBAL = True, False
#: What an element of a list or an argument of any type can be; the engine needs one overload for each.
_ANY = (_T.BOOL, _T.INT, _T.UINT, _T.DOUBLE, _T.STRING, _T.BYTES, _T.LIST, _T.MAP)
#: An opaque value.
_O = _T.MAP


def _compare(one: Opaque, other: Opaque) -> int:
    """Compare two quantities or two versions."""
    return versions.compare(one, other) if type_of(one) == versions.NAME else quantities.compare(one, other)


def _is_greater(one: Opaque, other: Opaque) -> bool:
    return _compare(one, other) > 0


def _is_less(one: Opaque, other: Opaque) -> bool:
    return _compare(one, other) < 0


_ROWS: tuple[tuple[str, bool, tuple[cel.Type, ...], cel.Type, Callable[..., Any]], ...] = (
    ("isSorted", _MEMBER, (_T.LIST,), _T.BOOL, lists.is_sorted),
    ("sum", _MEMBER, (_T.LIST,), _T.DYN, lists.total),
    ("min", _MEMBER, (_T.LIST,), _T.DYN, lists.smallest),
    ("max", _MEMBER, (_T.LIST,), _T.DYN, lists.greatest),
    *(("indexOf", _MEMBER, (_T.LIST, t), _T.INT, lists.index_of) for t in _ANY),
    *(("lastIndexOf", _MEMBER, (_T.LIST, t), _T.INT, lists.last_index_of) for t in _ANY),
    ("find", _MEMBER, (_T.STRING, _T.STRING), _T.STRING, regexes.find),
    ("findAll", _MEMBER, (_T.STRING, _T.STRING), _T.List(_T.STRING), regexes.find_all),
    ("findAll", _MEMBER, (_T.STRING, _T.STRING, _T.INT), _T.List(_T.STRING), regexes.find_all),
    ("url", _GLOBAL, (_T.STRING,), _O, urls.parse),
    ("isURL", _GLOBAL, (_T.STRING,), _T.BOOL, urls.is_url),
    ("getScheme", _MEMBER, (_O,), _T.STRING, urls.scheme),
    ("getHost", _MEMBER, (_O,), _T.STRING, urls.host),
    ("getHostname", _MEMBER, (_O,), _T.STRING, urls.hostname),
    ("getPort", _MEMBER, (_O,), _T.STRING, urls.port),
    ("getEscapedPath", _MEMBER, (_O,), _T.STRING, urls.escaped_path),
    ("getQuery", _MEMBER, (_O,), _T.Map(_T.STRING, _T.List(_T.STRING)), urls.query),
    ("quantity", _GLOBAL, (_T.STRING,), _O, quantities.parse),
    ("isQuantity", _GLOBAL, (_T.STRING,), _T.BOOL, quantities.is_quantity),
    ("sign", _GLOBAL, (_O,), _T.INT, quantities.sign),
    ("isInteger", _MEMBER, (_O,), _T.BOOL, quantities.is_integer),
    ("asInteger", _MEMBER, (_O,), _T.INT, quantities.as_integer),
    ("asApproximateFloat", _MEMBER, (_O,), _T.DOUBLE, quantities.as_float),
    ("add", _MEMBER, (_O, _O), _O, quantities.add),
    ("add", _MEMBER, (_O, _T.INT), _O, quantities.add),
    ("sub", _MEMBER, (_O, _O), _O, quantities.subtract),
    ("sub", _MEMBER, (_O, _T.INT), _O, quantities.subtract),
    ("isGreaterThan", _MEMBER, (_O, _O), _T.BOOL, _is_greater),
    ("isLessThan", _MEMBER, (_O, _O), _T.BOOL, _is_less),
    ("compareTo", _MEMBER, (_O, _O), _T.INT, _compare),
    ("ip", _GLOBAL, (_T.STRING,), _O, networks.parse_ip),
    ("ip", _MEMBER, (_O,), _O, networks.ip_of),
    ("ip.isCanonical", _GLOBAL, (_T.STRING,), _T.BOOL, networks.is_canonical),
    ("isIP", _GLOBAL, (_T.STRING,), _T.BOOL, networks.is_ip),
    ("family", _MEMBER, (_O,), _T.INT, networks.family),
    ("isUnspecified", _MEMBER, (_O,), _T.BOOL, networks.is_unspecified),
    ("isLoopback", _MEMBER, (_O,), _T.BOOL, networks.is_loopback),
    ("isLinkLocalMulticast", _MEMBER, (_O,), _T.BOOL, networks.is_link_local_multicast),
    ("isLinkLocalUnicast", _MEMBER, (_O,), _T.BOOL, networks.is_link_local_unicast),
    ("isGlobalUnicast", _MEMBER, (_O,), _T.BOOL, networks.is_global_unicast),
    ("cidr", _GLOBAL, (_T.STRING,), _O, networks.parse_cidr),
    ("isCIDR", _GLOBAL, (_T.STRING,), _T.BOOL, networks.is_cidr),
    ("containsIP", _MEMBER, (_O, _T.STRING), _T.BOOL, networks.contains_ip),
    ("containsIP", _MEMBER, (_O, _O), _T.BOOL, networks.contains_ip),
    ("containsCIDR", _MEMBER, (_O, _T.STRING), _T.BOOL, networks.contains_cidr),
    ("containsCIDR", _MEMBER, (_O, _O), _T.BOOL, networks.contains_cidr),
    ("prefixLength", _MEMBER, (_O,), _T.INT, networks.prefix_length),
    ("masked", _MEMBER, (_O,), _O, networks.masked),
    ("string", _GLOBAL, (_O,), _T.STRING, networks.text_of),
    ("semver", _GLOBAL, (_T.STRING,), _O, versions.parse),
    ("semver", _GLOBAL, (_T.STRING, _T.BOOL), _O, versions.parse),
    ("isSemver", _GLOBAL, (_T.STRING,), _T.BOOL, versions.is_semver),
    ("isSemver", _GLOBAL, (_T.STRING, _T.BOOL), _T.BOOL, versions.is_semver),
    ("major", _MEMBER, (_O,), _T.INT, partial(versions.number, index=0)),
    ("minor", _MEMBER, (_O,), _T.INT, partial(versions.number, index=1)),
    ("patch", _MEMBER, (_O,), _T.INT, partial(versions.number, index=2)),
    ("format.named", _GLOBAL, (_T.STRING,), _O, formats.named),
    *((f"format.{name}", _GLOBAL, (), _O, partial(opaque, formats.NAME, name)) for name in formats.FORMATS),
    ("validate", _MEMBER, (_O, _T.STRING), _O, formats.validate),
    ("hasValue", _MEMBER, (_O,), _T.BOOL, formats.has_value),
    ("value", _MEMBER, (_O,), _T.DYN, formats.value),
    ("path", _MEMBER, (_O, _T.STRING), _O, authorization.path),
    ("group", _MEMBER, (_O, _T.STRING), _O, authorization.group),
    ("serviceAccount", _MEMBER, (_O, _T.STRING, _T.STRING), _O, authorization.service_account),
    ("resource", _MEMBER, (_O, _T.STRING), _O, authorization.resource),
    ("subresource", _MEMBER, (_O, _T.STRING), _O, authorization.subresource),
    ("namespace", _MEMBER, (_O, _T.STRING), _O, authorization.namespace),
    ("name", _MEMBER, (_O, _T.STRING), _O, authorization.named),
    ("fieldSelector", _MEMBER, (_O, _T.STRING), _O, authorization.selector),
    ("labelSelector", _MEMBER, (_O, _T.STRING), _O, authorization.selector),
    ("check", _MEMBER, (_O, _T.STRING), _O, authorization.check),
    ("allowed", _MEMBER, (_O,), _T.BOOL, authorization.allowed),
    ("reason", _MEMBER, (_O,), _T.STRING, authorization.reason),
    ("errored", _MEMBER, (_O,), _T.BOOL, authorization.errored),
    ("error", _MEMBER, (_O,), _T.STRING, authorization.error),
    # What two-variable macros that the engine cannot run are written as; see `macros`.
    ("mapOfPairs", _MEMBER, (_T.LIST,), _T.Map(_T.DYN, _T.DYN), lists.map_of_pairs),
    ("mapOfMaps", _MEMBER, (_T.LIST,), _T.Map(_T.DYN, _T.DYN), lists.map_of_maps),
)


def kubernetes_extension() -> cel.CelExtension:
    """Return all of these functions as one extension of the engine's environment."""
    overloads: dict[str, list[cel.Overload]] = defaultdict(list)
    for number, (name, is_member, parameters, returned, function) in enumerate(_ROWS):
        overloads[name].append(
            cel.Overload(f"kubernetes_{number}", returned, list(parameters), is_member=is_member, impl=function)
        )
    return cel.CelExtension("kubernetes", [cel.FunctionDecl(name, found) for name, found in overloads.items()])
