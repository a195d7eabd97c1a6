"""Putting messages: one INSERT for all of them, which leaves out those that are known already."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import msgspec

from millrace.broker import Queue
from millrace.brokers.limits import queue_full
from millrace.brokers.sqlite import dedupe, statements
from millrace.brokers.sqlite.queues import Queues
from millrace.types import Accepted, Put

INLINE_BYTES = 4096  # a larger body lies in `bodies`, so that leasing its message does not rewrite it
_ROWS = 512  # most rows of one statement
_PADDING = (None,) * 8
_places = msgspec.json.Decoder(list[tuple[str, str, int]])
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
        some = puts[start : start + _ROWS]
        store = _insert_keyed if any(each.dedupe for each in some) else _insert
        accepted += store(connection, queues, some, now)
    _count(connection, queues, puts, accepted)
    return accepted


def _insert_keyed(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], now: Now) -> list[Accepted]:
    """Store the first of each dedupe key that is not known; the others are answered with the first."""
    known = dedupe.known(connection, puts, now.broker_s)
    places = dedupe.unknown(puts, known)
    fresh = [puts[place] for place in places]
    answers = _insert(connection, queues, fresh, now) if fresh else []
    dedupe.remember(connection, queues, [*zip(fresh, answers, strict=True)], now.broker_s)
    for each, answer in zip(fresh, answers, strict=True):
        known[dedupe.key_of(each)] = Accepted(answer.id, True, answer.sequence)
    stored = dict(zip(places, answers, strict=True))
    return [stored.get(place) or known[dedupe.key_of(each)] for place, each in enumerate(puts)]


def _insert(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], now: Now) -> list[Accepted]:
    settings = [queues.get(connection, each.queue) for each in puts]
    rows = [_row(each, queue, now) for each, queue in zip(puts, settings, strict=True)]
    width = statements.width(len(rows))
    rows += [_PADDING] * (width - len(rows))
    placed = any(queue.fifo for queue in settings)
    if placed:
        highest = _place(connection, width)
        rows = [(highest - width + 1 + index, *row) for index, row in enumerate(rows)]
    cursor = connection.execute(statements.insert(width, placed=placed), [*chain.from_iterable(rows), now.broker_s])
    before = highest - width if placed else (cursor.lastrowid or 0) - cursor.rowcount
    if cursor.rowcount == len(puts):
        accepted = [Accepted(each.message.id, False, before + place) for place, each in enumerate(puts, 1)]
    else:
        accepted = _without_known(connection, puts, before if cursor.rowcount else None)
    for each, answer in zip(puts, accepted, strict=True):
        if len(each.message.body) > INLINE_BYTES and not answer.duplicate:
            connection.execute(statements.INSERT_BODY, (each.message.body, each.queue, each.message.id))
        if each.tried is not None and not answer.duplicate:
            tried = each.tried.attempts, each.tried.first_failed_at
            connection.execute(statements.RESUME, (*tried, each.queue, each.message.id))
    return accepted


def _place(connection: sqlite3.Connection, count: int) -> int:
    """The last of so many places in the order of a FIFO queue: higher than any before."""
    ((highest,),) = connection.execute(statements.PLACE, (count,)).fetchall()
    return int(highest)


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


def _without_known(connection: sqlite3.Connection, puts: Sequence[Put], before: int | None) -> list[Accepted]:
    """Tell apart what the INSERT stored, beyond the place `before`, and what was known; None when it stored nothing."""
    asked = _json.encode([(each.queue, each.message.id) for each in puts]).decode()
    (found,) = connection.execute(statements.PLACES, (asked,)).fetchone()
    places = {(queue, id): seq for queue, id, seq in _places.decode(found)}
    fresh = {key for key, seq in places.items() if before is not None and seq > before}
    accepted = []
    for each in puts:
        key = (each.queue, each.message.id)
        accepted.append(Accepted(each.message.id, key not in fresh, places.get(key, 0)))
        fresh.discard(key)  # the second of a pair within one put is a duplicate of the first
    return accepted


def _count(connection: sqlite3.Connection, queues: Queues, puts: Sequence[Put], accepted: Sequence[Accepted]) -> None:
    for name in {each.queue for each in puts}:
        queue = queues.get(connection, name)
        if queue.max_depth is not None:
            stored = [answer for each, answer in zip(puts, accepted, strict=True) if each.queue == name]
            add_held(connection, queue, sum(not answer.duplicate for answer in stored))


def add_held(connection: sqlite3.Connection, queue: Queue, count: int) -> None:
    """Keep the count of a bounded queue."""
    if queue.max_depth is not None and count:
        connection.execute(statements.ADD_HELD, (count, queue.name))


def _check_depth(connection: sqlite3.Connection, queue: Queue, puts: Sequence[Put], count: int, now: Now) -> None:
    (held,) = connection.execute(statements.HELD, (queue.name,)).fetchone()
    limit = queue.max_depth or 0
    if held + count <= limit:
        return
    mine = [each for each in puts if each.queue == queue.name]
    if any(each.dedupe for each in mine):
        known_keys = dedupe.known(connection, mine, now.broker_s)
        mine = [mine[place] for place in dedupe.unknown(mine, known_keys)]
    ids = {each.message.id for each in mine}
    (known,) = connection.execute(
        statements.KNOWN, (queue.name, _json.encode(list(ids)).decode(), now.broker_s)
    ).fetchone()
    fresh = len(ids) - len(msgspec.json.decode(known))
    if fresh and held + fresh > limit:
        raise queue_full(queue.name, held=held, limit=limit, refused=fresh)
