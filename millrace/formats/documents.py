"""YAML and JSON as AWS's tools write them: CloudFormation's short tags in their long forms, `${...}` left as it is."""

from __future__ import annotations

from typing import Any

from millrace.config.faults import Fault, Place, nearest
from millrace.config.reading import Builder, compose, decode, resolve
from millrace.config.tree import Node

_FUNCTIONS = (
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "ForEach",
    "GetAtt",
    "GetAZs",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
)
_TAGS = {"!Ref": "Ref", "!Condition": "Condition"} | {f"!{name}": f"Fn::{name}" for name in _FUNCTIONS}


def read_document(data: bytes, source: str, faults: list[Fault]) -> Node | None:
    """The tree of a template or settings file, None when there is none to speak of.

    `!Ref X` is {"Ref": X}, `!GetAtt A.B` is {"Fn::GetAtt": [A, B]}, `!Sub t` is {"Fn::Sub": t}, and so on.
    What is wrong goes into `faults`; the limits are those of the project file.
    """
    text = decode(data, source, faults)
    if text is None:
        return None
    if text.lstrip()[:1] in ("{", "["):
        text = text.replace("\t", " ")  # JSON may be indented with tabs, YAML may not; neither has one in a string
    raw = compose(text, source, faults)
    return None if raw is None else _Document(source, faults).build(raw)


class _Document(Builder):
    def scalar(self, raw: Any, place: Place, key_place: Place) -> Node:
        return Node(_text(raw.value) if raw.style else _plain(raw), place, key_place)

    def tagged(self, raw: Any, place: Place, key_place: Place) -> Node:
        """{"Fn::Join": [...]} for !Join [...]."""
        name = _TAGS.get(raw.tag)
        if name is None:
            near = nearest(raw.tag, _TAGS)
            self._faults.append(Fault(place, f"the tag {raw.tag} is none of CloudFormation's", near=near))
            return Node(None, place, key_place)
        inner = (
            Node(_text(raw.value), place, place) if isinstance(raw.value, str) else self.nested(raw, place, key_place)
        )
        if name == "Fn::GetAtt" and isinstance(inner.value, str):
            inner.value = [Node(part, place, place) for part in inner.value.split(".", 1)]
        return Node({name: inner}, place, key_place)


def _plain(raw: Any) -> Any:
    """A plain scalar's value; what begins with a needless zero is an account id or the like and stays text."""
    text = raw.value
    if len(text) > 1 and text.isdecimal() and text[0] == "0":
        return text
    value = resolve(text, raw.tag)
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    r"""Text in which the two halves of JSON's \ud83d\ude00 are one character again."""
    if text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
