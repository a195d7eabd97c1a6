"""Where messages end: dead letters keep their body in another queue, records remember what became of an id."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

import msgspec

from millrace.broker import Queue, dead_letters
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.put import Now, add_held
from millrace.types import Death, Record, State

Ended = tuple[str, State, Record | None]  # id, done or dead, the record if there is one
_ROWS = 512
_PADDING = (None,) * 4
_FOR_EVER = 9e15  # a dead letter's record outlives the window: it expires when the dead letter is purged
_json = msgspec.json.Encoder()


def bury(connection: sqlite3.Connection, queue: Queue, dead: Sequence[tuple[int, Death]]) -> None:
    """Move messages to the queue's dead letters."""
    rows = [(seq, _json.encode(death).decode()) for seq, death in dead]
    connection.execute(statements.BURY, (dead_letters(queue.name), _json.encode(rows).decode()))
    add_held(connection, queue, -len(dead))


def remember(connection: sqlite3.Connection, queue: Queue, ended: Sequence[Ended], now: Now) -> None:
    """Write the records of messages that have ended."""
    kept_until = {"done": now.broker_s + queue.dedupe_s, "dead": _FOR_EVER}
    for start in range(0, len(ended), _ROWS):
        rows: list[tuple[object, ...]] = [
            (id, state, kept_until[state], None if record is None else _json.encode(record).decode())
            for id, state, record in ended[start : start + _ROWS]
        ]
        width = statements.width(len(rows))
        rows += [_PADDING] * (width - len(rows))
        connection.execute(statements.record(width), [queue.name, now.broker_s, *chain.from_iterable(rows)])
