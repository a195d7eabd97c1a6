"""Event patterns: a mapping that says what an event must look like, as EventBridge, Lambda's filters and SNS have it.

    {"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}], "note": [{"exists": false}]}}

Every field named must match (and), any of a field's values may (or). Pure: `compile_pattern` reads a pattern once,
what it returns is asked for each event. Low enough for the project file's check to use it.

Rules: Amazon EventBridge user guide, "Comparison operators for use in event patterns"; AWS Lambda developer guide,
"Control which events Lambda sends to your function"; SNS developer guide, "Amazon SNS subscription filter policies".
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from millrace.errors import ConfigError

Matcher = Callable[[Any], bool]  # of a whole event
_Test = Callable[[Any], bool]  # of one scalar of it
_MAX_DEPTH = 32
_MOST_NUMBER = 5_000_000_000
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ABSENT = object()


class PatternError(ConfigError):
    """A pattern that means nothing; `path` is where in it, `problem` what is wrong there."""

    def __init__(self, path: Sequence[str | int], expected: str, got: Any) -> None:
        self.path = tuple(path)
        self.expected = expected
        self.got = f"{got!r:.80}"
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        super().__init__(f"${where}: expected {expected}, got {self.got}", "See EventBridge's event patterns.")


def compile_pattern(pattern: Any) -> Matcher:
    """What a pattern lets pass; an empty one lets everything pass. Raises PatternError."""
    return _fields(pattern, ())


def compile_any(patterns: Sequence[Any]) -> Matcher:
    """What at least one of the patterns lets pass; no pattern at all lets everything pass. Raises PatternError."""
    matchers = [_fields(pattern, (index,)) for index, pattern in enumerate(patterns)]
    return lambda event: not matchers or any(matches(event) for matches in matchers)


def _fields(pattern: Any, path: tuple[str | int, ...]) -> Matcher:
    """A mapping of fields, all of which must match."""
    if not isinstance(pattern, dict):
        raise PatternError(path, "a mapping of fields", pattern)
    if len(path) > _MAX_DEPTH:
        raise PatternError(path, f"at most {_MAX_DEPTH} levels", pattern)
    matchers = [_field(name, value, (*path, name)) for name, value in pattern.items()]
    return lambda event: all(matches(event) for matches in matchers)


def _field(name: str, value: Any, path: tuple[str | int, ...]) -> Matcher:
    if name == "$or":
        return _either(value, path)
    if isinstance(value, dict):
        return _nested(name, _fields(value, path))
    if not isinstance(value, list):
        raise PatternError(path, "a list of values, or a mapping", value)
    if not value:
        raise PatternError(path, "a list of at least one value", value)
    allows = [_leaf(item, (*path, index)) for index, item in enumerate(value)]
    return lambda event: any(allowed(_values(event, name)) for allowed in allows)


def _either(value: Any, path: tuple[str | int, ...]) -> Matcher:
    if not isinstance(value, list) or len(value) < 2:
        raise PatternError(path, "a list of two patterns or more", value)
    matchers = [_fields(item, (*path, index)) for index, item in enumerate(value)]
    return lambda event: any(matches(event) for matches in matchers)


def _nested(name: str, matches: Matcher) -> Matcher:
    """Of a list of objects, one alone must match; what is no object has none of the fields."""

    def nested(event: Any) -> bool:
        inner = event.get(name) if isinstance(event, dict) else None
        if isinstance(inner, list):
            return any(matches(item) for item in _flat(inner) if isinstance(item, dict)) or (not inner and matches({}))
        return matches(inner if isinstance(inner, dict) else {})

    return nested


def _values(event: Any, name: str) -> list[Any]:
    """The scalars of a field: those of a list, however deep; none where the field is absent or an object."""
    value = event.get(name, _ABSENT) if isinstance(event, dict) else _ABSENT
    if value is _ABSENT or isinstance(value, dict):
        return []
    return [item for item in _flat(value) if not isinstance(item, dict)] if isinstance(value, list) else [value]


def _flat(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        else:
            yield value


def _leaf(item: Any, path: tuple[str | int, ...]) -> Callable[[list[Any]], bool]:
    """What one entry of a field's list asks of the field's scalars."""
    if isinstance(item, dict) and "exists" in item:
        wanted = _only(item, path)[1]
        if not isinstance(wanted, bool):
            raise PatternError((*path, "exists"), "true or false", wanted)
        return lambda values: bool(values) is wanted
    test = _test(item, path)
    return lambda values: any(test(value) for value in values)


def _test(item: Any, path: tuple[str | int, ...]) -> _Test:
    if not isinstance(item, dict):
        return _exactly(item, path)
    name, argument = _only(item, path)
    make = _TESTS.get(name)
    if make is None:
        known = ", ".join(sorted([*_TESTS, "exists"]))
        raise PatternError(path, f"one of {known}", name)
    return make(argument, (*path, name))


def _only(item: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str, Any]:
    if len(item) != 1:
        raise PatternError(path, "a mapping of one comparison", item)
    return next(iter(item.items()))


def _exactly(wanted: Any, path: tuple[str | int, ...]) -> _Test:
    """Equal and of the same kind: JSON's true is not 1, and "1" is not 1."""
    if isinstance(wanted, list):
        raise PatternError(path, "a string, a number, true, false, null or a comparison", wanted)
    if _is_number(wanted):
        return lambda value: _is_number(value) and bool(value == wanted)
    return lambda value: type(value) is type(wanted) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _text(argument: Any, path: tuple[str | int, ...], *, empty: bool = False) -> str:
    if not isinstance(argument, str) or not (argument or empty):
        raise PatternError(path, "a string", argument)
    return argument


