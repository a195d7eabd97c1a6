"""A project of any format as the text of a millrace.yml that loads as the same Project.

The tree in millrace.yml's words is walked beside the Project that came of it: keys in the schema's order, what is as if
left out left out, references to the environment as they were written. A secret that has no such reference becomes
one, `${env:DB_PASSWORD}`: what it holds is never written.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import (
    DoubleQuotedScalarString,
    LiteralScalarString,
    PlainScalarString,
    SingleQuotedScalarString,
)

from millrace.config.faults import Fault, Place
from millrace.config.load import Examination
from millrace.config.reading import escaped, read_text, refers
from millrace.config.section import Section
from millrace.config.tree import Node

_TOLD = ("queues", "tables", "buckets", "topics", "functions")  # whose entries say where they come from
_LEFT_OUT = ("stages", "root")
_ALONE = re.compile(r"\$\{env:\s*([A-Za-z_]\w*)\s*(?:,[^{}]*)?\}")
_WIDTH = 10_000  # no text is broken into lines
_INDENT = 2


class Converted(msgspec.Struct):
    """The text, and the secrets that it takes from the environment: their names and what they hold."""

    text: str = ""
    secrets: dict[str, str] = msgspec.field(default_factory=dict)


def convert(found: Examination) -> Converted:
    """The millrace.yml of a sound project (`found.project` and `found.tree`)."""
    assert found.project is not None
    assert found.tree is not None
    converted = Converted()
    document = _Writer(converted.secrets).section(found.tree, found.project, ())
    document.yaml_set_start_comment(_heading(found.file, found.project.stage, converted.secrets))
    for section in _TOLD:
        if isinstance(entries := document.get(section), CommentedMap):
            _tell_places(entries, found.tree.value[section])
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.indent(mapping=_INDENT, sequence=2 * _INDENT, offset=_INDENT)
    yaml.dump(document, stream)
    converted.text = stream.getvalue()
    return converted


def _heading(file: str, stage: str, secrets: Mapping[str, str]) -> str:
    lines = [f"Made by `millrace convert` from {file}, stage {stage}. `millrace check` says whether it is sound."]
    if secrets:
        lines.append(f"Set before you start it: {', '.join(sorted(secrets))}.")
    return "\n".join(lines)


def _tell_places(entries: CommentedMap, node: Node) -> None:
    for name in entries:
        place: Place = node.value[name].key_place
        if place.line:
            entries.yaml_set_comment_before_after_key(name, f"{place.source}:{place.line}", indent=_INDENT)


class _Writer:
    """Nodes as ruamel's own values, which keep order, comments and the way a text is written."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._secrets = secrets

    def section(self, node: Node, section: Section, path: tuple[str, ...]) -> CommentedMap:
        """A mapping that the schema knows: its keys in order, less what is as if left out."""
        written = CommentedMap()
        for name, known in type(section).model_fields.items():
            child, value = node.value.get(name), getattr(section, name)
            if child is None or child.value is None or (not path and name in _LEFT_OUT):
                continue
            if known.is_required() or value != known.get_default(call_default_factory=True):
                written[name] = self.value(child, value, (*path, name))
        return written

    def value(self, node: Node, value: Any, path: tuple[str, ...]) -> Any:
        """A node, written as what it became (`value`) asks for."""
        if isinstance(node.value, dict):
            if isinstance(value, Section):
                return self.section(node, value, path)
            parts = value if isinstance(value, dict) else {}
            written = CommentedMap()
            for key, child in node.value.items():
                written[_key(key)] = self.value(_below(child, node), parts.get(key), (*path, key))
            return written
        if isinstance(node.value, list):
            items = value if isinstance(value, list) and len(value) == len(node.value) else [None] * len(node.value)
            return [self.value(_below(child, node), item, path) for child, item in zip(node.value, items, strict=True)]
        if node.value is None and isinstance(value, Section):
            return CommentedMap()
        if node.written is not None:
            return self._reference(node, node.written, path)
        return _text(escaped(node.value)) if isinstance(node.value, str) else node.value

    def _reference(self, node: Node, written: str, path: tuple[str, ...]) -> str:
        """What came from the environment, as it was written; what cannot be written so gets a variable of its own."""
        quoted = isinstance(node.value, str)
        if not (refers(written) and _meaning(written, quoted) == node.value):
            held = _plain(node.value)
            name = self._asked(held, written) or self._name(held, path)
            self._secrets[name] = held
            written = f"${{env:{name}}}"
        return _scalar(written, quoted)

    def _asked(self, held: str, written: str) -> str:
        """The variable that was asked for, where the environment that millrace.yml is read in has it not: of a .env."""
        found = _ALONE.fullmatch(written)
        name = found[1] if found else ""
        return name if name not in os.environ and self._secrets.get(name, held) == held else ""

    def _name(self, held: str, path: tuple[str, ...]) -> str:
        """The variable for a secret: named after its key, and after those above it where another has that name."""
        parts = [re.sub(r"\W", "_", part, flags=re.ASCII).upper() for part in reversed(path)]
        name = parts[0]
        for part in parts[1:]:
            if self._secrets.get(name, held) == held:
                break
            name = f"{part}_{name}"
        return f"_{name}" if name[:1].isdigit() else name


def _below(child: Node, node: Node) -> Node:
    """A part of what came from the environment as a whole came from there too."""
    if node.written is None or child.written is not None:
        return child
    return Node(child.value, child.place, child.key_place, node.written)


def _meaning(written: str, quoted: bool) -> Any:
    """What millrace.yml makes of a text with references; None where it makes nothing of it."""
    faults: list[Fault] = []
    stream = io.StringIO()
    YAML().dump([_scalar(written, quoted)], stream)
    node = read_text(stream.getvalue(), "", faults)
    return None if faults or node is None else node.value[0].value


def _scalar(text: str, quoted: bool) -> str:
    scalar: str = SingleQuotedScalarString(text) if quoted else PlainScalarString(text)
    return scalar


def _plain(value: Any) -> str:
    """A value as an environment variable has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    """Several lines stay lines, where they hold nothing that YAML has to escape."""
    lines = text.split("\n")
    written: str = text
    if not all(line.isprintable() for line in lines):
        written = DoubleQuotedScalarString(text)  # the one style that has escapes
    elif len(lines) > 1:
        written = LiteralScalarString(text)
    return written


def _key(text: str) -> str:
    key: str = text if text.isprintable() else DoubleQuotedScalarString(text)
    return key
