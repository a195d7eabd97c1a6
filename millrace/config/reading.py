"""YAML text → a tree of Nodes, with every fault of the text itself: syntax, duplicate keys, tags, aliases, size."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from typing import Any

from millrace.config.faults import Fault, Place
from millrace.config.surrogates import join_pairs, joined, may_have
from millrace.config.tree import Node

MAX_BYTES = 1_000_000
MAX_DEPTH = 64
MAX_NODES = 100_000  # aliases repeat a node for a few bytes: count what they stand for
_CORE = "tag:yaml.org,2002:"
_REFERENCE = re.compile(r"\$\{env:\s*([A-Za-z_]\w*)\s*(?:,\s*([^{}]*?)\s*)?\}")
_ESCAPED = "$${"  # stands for ${ itself
_SPECIAL = re.compile(rf"{re.escape(_ESCAPED)}|{_REFERENCE.pattern}")
# What most often stands behind the parser's words, for people who do not know them.
_HINTS = (
    (r"'\t' that cannot start", "spaces: a tab cannot indent"),
    ("while scanning a quoted scalar", "a closing quote behind the text that begins here"),
    ("that cannot start any token", "quotes around a text that begins so"),
    ("expected <block end>", "as many spaces before this line as before its neighbours"),
    ("mapping values are not allowed here", "quotes around a text with a colon in it, or less space before this line"),
    ("while parsing a flow mapping", "a comma or } after each value, and quotes around a text with { } , or : in it"),
    ("while parsing a flow sequence", "a comma or ] after each value, and quotes around a text with [ ] , or : in it"),
)
_FOREIGN_REFERENCE = re.compile(r"(?<!\$)\$\{(?!env:)\w+:")


def read_bytes(data: bytes, source: str, faults: list[Fault]) -> Node | None:
    """The tree of a file's bytes, None when there is none to speak of; what is wrong goes into `faults`."""
    text = decode(data, source, faults)
    return None if text is None else read_text(text, source, faults)


def decode(data: bytes, source: str, faults: list[Fault]) -> str | None:
    """A file's bytes as text; None, with a fault, where they are too many or none."""
    start = Place(source, 1, 1)
    if len(data) > MAX_BYTES:
        faults.append(Fault(start, "the file is too large", f"at most {MAX_BYTES:,} bytes", f"{len(data):,}"))
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        faults.append(Fault(_place_after(before, source), "not UTF-8 text", got=f"byte 0x{data[error.start]:02x}"))
        return None


def read_text(
    text: str, source: str, faults: list[Fault], *, at: Place | None = None, environment: Mapping[str, str] = os.environ
) -> Node | None:
    """The tree of a YAML text; `at` is the place of everything in it when it stands in no file."""
    found = compose(text, source, faults, at)
    return None if found is None else Builder(source, faults, at, environment).build(found)


