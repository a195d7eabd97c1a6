"""A fault: where it is, what is wrong, what was expected and what stood there instead, and the nearest thing known."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from millrace.errors import ConfigError

_FEW = 8
_LONGEST_SHOWN = 60


class Place(NamedTuple):
    """A spot in a file (line and column from 1), or, without a line, an argument such as `--set a=b`."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a project; a warning is worth saying but stops nothing."""

    place: Place
    what: str
    expected: str = ""
    got: str = ""
    near: str = ""
    severity: Literal["error", "warning"] = "error"

    @property
    def text(self) -> str:
        """The fault without its place: what; expected …, got …; did you mean …?"""
        detail = ", ".join(f"{word} {part}" for word, part in (("expected", self.expected), ("got", self.got)) if part)
        guess = f"did you mean {self.near}?" if self.near else ""
        return "; ".join(part for part in (self.what, detail, guess) if part)

    def __str__(self) -> str:
        return f"{self.place}: {'warning: ' if self.severity == 'warning' else ''}{self.text}"

    def as_dict(self) -> dict[str, Any]:
        """The fault for `millrace check --json`."""
        values = msgspec.structs.asdict(self)
        source, line, column = values.pop("place")
        return {"file": source, "line": line or None, "column": column or None, **values}


def refusal(faults: Iterable[Fault]) -> ConfigError:
    """The error that tells every fault at once, in the order of the file."""
    ordered = in_order(faults)
    count = "1 fault" if len(ordered) == 1 else f"{len(ordered)} faults"
    has = "the project file has" if any(fault.place.line for fault in ordered) else "the options have"
    return ConfigError(f"{has} {count}", "\n".join(str(fault) for fault in ordered), ordered)


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults once each, sorted by where they are."""
    return sorted(dict.fromkeys(faults), key=lambda fault: fault.place)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` was probably meant to be, quoted; empty when none is close."""
    folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name.casefold(), folded, 1, 0.6)
    return repr(folded[found[0]]) if found else ""


def one_of(names: Collection[str], near: str = "") -> str:
    """`one of a, b, c`: all of them when they are few or when nothing is near."""
    if not names:
        return ""
    if near and len(names) > _FEW:
        return ""
    return ("one of " if len(names) > 1 else "") + ", ".join(names)


def shown(value: Any) -> str:
    """A value as a fault shows it: scalars as written, long ones cut, the rest by kind."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
