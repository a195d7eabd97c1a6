"""Where messages end: dead letters keep their body in another queue, records remember what became of an id."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

import msgspec

from millrace.broker import Queue, dead_letters
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.put import Now, add_held
from millrace.brokers.sqlite.queues import Queues
from millrace.errors import UnknownQueue
from millrace.types import Death, Record, State

Ended = tuple[str, State, Record | None]  # id, done or dead, the record if there is one
_ROWS = 512
_PADDING = (None,) * 4
_FOR_EVER = 9e15  # a dead letter's record outlives the window: it expires when the dead letter is purged
_json = msgspec.json.Encoder()


def bury(
    connection: sqlite3.Connection, queues: Queues, queue: Queue, dead: Sequence[tuple[int, Death]], now: Now
) -> None:
    """Move messages to where the queue's dead letters go."""
    rows = _json.encode([(seq, _json.encode(death).decode()) for seq, death in dead]).decode()
    if _redirect(connection, queues, queue, rows, now) < len(dead):
        connection.execute(statements.BURY, (dead_letters(queue.name), rows, queue.name))
    add_held(connection, queue, -len(dead))


def _redirect(connection: sqlite3.Connection, queues: Queues, queue: Queue, rows: str, now: Now) -> int:
    """Make dead letters messages of the queue that gets them; how many, since it may be gone or have an id already."""
    if queue.dead_to is None:
        return 0
    try:
        target = queues.get(connection, queue.dead_to)
    except UnknownQueue:
        return 0
    expires_at = None if target.ttl_s is None else now.broker_s + target.ttl_s
    moved = connection.execute(statements.REDIRECT, (target.name, expires_at, target.fifo, rows)).rowcount
    add_held(connection, target, moved)
    return moved


def remember(connection: sqlite3.Connection, queue: Queue, ended: Sequence[Ended], now: Now) -> None:
    """Write the records of messages that have ended, and of ids alone where the queue has a window for them."""
    if queue.dedupe_s <= 0:
        ended = [each for each in ended if each[1] == "dead" or each[2] is not None]
    window_s = now.broker_s + queue.dedupe_s
    kept_until = {"done": window_s, "dead": _FOR_EVER if queue.dead_to is None else window_s}
    for start in range(0, len(ended), _ROWS):
        rows: list[tuple[object, ...]] = [
            (id, state, kept_until[state], None if record is None else _json.encode(record).decode())
            for id, state, record in ended[start : start + _ROWS]
        ]
        width = statements.width(len(rows))
        rows += [_PADDING] * (width - len(rows))
        connection.execute(statements.record(width), [queue.name, now.broker_s, *chain.from_iterable(rows)])