def compose(text: str, source: str, faults: list[Fault], at: Place | None = None) -> Any:
    """The parser's own nodes of a YAML text, for a Builder; None, with a fault, where it is not YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError
    from ruamel.yaml.reader import ReaderError

    no = "not JSON" if source.endswith(".json") else "not YAML"
    try:
        root = YAML(typ="safe", pure=True).compose(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if "end of stream" in (error.problem or ""):  # which is far from the quote that was left open
            mark = error.context_mark or mark
        where = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
        what = ", ".join(str(part) for part in (error.problem, error.context) if part)
        hint = next((words for sign, words in _HINTS if sign in what), "")
        faults.append(Fault(at or where, f"{no}: {what}", hint))
    except ReaderError as error:
        where = _place_after(text[: error.position], source)
        faults.append(Fault(at or where, f"{no}: a character that may not stand in it", got=repr(text[error.position])))
    except RecursionError:
        faults.append(Fault(at or Place(source, 1, 1), "nested too deeply"))
    except Exception as error:  # the parser lets its own IndexError, ValueError and the like escape on odd input
        faults.append(Fault(at or Place(source, 1, 1), f"{no}: {type(error).__name__}: {error}"))
    else:
        if root is not None and may_have(text):
            join_pairs(root, source, faults, at)
        return root
    return None


def _place_after(text: str, source: str) -> Place:
    return Place(source, text.count("\n") + 1, len(text) - (text.rfind("\n") + 1) + 1)


class Builder:
    """Turns the parser's nodes into ours within the limits; a dialect overrides `scalar` and `tagged`."""

    def __init__(
        self, source: str, faults: list[Fault], at: Place | None = None, environment: Mapping[str, str] = os.environ
    ) -> None:
        self._source = source
        self._faults = faults
        self._at = at
        self._environment = environment
        self._count = 0
        self._open: set[int] = set()

    def build(self, raw: Any) -> Node | None:
        """The tree; None, with a fault, where its aliases stand for too much."""
        try:
            return self._node(raw, self._place(raw))
        except _TooMany:
            self._faults.append(Fault(self._place(raw), "too many values", f"at most {MAX_NODES:,}, aliases followed"))
        return None

    def _place(self, raw: Any) -> Place:
        return self._at or Place(self._source, raw.start_mark.line + 1, raw.start_mark.column + 1)

    def _node(self, raw: Any, key_place: Place) -> Node:
        self._count += 1
        if self._count > MAX_NODES:
            raise _TooMany
        place = self._place(raw)
        if not raw.tag.startswith(_CORE):
            return self.tagged(raw, place, key_place)
        if isinstance(raw.value, str):
            return self.scalar(raw, place, key_place)
        return self.nested(raw, place, key_place)

    def tagged(self, raw: Any, place: Place, key_place: Place) -> Node:
        """A value under a tag that is not YAML's own."""
        self._faults.append(Fault(place, f"the tag {raw.tag} has no meaning here", "a plain value"))
        return Node(None, place, key_place)

    def nested(self, raw: Any, place: Place, key_place: Place) -> Node:
        """A mapping or a list, whatever its tag."""
        if id(raw) in self._open:
            self._faults.append(Fault(place, f"the alias *{raw.anchor} contains itself"))
            return Node(None, place, key_place)
        if len(self._open) == MAX_DEPTH:
            self._faults.append(Fault(place, "nested too deeply", f"at most {MAX_DEPTH} levels"))
            return Node(None, place, key_place)
        self._open.add(id(raw))
        try:
            return Node(self._inside(raw), place, key_place)
        finally:
            self._open.discard(id(raw))

    def _inside(self, raw: Any) -> dict[str, Node] | list[Node]:
        if raw.tag.startswith(_CORE) and raw.tag not in (_CORE + "map", _CORE + "seq"):
            self._faults.append(Fault(self._place(raw), f"the tag {raw.tag} has no meaning here", "a plain value"))
            return {}
        if raw.id == "mapping":
            return self._mapping(raw)
        return [self._node(item, self._place(item)) for item in raw.value]

    def _mapping(self, raw: Any) -> dict[str, Node]:
        found: dict[str, Node] = {}
        inherited: dict[str, Node] = {}
        for raw_key, raw_value in raw.value:
            place = self._place(raw_key)
            if raw_key.tag == _CORE + "merge":
                inherited = self._merged(raw_value, place) | inherited
            elif not isinstance(raw_key.value, str):
                self._faults.append(Fault(place, "a key is a plain word", got="a list or a mapping"))
            elif (key := raw_key.value) in found:
                first = found[key].key_place
                self._faults.append(Fault(place, f"the key {key!r} is already there, at line {first.line}"))
            else:
                found[key] = self._node(raw_value, place)
        return inherited | found

    def _merged(self, raw: Any, place: Place) -> dict[str, Node]:
        node = self._node(raw, place)
        parts = node.value if isinstance(node.value, list) else [node]
        merged: dict[str, Node] = {}
        for part in parts:
            if isinstance(part.value, dict):
                merged = part.value | merged
            else:
                self._faults.append(Fault(place, "<< merges mappings", "an alias of a mapping", part.shown))
        return merged

    def scalar(self, raw: Any, place: Place, key_place: Place) -> Node:
        """A text or what a plain word stands for, its references to the environment filled in."""
        plain = not raw.style
        text: str = raw.value
        if "${" not in text:
            return Node(resolve(text, raw.tag) if plain else text, place, key_place)
        if match := _FOREIGN_REFERENCE.search(text):
            expected = "${env:NAME} or ${env:NAME, default}"
            self._faults.append(
                Fault(place, "a reference that millrace does not know", expected, repr(match[0] + "…}"))
            )
            return Node(text, place, key_place)
        filled = _SPECIAL.sub(lambda match: self._variable(match, place), text)
        if plain and _REFERENCE.fullmatch(text):
            return Node(retype(filled), place, key_place, written=text)
        return Node(filled, place, key_place, written=text if refers(text) else None)

    def _variable(self, match: re.Match[str], place: Place) -> str:
        name, default = match[1], match[2]
        if name is None:
            return _ESCAPED[1:]
        value = self._environment.get(name, default)
        if value is None:
            expected = f"it to be set, or a default: ${{env:{name}, default}}"
            self._faults.append(Fault(place, f"the environment variable {name} is not set", expected))
            return ""
        if not joined(value)[1]:
            self._faults.append(Fault(place, f"the environment variable {name} is not UTF-8"))
            return ""
        return value


class _TooMany(Exception):
    pass


def refers(text: str) -> bool:
    """Whether a text of millrace.yml holds a reference to the environment."""
    return any(match[1] is not None for match in _SPECIAL.finditer(text))


def escaped(text: str) -> str:
    """A text such that read as a value of millrace.yml it is itself, without a reference."""
    return text.replace(_ESCAPED[1:], _ESCAPED)


def resolve(text: str, tag: str) -> Any:
    """A plain scalar's value by its resolved YAML tag; what does not parse stays text."""
    kind = tag.removeprefix(_CORE)
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in {"true", "yes", "on", "y"}
        if kind == "int":
            digits = text.replace("_", "")
            return int(digits, 10 if digits.lstrip("+-").isdecimal() else 0)
        if kind == "float":
            return float(re.sub(r"\.(inf|nan)$", r"\1", text.replace("_", "").lower()))
    except ValueError:
        return text
    return text


def retype(text: str) -> Any:
    """An environment variable's text as YAML would read it: 4 is a number, true a truth."""
    if re.fullmatch(r"[+-]?\d+", text):
        return resolve(text, "int")
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)([eE][+-]?\d+)?", text):
        return resolve(text, "float")
    return text == "true" if text in {"true", "false"} else text
