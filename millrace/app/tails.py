"""The last lines of single invocations, for callers who ask for them: Lambda's `LogType: Tail`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from millrace.wire import Line

_MOST_CHARS = 8_192  # kept; what goes out is cut to Lambda's 4 KB of bytes


class Tail:
    """What one invocation printed and logged, its end when it was much."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, line: Line) -> None:
        """Add a line."""
        self.text = f"{self.text}{line.text}\n"[-_MOST_CHARS:]


class Tails:
    """Picks the lines of those invocations that somebody watches, by their message's id; all are passed on."""

    def __init__(self, pass_on: Callable[[str, Line], None] | None = None) -> None:
        self._pass_on = pass_on
        self._tails: dict[str, Tail] = {}

    @contextmanager
    def watch(self, id: str) -> Iterator[Tail]:
        """Collect the lines of a message while the block runs."""
        self._tails[id] = tail = Tail()
        try:
            yield tail
        finally:
            del self._tails[id]

    def hear(self, function: str, line: Line) -> None:
        """Told of every line of a function; what millrace itself says of a failure has no process, and is left out."""
        if self._tails and line.pid:
            for id in line.message_ids:
                if tail := self._tails.get(id):
                    tail.add(line)
        if self._pass_on is not None:
            self._pass_on(function, line)
