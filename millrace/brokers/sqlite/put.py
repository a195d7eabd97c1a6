"""Putting messages: one INSERT for all of them, which leaves out those that are known already."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import msgspec

from millrace.broker import Queue
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.queues import Queues
from millrace.errors import QueueFull
from millrace.types import Accepted, Put

INLINE_BYTES = 4096  # a larger body lies in `bodies`, so that leasing its message does not rewrite it
_ROWS = 512  # most rows of one statement
_PADDING = (None,) * 8
_json = msgspec.json.Encoder()


class Now(msgspec.Struct, frozen=True):
    """The moment at which a job runs: broker time, and Unix seconds for people."""

    broker_s: float
    wall_s: float


def put(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], now: Now) -> list[Accepted]:
    """Store all that is not known. Raises UnknownQueue and QueueFull before anything is written."""
    counts = Counter(each.queue for each in puts)
    for name, count in counts.items():
        queue = queues.get(connection, name)
        if queue.max_depth is not None:
            _check_depth(connection, queue, puts, count, now)
    return insert(connection, queues, puts, now)


def insert(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], now: Now) -> list[Accepted]:
    """Store all that is not known, however deep the queue: a function's outputs are not refused."""
    accepted: list[Accepted] = []
    for start in range(0, len(puts), _ROWS):
        accepted += _insert(connection, queues, puts[start : start + _ROWS], now)
    _count(connection, queues, puts, accepted)
    return accepted


def _insert(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], now: Now) -> list[Accepted]:
    rows = [_row(each, queues.get(connection, each.queue), now) for each in puts]
    width = statements.width(len(rows))
    rows += [_PADDING] * (width - len(rows))
    cursor = connection.execute(statements.insert(width), [*chain.from_iterable(rows), now.broker_s])
    if cursor.rowcount == len(puts):
        accepted = [Accepted(each.message.id) for each in puts]
    else:
        accepted = _without_known(connection, puts, (cursor.lastrowid or 0) - cursor.rowcount, cursor.rowcount)
    for each, answer in zip(puts, accepted, strict=True):
        if len(each.message.body) > INLINE_BYTES and not answer.duplicate:
            connection.execute(statements.INSERT_BODY, (each.message.body, each.queue, each.message.id))
    return accepted


def _row(each: Put, queue: Queue, now: Now) -> tuple[object, ...]:
    message = each.message
    delay_s = queue.delay_s if each.delay_s is None else each.delay_s
    ttl_s = each.ttl_s if each.ttl_s is not None else queue.ttl_s
    return (
        each.queue,
        message.id,
        now.broker_s + delay_s if delay_s > 0 else 0.0,
        None if ttl_s is None else now.broker_s + ttl_s,
        message.sent_at or now.wall_s,
        message.group if message.group or queue.fifo else None,
        _json.encode(message.attributes).decode() if message.attributes else "{}",
        message.body if len(message.body) <= INLINE_BYTES else None,
    )


def _without_known(connection: sqlite3.Connection, puts: Sequence[Put], before: int, count: int) -> list[Accepted]:
    """Tell apart, by what the INSERT left behind, what it stored and what was known."""
    fresh: set[tuple[str, str]] = set()
    if count:
        (found,) = connection.execute(statements.INSERTED, (before,)).fetchone()
        fresh = set(msgspec.json.decode(found, type=list[tuple[str, str]]))
    accepted = []
    for each in puts:
        key = (each.queue, each.message.id)
        accepted.append(Accepted(each.message.id, duplicate=key not in fresh))
        fresh.discard(key)  # the second of a pair within one put is a duplicate of the first
    return accepted


def _count(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], accepted: Sequence[Accepted]) -> None:
    counts = Counter(each.queue for each, answer in zip(puts, accepted, strict=True) if not answer.duplicate)
    for name, count in counts.items():
        add_held(connection, queues.get(connection, name), count)


def add_held(connection: sqlite3.Connection, queue: Queue, count: int) -> None:
    """Keep the count of a bounded queue."""
    if queue.max_depth is not None and count:
        connection.execute(statements.ADD_HELD, (count, queue.name))


def _check_depth(connection: sqlite3.Connection, queue: Queue, puts: Sequence[Put], count: int, now: Now) -> None:
    (held,) = connection.execute(statements.HELD, (queue.name,)).fetchone()
    limit = queue.max_depth or 0
    if held + count <= limit:
        return
    ids = {each.message.id for each in puts if each.queue == queue.name}
    (known,) = connection.execute(
        statements.KNOWN, (queue.name, _json.encode(list(ids)).decode(), now.broker_s)
    ).fetchone()
    fresh = len(ids) - len(msgspec.json.decode(known))
    if fresh and held + fresh > limit:
        raise QueueFull(
            f"queue {queue.name} holds {held} messages of at most {limit}; {fresh} more were refused",
            "try again when its function has caught up, or raise max_depth",
        )
