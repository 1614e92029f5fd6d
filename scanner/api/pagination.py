"""Pages of lists: a cursor is the sort key of a page's last item, so that rows that come or go move no other.

A cursor also names the query that it came from, by a hash: with other filters it would skip or repeat items, so it is
refused there. It is opaque to callers, but no secret and no capability: all it can do is to start a list elsewhere.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from scanner.api import problems
from scanner.api.problems import ProblemDetail, ProblemError

MAX_LIMIT = 500
DEFAULT_LIMIT = 100
#: A cursor of the longest names that Kubernetes allows takes 1,100 bytes.
_MAX_CURSOR = 2048
#: Enough to tell queries apart by accident; nobody gains from doing it on purpose.
_DIGEST_BYTES = 6

#: Text from a query: nothing in a cluster has a control character in its name, and PostgreSQL refuses NUL.
Text = Annotated[str, StringConstraints(max_length=253, pattern=r"^[^\x00-\x1f\x7f]*$")]


class PageQuery(BaseModel):
    """The parameters of every list; unknown ones are refused, so that no misspelt filter is without effect."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MAX_LIMIT, description="Most items to return.")
    cursor: str | None = Field(
        default=None, max_length=_MAX_CURSOR, description="Where to go on: `next` of the page before, same filters."
    )

    def filters(self) -> dict[str, Any]:
        """Return the parameters that choose items, as JSON values."""
        return self.model_dump(mode="json", by_alias=True, exclude={"limit", "cursor"}, exclude_defaults=True)


def encode_cursor(query: PageQuery, key: Sequence[str | int]) -> str:
    """Return the cursor that goes on after an item with this sort key."""
    return base64.urlsafe_b64encode(json.dumps([_digest(query), *key]).encode()).decode().rstrip("=")


def decode_cursor(query: PageQuery, shape: Sequence[type[str] | type[int]]) -> tuple[Any, ...] | None:
    """Return the sort key that a query's cursor holds, None without one.

    Raises ProblemError (422) if it is no cursor, or one of another query.
    """
    if query.cursor is None:
        return None
    try:
        padded = query.cursor + "=" * (-len(query.cursor) % 4)
        decoded = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise _refused("is no cursor of this service") from None
    if not isinstance(decoded, list) or [type(part) for part in decoded[1:]] != list(shape):
        raise _refused("is no cursor of this list")
    if decoded[0] != _digest(query):
        raise _refused("belongs to a query with other filters")
    if any(_is_out_of_range(part) for part in decoded[1:]):
        raise _refused("is no cursor of this list")
    return tuple(decoded[1:])


def _is_out_of_range(part: str | int) -> bool:
    """Tell whether a part of a key is nothing that the database could have given: it would refuse the question."""
    if isinstance(part, int):
        return not -(2**31) <= part < 2**31
    return any(character == "\0" or "\ud800" <= character <= "\udfff" for character in part)


def next_link(path: str, query: PageQuery, cursor: str) -> Mapping[str, str]:
    """Return the `Link` header that names the next page."""
    parameters = query.filters() | {"limit": query.limit, "cursor": cursor}
    return {"Link": f'<{path}?{urlencode(parameters, doseq=True)}>; rel="next"'}


def _digest(query: PageQuery) -> str:
    filters = json.dumps(query.filters(), sort_keys=True)
    return hashlib.blake2b(filters.encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _refused(why: str) -> ProblemError:
    return ProblemError(
        problems.INVALID, f"the cursor {why}", errors=[ProblemDetail(location="query.cursor", message=why)]
    )
