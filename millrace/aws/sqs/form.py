"""Reading the query protocol: `SendMessageBatchRequestEntry.1.MessageBody=hello` into the shape that JSON would have.

The limits keep a hostile form from costing more than its bytes: AWS's largest request has some 700 fields, and 1 MiB of
messages, each of whose bytes may be written as three.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from millrace.aws.sqs.errors import SqsError, invalid_value
from millrace.aws.sqs.members import Member, key_of, members

_MAX_FIELDS = 2000
_MAX_LENGTH = 4_194_304  # characters
_MAX_DEPTH = 8
_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
Tree = dict[str, Any]  # a leaf is a str, everything else a Tree


def fields(text: str) -> dict[str, str]:
    """The fields of a form. Raises SqsError for what is none."""
    if len(text) > _MAX_LENGTH:
        raise malformed(f"a form has at most {_MAX_LENGTH} characters")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"))
    except ValueError:
        raise malformed("the request is not a form of at most 2000 fields in UTF-8") from None


def shaped(form: dict[str, str], struct: type[msgspec.Struct]) -> Tree:
    """What JSON would hold for this structure; members that it does not have are left aside."""
    return _struct(_nested(form), struct)


def malformed(reason: str) -> SqsError:
    """The request cannot be read."""
    return SqsError("SerializationException", f"The request cannot be read: {reason}.")


def _nested(form: dict[str, str]) -> Tree:
    tree: Tree = {}
    for name, value in form.items():
        *path, last = name.split(".", _MAX_DEPTH)
        here = tree
        for part in path:
            here = here.setdefault(part, {})
            if not isinstance(here, dict):
                raise malformed(f"{name[:80]} is both a value and a structure")
        if isinstance(here.setdefault(last, value), dict):
            raise malformed(f"{name[:80]} is both a value and a structure")
    return tree


def _struct(tree: Any, struct: type[msgspec.Struct]) -> Tree:
    if not isinstance(tree, dict):
        raise malformed(f"a structure {struct.__name__} was expected, not a value")
    found = {}
    for member in members(struct):
        if member.element in tree:
            found[member.name] = _value(tree[member.element], member)
    return found


def _value(value: Any, member: Member) -> Any:
    if member.kind == "list":
        return _list(value, member)
    if member.kind == "map":
        return _map(value, member)
    if not isinstance(value, str):
        raise malformed(f"{member.element} is a value, not a structure")
    if member.kind == "text":
        return value
    if _NUMBER.fullmatch(value) is None:
        raise invalid_value(value, member.element, "Must be an integer.")
    return int(value)


def _list(value: Any, member: Member) -> list[Any]:
    if isinstance(value, str):
        return [value]  # `AttributeName=All`, as AWS's examples have it
    items = _numbered(value, member.element)
    if member.item is not None:
        return [_struct(item, member.item) for item in items]
    return [_text(item, member.element) for item in items]


def _map(value: Any, member: Member) -> Tree:
    found: Tree = {}
    for item in _numbered(value, member.element):
        if not isinstance(item, dict):
            raise malformed(f"{member.element} has a name and a value")
        key = _text(item.get(key_of(member.element), ""), member.element)
        inner = item.get("Value", "")
        found[key] = _struct(inner, member.item) if member.item else _text(inner, member.element)
    return found


def _numbered(value: Any, element: str) -> list[Any]:
    """The items in the order of their numbers, whichever numbers those are."""
    if not isinstance(value, dict) or not all(key.isascii() and key.isdigit() and len(key) < 9 for key in value):
        raise malformed(f"{element} is a list and its items are numbered")
    return [value[key] for key in sorted(value, key=int)]


def _text(value: Any, element: str) -> str:
    if not isinstance(value, str):
        raise malformed(f"{element} holds values, not structures")
    return value