def _of_strings(make: Callable[[str], Callable[[str], bool]]) -> Callable[[Any, tuple[str | int, ...]], _Test]:
    """A comparison of strings by one string; prefix and suffix also as {"equals-ignore-case": text}."""

    def compiled(argument: Any, path: tuple[str | int, ...]) -> _Test:
        if isinstance(argument, dict):
            name, inner = _only(argument, path)
            if name != "equals-ignore-case":
                raise PatternError(path, "a string or equals-ignore-case", name)
            folded = make(_text(inner, (*path, name)).casefold())
            return lambda value: isinstance(value, str) and folded(value.casefold())
        holds = make(_text(argument, path))
        return lambda value: isinstance(value, str) and holds(value)

    return compiled


def _ignoring_case(argument: Any, path: tuple[str | int, ...]) -> _Test:
    wanted = _text(argument, path, empty=True).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == wanted


def _wildcard(argument: Any, path: tuple[str | int, ...]) -> _Test:
    r"""`*` is any run of characters, `\*` a star, `\\` a backslash; two stars in a row are refused."""
    text = _text(argument, path)
    parts = re.findall(r"\\.|\*+|[^\\*]+|\\$", text, re.DOTALL)
    if any(len(part) > 1 and part.startswith("**") for part in parts):
        raise PatternError(path, "no two wildcards in a row", text)
    if any(part.startswith("\\") and part not in ("\\*", "\\\\") for part in parts):
        raise PatternError(path, r"a backslash before * or \ only", text)
    pieces = _pieces(parts)
    return lambda value: isinstance(value, str) and _glob(pieces, value)


def _pieces(parts: Sequence[str]) -> list[str]:
    """The literal texts between the wildcards."""
    pieces = [""]
    for part in parts:
        if part == "*":
            pieces.append("")
        else:
            pieces[-1] += part[1:] if part.startswith("\\") else part
    return pieces


def _glob(pieces: Sequence[str], text: str) -> bool:
    """Whether the pieces follow each other in the text, the first at its start and the last at its end.

    Refused: a regular expression, which somebody's pattern could make run for ever.
    """
    first, *middle = pieces
    if not middle:
        return text == first
    last = middle.pop()
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def _numeric(argument: Any, path: tuple[str | int, ...]) -> _Test:
    """`["=", 5]`, or one bound, or a lower and an upper one."""
    if not isinstance(argument, list) or len(argument) not in (2, 4):
        raise PatternError(path, 'a comparison and a number, such as [">", 0] or [">", 0, "<=", 5]', argument)
    pairs = list(zip(argument[::2], argument[1::2], strict=True))
    for index, (name, number) in enumerate(pairs):
        if name not in _COMPARE:
            raise PatternError((*path, 2 * index), "one of " + ", ".join(_COMPARE), name)
        if not _is_number(number) or abs(number) > _MOST_NUMBER:
            raise PatternError((*path, 2 * index + 1), "a number between -5e9 and 5e9", number)
    if len(pairs) == 2 and not (pairs[0][0].startswith(">") and pairs[1][0].startswith("<")):
        raise PatternError(path, "a lower bound (> or >=), then an upper one (< or <=)", argument)
    tests = [(_COMPARE[name], number) for name, number in pairs]
    return lambda value: _is_number(value) and all(compare(value, number) for compare, number in tests)


def _cidr(argument: Any, path: tuple[str | int, ...]) -> _Test:
    try:
        network = ipaddress.ip_network(_text(argument, path), strict=False)
    except ValueError:
        raise PatternError(path, "an address range such as 10.0.0.0/24", argument) from None

    def inside(value: Any) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return inside


def _anything_but(argument: Any, path: tuple[str | int, ...]) -> _Test:
    """None of some values, or nothing that a comparison (with a list: any of several) holds of."""
    if isinstance(argument, dict):
        name, inner = _only(argument, path)
        if name not in _NEGATED:
            raise PatternError(path, "a value, a list of values, or one of " + ", ".join(_NEGATED), name)
        refused = [_TESTS[name](item, (*path, name)) for item in _listed(inner, (*path, name))]
    else:
        refused = [_plain(item, path) for item in _listed(argument, path)]
    return lambda value: not any(test(value) for test in refused)


def _listed(argument: Any, path: tuple[str | int, ...]) -> list[Any]:
    values = argument if isinstance(argument, list) else [argument]
    if not values:
        raise PatternError(path, "at least one value", argument)
    return values


def _plain(item: Any, path: tuple[str | int, ...]) -> _Test:
    if not (isinstance(item, str) or _is_number(item)):
        raise PatternError(path, "strings or numbers", item)
    return _exactly(item, path)


_NEGATED = ("prefix", "suffix", "equals-ignore-case", "wildcard")
_TESTS: dict[str, Callable[[Any, tuple[str | int, ...]], _Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _ignoring_case,
    "numeric": _numeric,
    "prefix": _of_strings(lambda wanted: lambda value: value.startswith(wanted)),
    "suffix": _of_strings(lambda wanted: lambda value: value.endswith(wanted)),
    "wildcard": _wildcard,
}
