"""How messages, ages and times look to people, and what of a message stands in JSON."""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from millrace.broker import Peeked
    from millrace.types import Death, Failure

_LEAST = 12
_COLOUR = re.compile(r"(\x1b\[[0-9;:]*m)")
_PLAIN = "\x1b[0m"
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"))


def age(seconds: float) -> str:
    """`3m 12s` for people; one or two units."""
    whole = int(seconds)
    for size, unit in _UNITS:
        if whole >= size:
            smaller = {"d": (3600, "h"), "h": (60, "m"), "m": (1, "s")}[unit]
            return f"{whole // size}{unit} {whole % size // smaller[0]}{smaller[1]}"
    return f"{seconds:.1f}s" if seconds < 10 else f"{whole}s"


def ago(at: float) -> str:
    """How long a moment (Unix seconds) is past; empty for a moment that never was."""
    return age(max(0.0, time.time() - at)) if at else ""


def moment(at: float) -> str:
    """A moment (Unix seconds) in local time; empty for one that never was."""
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds") if at else ""


def body_fields(body: bytes) -> dict[str, str]:
    """The body as text under `body`, or under `body_base64` when it is none."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def preview(body: bytes, width: int) -> str:
    """The beginning of a body on one line, or how long it is when it is no text."""
    try:
        return shorten(body.decode(), width)
    except UnicodeDecodeError:
        return f"{len(body):,} bytes"


def shorten(text: str, width: int) -> str:
    """The beginning of a text on one line; what does not print is left blank, as a terminal might obey it."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: width + 1])
    return line if len(line) <= width else line[: width - 1] + "…"


def printable(text: str) -> str:
    """A text of several lines without what a terminal would obey rather than print."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "�" for letter in text)


def coloured(text: str) -> str:
    """The same for what functions print: colours stay, and end where the text does."""
    if "\x1b" not in text:
        return printable(text)
    parts = _COLOUR.split(text)  # every second one is a colour
    kept = [part if index % 2 else printable(part) for index, part in enumerate(parts)]
    return "".join([*kept, _PLAIN] if len(parts) > 1 else kept)


def room(ids: Iterable[str], others: int) -> int:
    """Characters that a table leaves for its last column, beside the longest id and `others` for the rest."""
    return max(_LEAST, shutil.get_terminal_size().columns - max(map(len, ids), default=0) - others)


def message_fields(peeked: Peeked) -> dict[str, Any]:
    """A message in JSON, its death beside it when it is a dead letter."""
    message = peeked.message
    fields: dict[str, Any] = {
        "id": message.id,
        "state": peeked.state,
        "attempts": peeked.attempts,
        "sent_at": message.sent_at,
        "group": message.group,
        "attributes": message.attributes,
        **body_fields(message.body),
    }
    return fields if peeked.death is None else {**fields, "death": death_fields(peeked.death)}


def death_fields(death: Death) -> dict[str, Any]:
    """Why a message died, in JSON."""
    return {
        "reason": death.reason,
        "failure": failure_fields(death.failure),
        "attempts": death.attempts,
        "first_failed_at": death.first_failed_at,
        "last_failed_at": death.last_failed_at,
        "function": death.function,
        "version": death.version,
    }


def failure_fields(failure: Failure) -> dict[str, str]:
    """An error in JSON."""
    return {"type": failure.type, "message": failure.message, "traceback": failure.traceback}


def failure_line(failure: Failure) -> str:
    """An error on one line, as Python's last line of a traceback says it."""
    name = failure.type.removeprefix("builtins.")
    return f"{name}: {failure.message.splitlines()[0]}" if failure.message else name
