"""What pydantic found wrong, in the words and places of the project file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from millrace.config.aws import ACCOUNT, REGION
from millrace.config.events import EVENTS
from millrace.config.faults import Fault, nearest, one_of
from millrace.config.schema import Project
from millrace.config.tree import Node, walk

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "list_type": "a list",
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_PATTERNS = {ACCOUNT: "twelve digits in quotes", REGION: "a region such as us-east-1"}


def explain(error: ValidationError, root: Node) -> list[Fault]:
    """Each error as a fault at the place in the tree where it belongs."""
    return [_explain(each, root) for each in error.errors(include_url=False)]


def _explain(error: ErrorDetails, root: Node) -> Fault:
    location = error["loc"]
    node = walk(root, location)[-1]
    kind, context = error["type"], error.get("ctx", {})
    where = dotted(location)
    if kind == "extra_forbidden":
        return _unknown_key(node, location)
    if kind == "missing":
        return _missing(walk(root, location[:-1])[-1], location)
    if kind.startswith("union_tag"):
        return _unknown_event(node, where)
    if kind == "literal_error":
        known = [name.strip("' ") for name in context["expected"].replace(" or ", ",").split(",")]
        near = nearest(node.value, known) if isinstance(node.value, str) else ""
        return Fault(node.place, where, context["expected"], node.shown, near)
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return Fault(node.place, where, f"{words} {context[key]}", node.shown)
    if kind == "string_pattern_mismatch":
        return Fault(node.place, where, _PATTERNS[context["pattern"]], node.shown)
    expected = str(context["error"]) if kind == "value_error" else _KINDS.get(kind, error["msg"])
    return Fault(node.place, where, expected, node.shown)


def _missing(parent: Node, location: Sequence[str | int]) -> Fault:
    key = str(location[-1])
    if (empty := parent.child(key)) is not None:
        return Fault(empty.key_place, f"{_inside(location)}the key {key!r} has no value")
    return Fault(parent.key_place, f"{_inside(location)}the key {key!r} is missing")


def _unknown_key(node: Node, location: Sequence[str | int]) -> Fault:
    key = str(location[-1])
    known = [name for name in fields_at(location[:-1]) if name != "root"]
    near = nearest(key, known)
    return Fault(node.key_place, f"{_inside(location)}unknown key {key!r}", one_of(known, near), near=near)


def _unknown_event(node: Node, where: str) -> Fault:
    if not isinstance(node.value, dict):
        return Fault(node.place, where, "a mapping such as `queue: images`", node.shown)
    named = [key for key in EVENTS if key in node.value]
    if named:
        return Fault(node.place, f"{where} is of several kinds", "one event per list item", " and ".join(named))
    near = next((guess for key in node.value if (guess := nearest(key, EVENTS))), "")
    keys = ", ".join(repr(key) for key in node.value) or "an empty mapping"
    return Fault(node.place, f"{where} is no known event", one_of(EVENTS), keys, near)


def _inside(location: Sequence[str | int]) -> str:
    where = dotted(location[:-1])
    return f"{where}: " if where else ""


def dotted(location: Sequence[str | int]) -> str:
    """A location as people write it, functions.classify.to[0].table, less the branches of unions."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif not step.endswith(" event"):
            text += f".{step}" if text else step
    return text


def fields_at(location: Sequence[str | int]) -> list[str]:
    """The keys that the schema knows at a location."""
    kind: Any = Project
    for step in location:
        if isinstance(step, str) and step.endswith(" event"):
            kind = EVENTS[step.removesuffix(" event")]
        elif _is_section(kind):
            kind = kind.model_fields[step].annotation
        elif arguments := get_args(kind):  # dict[str, X], list[X]
            kind = arguments[-1]
    return list(kind.model_fields) if _is_section(kind) else []


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
