"""Changes to a cluster as values: what a fix does, object by object. Nothing here carries them out.

A patch tests what it replaces, and a deletion names the version that was seen, so that a change made for a cluster as
it was an hour ago fails instead of undoing what someone did since.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from scanner.model.refs import ObjectRef


class PatchStep(msgspec.Struct, frozen=True):
    """One operation of a JSON Patch (RFC 6902)."""

    op: Literal["test", "add", "replace", "remove"]
    #: JSON Pointer inside the object: `/rules/0`.
    path: str
    value: Any = msgspec.UNSET


class Create(msgspec.Struct, frozen=True, tag="create", tag_field="action"):
    """A new object; nothing of this name exists."""

    #: The whole object as JSON values.
    object: dict[str, Any]


class Patch(msgspec.Struct, frozen=True, tag="patch", tag_field="action"):
    """A change inside an object."""

    resource: ObjectRef
    #: Steps in order; if one fails, none is carried out.
    patch: tuple[PatchStep, ...]


class Delete(msgspec.Struct, frozen=True, tag="delete", tag_field="action", rename="camel", omit_defaults=True):
    """The end of an object."""

    resource: ObjectRef
    #: The version that was seen; empty for files.
    resource_version: str = ""


#: Operations of one change stand in the order in which they are carried out: what is new first, so that nobody is
#: without what they keep.
Operation: TypeAlias = Create | Patch | Delete
