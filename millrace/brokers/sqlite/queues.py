"""The declared queues as the writer's jobs see them: read from the table, remembered for a second."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from millrace.broker import Queue, dead_letters
from millrace.brokers.names import check_dead_to, unknown_queue
from millrace.brokers.sqlite import statements

_Row = tuple[str, float, int | None, float | None, int | None, bool, float, float, str | None]
_FRESH_S = 1.0  # another process may declare a queue anew: how long its old settings may still hold here


class Queues:
    """Declarations by name."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Queue, float]] = {}

    def forget(self) -> None:
        """Read the table again; what somebody is just reading there is not remembered."""
        self._known = {}

    def get(self, connection: sqlite3.Connection, name: str) -> Queue:
        """A queue's settings. Raises UnknownQueue."""
        known = self._known
        found = known.get(name)
        if found is not None and time.monotonic() < found[1]:
            return found[0]
        row = connection.execute(statements.QUEUE, (name,)).fetchone()
        if row is None:
            raise unknown_queue(name, self.names(connection))
        queue = Queue(*msgspec.convert(row, _Row, strict=False))
        known[name] = (queue, time.monotonic() + _FRESH_S)
        return queue

    def names(self, connection: sqlite3.Connection) -> list[str]:
        """All queues of the file, also those that no project names any more."""
        return [name for (name,) in connection.execute(statements.NAMES)]

    def declare(self, connection: sqlite3.Connection, queues: Sequence[Queue]) -> None:
        """Write declarations, each with its dead-letter queue. Raises UnknownQueue and BrokerError for a `dead_to`."""
        self.forget()
        if any(queue.dead_to is not None for queue in queues):  # a look at all names, of which there may be thousands
            names = {*self.names(connection), *(queue.name for queue in queues)}
            for queue in queues:
                check_dead_to(queue, names)
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
        queue.delay_s,
        queue.dead_to,
    )
