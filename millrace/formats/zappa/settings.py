"""zappa_settings.json, .yaml or .toml → the settings of one stage, with what the stage extends."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from millrace.config.faults import Fault, Place, nearest, one_of
from millrace.config.load import content_of, name_of
from millrace.config.reading import decode
from millrace.config.tree import Node
from millrace.formats.documents import read_document
from millrace.formats.reader import Request

DEFAULT_STAGE = "dev"
EXTENDS = "extends"
# A string of JSON, or a comment as JavaScript has them.
_JSON_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.S)
_TOML_LINE = re.compile(r"""^\s*(?:\[+(?P<table>[^\]]+)\]+|(?P<key>[\w."'-]+)\s*=)""")


def read_settings(request: Request, faults: list[Fault]) -> Node | None:
    """The whole file, a mapping of stages; None, with a fault, where there is none."""
    source = name_of(request.file)
    content = content_of(request.file)
    if request.file.suffix.lower() == ".toml":
        root = _read_toml(content, source, faults)
    elif request.file.suffix.lower() == ".json":
        root = read_document(_without_comments(content, source, faults), source, faults)
    else:
        root = read_document(content, source, faults)
    if root is None and not faults:
        faults.append(Fault(Place(source, 1, 1), "the file is empty", 'a stage such as {"dev": {"app_function": ...}}'))
    if root is not None and not isinstance(root.value, dict):
        faults.append(Fault(root.place, "the settings", "a mapping of stages such as dev", root.shown))
        return None
    return root


def chosen(root: Node, stage: str | None, faults: list[Fault]) -> tuple[str, Node] | None:
    """The name and the settings of a stage, of the only one, or of `dev`; None, with a fault, where it is unclear."""
    names = list(root.value)
    name = stage if stage is not None else names[0] if len(names) == 1 else DEFAULT_STAGE
    if name not in names:
        if stage is None:
            what = "several stages and none is called dev" if names else "no stage"
            faults.append(Fault(root.place, what, f"--stage with {one_of(names)}" if names else "one such as dev"))
        else:
            near = nearest(stage, names)
            faults.append(Fault(Place(f"--stage {stage}"), f"unknown stage {stage!r}", one_of(names, near), near=near))
        return None
    settings = _extended(root, name, faults, ())
    return None if settings is None else (name, settings)


def _extended(root: Node, name: str, faults: list[Fault], seen: tuple[str, ...]) -> Node | None:
    """A stage's settings laid upon those of the stage that it extends, key by key."""
    node: Node = root.value[name]
    if not isinstance(node.value, dict):
        faults.append(Fault(node.place, f"the stage {name}", "a mapping such as app_function: app.app", node.shown))
        return None
    base = node.value.get(EXTENDS)
    if base is None:
        return node
    if base.value in (*seen, name):
        faults.append(Fault(base.place, f"the stage {name} extends itself", "a way that ends", base.shown))
    elif not isinstance(base.value, str) or base.value not in root.value:
        near = nearest(str(base.value), root.value)
        faults.append(Fault(base.place, f"{name}.extends", one_of(list(root.value), near), base.shown, near))
    elif (under := _extended(root, base.value, faults, (*seen, name))) is not None:
        return Node({**under.value, **node.value}, node.place, node.key_place)
    return None


def _without_comments(content: bytes, source: str, faults: list[Fault]) -> bytes:
    """The same text with spaces in the place of comments, which JSON has not and Zappa's README has."""
    text = content.decode("utf-8", "surrogateescape")
    first: list[int] = []

    def blank(match: re.Match[str]) -> str:
        if match[0].startswith('"'):
            return match[0]
        first.append(match.start())
        return re.sub(r"[^\n]", " ", match[0])

    bare = _JSON_TOKEN.sub(blank, text)
    if first:
        line, column = text.count("\n", 0, first[0]) + 1, first[0] - text.rfind("\n", 0, first[0])
        what = "JSON has no comments: Zappa refuses the file with them"
        faults.append(Fault(Place(source, line, column), what, "a file without, or YAML", severity="warning"))
    return bare.encode("utf-8", "surrogateescape")


def _read_toml(content: bytes, source: str, faults: list[Fault]) -> Node | None:
    text = decode(content, source, faults)
    if text is None:
        return None
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"at line (\d+), column (\d+)", str(error))
        place = Place(source, int(where[1]), int(where[2])) if where else Place(source, 1, 1)
        faults.append(Fault(place, f"not TOML: {str(error).partition(' (at')[0] or 'nested too deeply'}"))
        return None
    return _node(values, (), _toml_places(text, source), Place(source, 1, 1))


def _node(value: Any, path: tuple[str, ...], places: dict[tuple[str, ...], Place], above: Place) -> Node:
    place = places.get(path, above)
    if isinstance(value, dict):
        value = {key: _node(item, (*path, key), places, place) for key, item in value.items()}
    elif isinstance(value, list):
        value = [_node(item, path, places, place) for item in value]
    elif not isinstance(value, str | int | float | bool):
        value = value.isoformat()  # TOML's dates, which JSON has not
    return Node(value, place, place)


def _toml_places(text: str, source: str) -> dict[tuple[str, ...], Place]:
    """Where each table and key stands, which the parser does not tell; what is not found takes the place above it."""
    places: dict[tuple[str, ...], Place] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        if (match := _TOML_LINE.match(line)) is None:
            continue
        steps = tuple(step.strip().strip("\"'") for step in (match["table"] or match["key"]).split("."))
        table, path = (steps, steps) if match["table"] else (table, (*table, *steps))
        column = match.start("table" if match["table"] else "key") + 1
        places.setdefault(path, Place(source, number, column))
    return places
