"""How a request or result is spelled in the query protocol, derived from its declaration.

Lists and maps are flattened: `Attributes` is `Attribute.1.Name`, `Attribute.1.Value`; `TagKeys` is `TagKey.1`; a list
of structures has the name of its class. In XML the same names are repeated elements.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple

import msgspec
from msgspec import inspect

Kind = Literal["text", "number", "list", "map"]
_PLURALS = {"Actions": "ActionName"}  # the one list whose element is not its singular


class Member(NamedTuple):
    """One field: its name in Python, in JSON, and in the query protocol; `item` is the structure it holds."""

    field: str
    name: str
    element: str
    kind: Kind
    item: type[msgspec.Struct] | None


@cache
def members(struct: type[msgspec.Struct]) -> tuple[Member, ...]:
    """The fields of a structure."""
    found = inspect.type_info(struct)
    assert isinstance(found, inspect.StructType)
    return tuple(_member(each) for each in found.fields)


def key_of(element: str) -> str:
    """What a flattened map calls its keys."""
    return "Key" if element == "Tag" else "Name"


def _member(each: inspect.Field) -> Member:
    kind = each.type
    if isinstance(kind, inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    name = each.encode_name
    if isinstance(kind, inspect.ListType):
        item = _struct(kind.item_type)
        return Member(each.name, name, item.__name__ if item else _singular(name), "list", item)
    if isinstance(kind, inspect.DictType):
        return Member(each.name, name, _singular(name), "map", _struct(kind.value_type))
    return Member(each.name, name, name, "number" if isinstance(kind, inspect.IntType) else "text", None)


def _struct(kind: inspect.Type) -> type[msgspec.Struct] | None:
    return kind.cls if isinstance(kind, inspect.StructType) else None


def _singular(name: str) -> str:
    return _PLURALS.get(name) or name[0].upper() + name[1:].removesuffix("s")
