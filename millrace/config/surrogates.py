"""Letters that a file writes as escapes: JSON's pairs become one letter, half of a pair, which is no text, a fault."""

from __future__ import annotations

from typing import Any

from millrace.config.faults import Fault, Place

_ESCAPES = ("\\u", "\\U")
NO_TEXT = "half of a surrogate pair, which is no text"


def may_have(text: str) -> bool:
    """Whether there are escapes in it: a file's own letters are UTF-8."""
    return any(escape in text for escape in _ESCAPES)


def join_pairs(root: Any, source: str, faults: list[Fault], at: Place | None) -> None:
    """Mend the texts of a parser's nodes; halves become faults, and signs that they were there."""
    waiting, seen = [root], set()
    while waiting:
        raw = waiting.pop()
        if isinstance(raw, tuple):  # a key and its value
            waiting += raw
        elif id(raw) in seen:  # an alias, perhaps of what it is in
            continue
        elif isinstance(raw.value, str):
            raw.value, whole = joined(raw.value)
            if not whole:
                place = at or Place(source, raw.start_mark.line + 1, raw.start_mark.column + 1)
                faults.append(Fault(place, NO_TEXT, "a letter", repr(raw.value)))
        else:
            seen.add(id(raw))
            waiting += raw.value


def joined(text: str) -> tuple[str, bool]:
    """A text in which pairs are letters, and whether nothing else was wrong with it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        pairs = text.encode("utf-16-le", "surrogatepass")
        text = pairs.decode("utf-16-le", "replace")
        return text, text.encode("utf-16-le") == pairs
    return text, True
