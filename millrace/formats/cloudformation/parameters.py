"""Parameters of a template: their values from --parameter or their defaults, in their types, within their bounds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache

from millrace.config.faults import Fault, Place, one_of
from millrace.config.tree import Node
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import node

PARAMETER_KEYS: Keys = {
    "Type": Key("yes", "String, Number, lists, SSM parameters; ids of EC2 and the like are taken as text"),
    "Default": Key("yes"),
    "AllowedValues": Key("yes"),
    "AllowedPattern": Key("yes", "as Python reads the expression"),
    "MinLength": Key("yes"),
    "MaxLength": Key("yes"),
    "MinValue": Key("yes"),
    "MaxValue": Key("yes"),
    "ConstraintDescription": Key("yes"),
    "NoEcho": Key("yes", "the value stays out of messages"),
    "Description": Key("nothing to do"),
}
HIDDEN = "***"  # stands for what NoEcho keeps out of messages
_SSM = "AWS::SSM::Parameter::Value<"
_LONGEST = 4096
_REPEATS = re.compile(r"[*+}]")
_PATIENCE_S = 2
_NO_MATCH = 3
_MATCH = f"""
import json, re, sys
pattern, text = json.load(sys.stdin)
try:
    sys.exit(0 if re.fullmatch(pattern, text) else {_NO_MATCH})
except (re.error, RecursionError, OverflowError):
    pass
"""


def read_parameters(
    section: Node | None, given: Mapping[str, str], stored: Mapping[str, str], faults: list[Fault]
) -> dict[str, Node]:
    """Each parameter's value by name; `stored` are the SSM parameters that the template itself declares."""
    if section is None or section.value is None:
        return {}
    if not isinstance(section.value, dict):
        faults.append(Fault(section.place, "Parameters", "a mapping", section.shown))
        return {}
    found = {}
    for name, declared in section.value.items():
        if not isinstance(declared.value, dict):
            faults.append(Fault(declared.place, f"Parameters.{name}", "a mapping with a Type", declared.shown))
            continue
        found[name] = _value(name, declared, given, stored, faults)
    return found


def _value(name: str, declared: Node, given: Mapping[str, str], stored: Mapping[str, str], faults: list[Fault]) -> Node:
    kind = _word(declared, "Type") or "String"
    default = declared.child("Default")
    if name in given:
        place = Place(f"--parameter {name}")
        source = Node(given[name], place, place)
    elif default is not None:
        source = default
    else:
        expected = f"--parameter {name}=VALUE, or a Default"
        faults.append(Fault(declared.key_place, f"the parameter {name} has no value", expected))
        return Node(name, declared.place, declared.key_place)
    if isinstance(source.value, dict | list) and not (isinstance(source.value, list) and _is_list(kind)):
        faults.append(Fault(source.place, f"Parameters.{name}", "a text or a number", source.shown))
        return Node(name, declared.place, declared.key_place)
    if kind.startswith(_SSM):
        source = _stored(name, source, name in given, stored, faults)
    parts = [_text(part) for part in source.value] if isinstance(source.value, list) else None
    text = ",".join(parts) if parts is not None else _text(source)
    if problem := _problem(declared, kind, text):
        got = "" if _is_secret(declared) else repr(text[:60])
        said = _word(declared, "ConstraintDescription")
        faults.append(Fault(source.place, f"the parameter {name}" + (f": {said}" if said else ""), problem, got))
    if _is_list(kind):
        return node([part.strip() for part in text.split(",")] if text else [], source)
    value = source.value if kind == "Number" and not isinstance(source.value, str) else text
    return Node(value, source.place, source.key_place, written=HIDDEN if _is_secret(declared) else None)


def _stored(name: str, source: Node, is_given: bool, stored: Mapping[str, str], faults: list[Fault]) -> Node:
    """What an SSM parameter's name stands for; what was given with --parameter may be the value itself."""
    key = _text(source)
    if key in stored:
        return Node(stored[key], source.place, source.key_place)
    if not is_given:
        what = f"the parameter {name} is what SSM keeps under {key}, which is not known here"
        faults.append(Fault(source.place, what, f"--parameter {name}=VALUE", severity="warning"))
    return source


def _problem(declared: Node, kind: str, text: str) -> str:
    """What a value should have been, empty when it is that."""
    if len(text) > _LONGEST:
        return f"at most {_LONGEST} characters"
    parts = text.split(",") if _is_list(kind) else [text]
    if "Number" in kind and not all(_is_number(part) for part in parts):
        return "a number" if kind == "Number" else "numbers with commas between them"
    allowed = declared.child("AllowedValues")
    if allowed is not None and isinstance(allowed.value, list):
        names = [_text(each) for each in allowed.value]
        if not all(part.strip() in names or part in names for part in parts):
            return one_of(names)
    pattern = _word(declared, "AllowedPattern")
    if pattern and not all(_matches(pattern, part) for part in parts):
        return f"what matches {pattern}"
    return _bounds(declared, kind, text)


def _bounds(declared: Node, kind: str, text: str) -> str:
    for key, compared, unit in (
        ("MinLength", len(text), " characters"),
        ("MaxLength", len(text), " characters"),
        ("MinValue", float(text) if kind == "Number" else None, ""),
        ("MaxValue", float(text) if kind == "Number" else None, ""),
    ):
        bound = _word(declared, key)
        if compared is None or not _is_number(bound):
            continue
        least = key.startswith("Min")
        if compared < float(bound) if least else compared > float(bound):
            return f"{'at least' if least else 'at most'} {bound}{unit}"
    return ""


def _matches(pattern: str, text: str) -> bool:
    if len(_REPEATS.findall(pattern)) > 1:
        return _matches_in_time(pattern, text)
    try:
        return re.fullmatch(pattern, text) is not None
    except (re.error, RecursionError, OverflowError):
        return True  # an expression in Java's own words


@lru_cache
def _matches_in_time(pattern: str, text: str) -> bool:
    """The same in a process of its own: repeats within repeats can take for ever, which nothing stops in this one."""
    try:
        command = [sys.executable, "-I", "-S", "-c", _MATCH]
        done = subprocess.run(command, input=json.dumps([pattern, text]).encode(), timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True  # it is AWS that will say
    return done.returncode != _NO_MATCH


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text) is not None


def _is_list(kind: str) -> bool:
    return kind == "CommaDelimitedList" or "List<" in kind or kind == f"{_SSM}CommaDelimitedList>"


def _is_secret(declared: Node) -> bool:
    return _word(declared, "NoEcho").lower() == "true"


def _word(declared: Node, key: str) -> str:
    found = declared.child(key)
    return "" if found is None or isinstance(found.value, dict | list) else _text(found)


def _text(found: Node) -> str:
    if isinstance(found.value, bool):
        return "true" if found.value else "false"
    return "" if found.value is None else str(found.value)
