"""The declared queues as the writer's jobs see them: read from the table, remembered for a second."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from difflib import get_close_matches

import msgspec

from millrace.broker import Queue, dead_letters
from millrace.brokers.sqlite import statements
from millrace.errors import UnknownQueue

_FRESH_S = 1.0  # another process may declare a queue anew: how long its old settings may still hold here


class Queues:
    """Declarations by name."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Queue, float]] = {}

    def get(self, connection: sqlite3.Connection, name: str) -> Queue:
        """A queue's settings. Raises UnknownQueue."""
        found = self._known.get(name)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        row = connection.execute(statements.QUEUE, (name,)).fetchone()
        if row is None:
            raise unknown(name, self.names(connection))
        queue = msgspec.convert(row, tuple[str, float, int, float | None, int | None, bool, float], strict=False)
        self._known[name] = (Queue(*queue), time.monotonic() + _FRESH_S)
        return self._known[name][0]

    def names(self, connection: sqlite3.Connection) -> list[str]:
        """All queues of the file, also those that no project names any more."""
        return [name for (name,) in connection.execute(statements.NAMES)]

    def declare(self, connection: sqlite3.Connection, queues: Sequence[Queue]) -> None:
        """Write declarations, each with its dead-letter queue."""
        self._known.clear()
        for queue in queues:
            connection.execute(statements.DECLARE, _row(queue))
            connection.execute(statements.RECOUNT, (queue.name,))
            connection.execute(statements.DECLARE_DEAD, _row(Queue(dead_letters(queue.name), queue.lease_s)))


def _row(queue: Queue) -> tuple[object, ...]:
    return (
        queue.name,
        queue.lease_s,
        queue.max_receives,
        queue.ttl_s,
        queue.max_depth,
        queue.fifo,
        queue.dedupe_s,
    )


def unknown(name: str, names: Sequence[str]) -> UnknownQueue:
    """Nobody declared that queue; perhaps one with nearly its name."""
    near = get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"declared are: {', '.join(sorted(names)) or 'none'}"
    return UnknownQueue(f"no queue {name!r} is declared", hint)
