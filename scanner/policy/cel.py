"""CEL as the API server speaks it: expressions compiled once, evaluated to plain values or to a reason why not.

The engine is CEL C++ (`cel-expr-python`). Its environment is put together to accept what Kubernetes 1.37 accepts in a
ValidatingAdmissionPolicy (k8s.io/apiserver/pkg/cel/environment/base.go):

| in Kubernetes 1.37 | here |
|---|---|
| macros has, all, exists, exists_one, map, filter | the engine's |
| optional types (`?.`, `[?]`, `orValue`, `optMap`, `optFlatMap`) | extension `optional` |
| strings, version 2 | extension `strings` (version 4: a superset; a few functions more compile than do there) |
| sets; ext.Lists version 3 (slice, flatten, distinct, range, reverse, sort, sortBy; not first, last) | extensions |
| two-variable all, exists, existsOne, transformList | extension `two-var-comprehensions` |
| two-variable transformMap, transformMapEntry | not in the engine's runtime: written as others, see `macros` |
| Kubernetes' lists, regex, url, quantity, ip, cidr, format, semver | `kubernetes_cel` |
| authorizer | `kubernetes_cel`; who answers is said by the caller, see `library.authorization` |

What is missing does not compile, and says so; it never evaluates to something else. A runtime error, an optional as the
result, or an expression that iterates more than 10,000 times (a budget of the engine; the API server has a budget of
cost) is a `CelFailure`, which the callers turn into `unknown`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from scanner.errors import PolicyError
from scanner.policy.kubernetes_cel import kubernetes_extension
from scanner.policy.macros import written_out

#: Extensions that have no Python class of their own, by the names of the CEL environment file format.
_LIBRARIES = "extensions:\n- name: sets\n- name: lists\n- name: two-var-comprehensions\n"

#: How the engine frames a compile error: `INVALID_ARGUMENT: ERROR: <input>:1:13: text`, then the source with a caret.
_COMPILE_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")


#: The engine's status code, before what it says and, in errors that it raises, behind it once more.
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_MIXED_NUMBERS = re.compile(
    r"found no matching overload for '_[<>]=?_' applied to '\((int|uint|double), (int|uint|double)\)'"
)


#: The reason of a failure that is no error of the expression: the engine's own budget is used up.
ITERATED_TOO_OFTEN = "Iteration budget exceeded"


@dataclass(frozen=True, slots=True)
class CelFailure:
    """Why an expression has no value."""

    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Expression:
    """A compiled expression and the variables that its text may read."""

    text: str
    #: Names of variables that occur in the text; one too many where a string literal or a field has that name.
    reads: frozenset[str]
    program: cel.Expression


@lru_cache
def environment(variables: tuple[str, ...]) -> cel.Env:
    """Return the environment in which these variables, all of dynamic type, are declared."""
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml(_LIBRARIES),
        variables=dict.fromkeys(variables, cel.Type.DYN),
        extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(), kubernetes_extension()],
    )


@lru_cache(maxsize=4096)
def compile_expression(text: str, variables: tuple[str, ...]) -> Expression:
    """Compile an expression over these variables; the same one is compiled once.

    Raises `PolicyError` with line and column inside the expression.
    """
    env = environment(variables)
    source = written_out(text)
    try:
        program = env.compile(source)
    except RuntimeError as error:
        if not _is_only_about_numbers(str(error)):
            raise PolicyError(_compile_message(str(error))) from error
        program = env.compile(source, disable_check=True)
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    return Expression(text, frozenset(words.intersection(variables)), program)


def _is_only_about_numbers(error: str) -> bool:
    """Tell whether all that the type checker minds is `1 < 2.0`, which Kubernetes allows and the engine can compute."""
    found = [text for _, _, text in _COMPILE_ERROR.findall(error)]
    return bool(found) and all(_MIXED_NUMBERS.match(text) for text in found)


def _compile_message(error: str) -> str:
    found = [f"{text.strip()} (line {line}, column {column})" for line, column, text in _COMPILE_ERROR.findall(error)]
    return "; ".join(found) or error.splitlines()[0]


def activation(variables: tuple[str, ...], values: Mapping[str, Any]) -> cel.Activation | CelFailure:
    """Hand values to the engine once, for any number of expressions over the same variables.

    A variable without a value makes the expressions that read it fail, not those that don't get to it.
    """
    try:
        return environment(variables).Activation(values)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        return CelFailure(f"the object cannot be handed to CEL: {error}")


def is_optional(expression: Expression) -> bool:
    """Tell whether an expression is known to give an optional, which cannot be handed back as a value."""
    return bool(expression.program.return_type().name().startswith("optional"))


def evaluate_expression(expression: Expression, values: cel.Activation | CelFailure) -> Any | CelFailure:
    """Return the value as plain JSON-like data, or why there is none."""
    if isinstance(values, CelFailure):
        return values
    try:
        result = expression.program.eval(values)
        if result.type() == cel.Type.ERROR:
            return CelFailure(_STATUS.sub("", str(result.value())))
        return result.plain_value()
    except TypeError:
        return CelFailure("the result is an optional; end the expression with orValue() or value()")
    except (RuntimeError, ValueError, OverflowError) as error:
        return CelFailure(_STATUS.sub("", str(error)))
