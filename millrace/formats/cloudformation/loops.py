"""Fn::ForEach::Name: [identifier, values, {key: value}] → a key for each value, before anything else is read.

Source: AWS CloudFormation Template Reference, "Fn::ForEach" of the transform AWS::LanguageExtensions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from millrace.config.faults import Fault
from millrace.config.reading import MAX_NODES
from millrace.config.tree import Node
from millrace.formats.cloudformation.values import items, text_of

MARK = "Fn::ForEach::"


def unrolled(root: Node, resolve: Callable[[Node], Node], faults: list[Fault]) -> Node:
    """The template with its loops written out; `resolve` knows a list that is a parameter."""
    try:
        return _Loops(resolve, faults).inside(root, {})
    except _TooMany:
        faults.append(Fault(root.place, "the loops make too much of this", f"at most {MAX_NODES:,} values"))
        return root


class _Loops:
    def __init__(self, resolve: Callable[[Node], Node], faults: list[Fault]) -> None:
        self._resolve = resolve
        self._faults = faults
        self._count = 0

    def inside(self, found: Node, names: Mapping[str, str]) -> Node:
        """A node in which the identifiers of the loops around it stand for `names`."""
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooMany
        if isinstance(found.value, str):
            return Node(_put(found.value, names), found.place, found.key_place, found.written)
        if isinstance(found.value, list):
            return Node([self.inside(each, names) for each in found.value], found.place, found.key_place)
        if not isinstance(found.value, dict):
            return found
        if len(found.value) == 1 and (name := text_of(found.child("Ref"))) in names:
            return Node(names[name], found.place, found.key_place)
        made: dict[str, Node] = {}
        for key, child in found.value.items():
            if key.startswith(MARK):
                made |= self._loop(key, child, names)
            else:
                made[_put(key, names)] = self.inside(child, names)
        return Node(made, found.place, found.key_place)

    def _loop(self, key: str, loop: Node, names: Mapping[str, str]) -> dict[str, Node]:
        parts = items(loop)
        if len(parts) != 3 or not text_of(parts[0]) or not isinstance(parts[2].value, dict):
            self._faults.append(Fault(loop.place, key, "[identifier, list, mapping]", loop.shown))
            return {}
        values = self._resolve(self.inside(parts[1], names))
        made: dict[str, Node] = {}
        for each in items(values):
            if isinstance(each.value, dict | list):
                self._faults.append(Fault(each.place, f"{key}: a value of the list", "a text", each.shown))
            else:
                made |= self.inside(parts[2], {**names, text_of(parts[0]): text_of(each)}).value
        return made


class _TooMany(Exception):
    pass


def _put(text: str, names: Mapping[str, str]) -> str:
    """A text with ${Name}, and &{Name} for its letters and digits alone, filled in."""
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", value)
        text = text.replace(f"&{{{name}}}", re.sub(r"[^A-Za-z0-9]", "", value))
    return text
