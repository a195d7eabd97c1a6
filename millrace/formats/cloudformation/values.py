"""Values as CloudFormation takes them: numbers and truths also as text, documents also as JSON text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from millrace.config.tree import Node


def text_of(found: Node | None) -> str:
    """A text or a number as text; empty where there is neither."""
    if found is None or isinstance(found.value, dict | list | bool | None):
        return ""
    return str(found.value)


def side_by_side(reserved: Node) -> Node:
    """How many processes do what reserved concurrency allows: as many, but no more than the machine has cores."""
    most = integer(reserved)
    if isinstance(most.value, int) and not isinstance(most.value, bool):
        return Node(min(most.value, max(1, os.cpu_count() or 1)), most.place, most.key_place)
    return most


def integer(found: Node) -> Node:
    """The node with 5 for "5"; what is no whole number stays for the schema to refuse."""
    value = found.value
    whole = re.fullmatch(r"\s*-?\d{1,18}\s*", value) if isinstance(value, str) else None
    if whole or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    return Node(value, found.place, found.key_place, found.written)


def truth(found: Node) -> Node:
    """The node with true for "true"."""
    if isinstance(found.value, str) and found.value.strip().lower() in ("true", "false"):
        return Node(found.value.strip().lower() == "true", found.place, found.key_place, found.written)
    return found


def is_true(found: Node | None) -> bool:
    """Whether something is there and says yes."""
    return found is not None and truth(found).value is True


def is_false(found: Node | None) -> bool:
    """Whether something is there and says no."""
    return found is not None and truth(found).value is False


def items(found: Node | None) -> list[Node]:
    """The items of a list, or the one thing that stands where a list may."""
    if found is None or found.value is None:
        return []
    return list(found.value) if isinstance(found.value, list) else [found]


def entries(found: Node | None) -> Iterator[tuple[str, Node]]:
    """Keys and values of a mapping; none where it is none."""
    if found is not None and isinstance(found.value, dict):
        yield from found.value.items()


def below(found: Node | None, *keys: str) -> Node | None:
    """The node at a path of keys; None where there is none or nothing stands there."""
    for key in keys:
        found = None if found is None else found.child(key)
    return None if found is None or found.value is None else found


def document(found: Node) -> tuple[Any, str]:
    """The plain value of a mapping, or of its JSON text; and what is wrong with that text, empty when nothing is."""
    if not isinstance(found.value, str):
        return found.plain(), ""
    try:
        return json.loads(found.value), ""
    except (ValueError, RecursionError) as error:
        return None, str(error)


def measured(found: Node, unit: str) -> Node:
    """A plain number with its unit, as millrace.yml writes it: 128 is 128MiB; anything else stays."""
    number = integer(found)
    if not isinstance(number.value, int) or isinstance(number.value, bool) or number.value < 0:
        return number
    return Node(f"{number.value}{unit}", found.place, found.key_place)
