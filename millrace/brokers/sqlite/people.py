"""What people do with a queue: count it, look into it, move and purge its messages, a thousand in a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from millrace.broker import DEAD_SUFFIX, Peeked, Queue, Stats, dead_letters
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.put import Now, add_held
from millrace.types import Death, Message

CHUNK = 1000  # messages moved or purged in one transaction, so that leases can be renewed in between
_json = msgspec.json.Encoder()
Chosen = list[tuple[int, str]]  # seq, id


def stats(connection: sqlite3.Connection, queue: Queue, now: Now) -> Stats:
    """Count a queue; a dead-letter queue's messages are its depth, and all of them dead."""
    parameters = {"queue": queue.name, "dead": dead_letters(queue.name), "now": now.broker_s}
    depth, in_flight, delayed, dead, oldest = connection.execute(statements.COUNTS, parameters).fetchone()
    age_s = max(0.0, now.wall_s - oldest) if depth + in_flight + delayed else 0.0
    return Stats(queue.name, depth, in_flight, delayed, dead, age_s)


def peek(connection: sqlite3.Connection, queue: Queue, limit: int, ids: Sequence[str] | None, now: Now) -> list[Peeked]:
    """Messages with their states, oldest first."""
    statement = statements.PEEK if ids is None else statements.PEEK_IDS
    parameters = {"queue": queue.name, "limit": limit, "ids": _array(ids or ())}
    return [_peeked(row, now) for row in connection.execute(statement, parameters)]


def _peeked(row: tuple[int, str, bytes, str, float, str, float, int | None, int, str | None], now: Now) -> Peeked:
    _, id, body, attributes, sent_at, group, due_at, receipt, attempts, death = row
    message = Message(id, body, msgspec.json.decode(attributes, type=dict[str, str]), sent_at, group)
    state = "ready" if due_at <= now.broker_s else "delayed" if receipt is None else "in_flight"
    return Peeked(message, state, attempts, None if death is None else msgspec.json.decode(death, type=Death))


def last(connection: sqlite3.Connection) -> int:
    """The sequence number of the newest message of all."""
    (seq,) = connection.execute(statements.LAST).fetchone()
    return int(seq)


def idle(
    connection: sqlite3.Connection,
    queue: Queue,
    upto: int,
    ids: Sequence[str] | None,
    now: Now,
    target: str | None = None,
    *,
    in_flight: bool = False,
) -> Chosen:
    """Some messages that are not in flight, unless those are wanted too; for a move, only those new to the target."""
    plain, moving = (
        (statements.IDLE, statements.MOVABLE) if ids is None else (statements.IDLE_IDS, statements.MOVABLE_IDS)
    )
    parameters = {
        "queue": queue.name,
        "last": upto,
        "now": now.broker_s,
        "limit": CHUNK,
        "ids": _array(ids or ()),
        "target": target,
        "all": in_flight,
    }
    return connection.execute(plain if target is None else moving, parameters).fetchall()


def move(connection: sqlite3.Connection, source: Queue, target: Queue, chosen: Chosen, now: Now) -> None:
    """Make messages those of another queue, as if they had just been put there, but in their old order."""
    expires_at = None if target.ttl_s is None else now.broker_s + target.ttl_s
    sequence, ids = _split(chosen)
    connection.execute(statements.MOVE, (target.name, expires_at, target.fifo, sequence))
    connection.execute(statements.FORGET, (source.name.removesuffix(DEAD_SUFFIX), target.name, ids))
    add_held(connection, source, -len(chosen))
    add_held(connection, target, len(chosen))


def purge(connection: sqlite3.Connection, queue: Queue, chosen: Chosen) -> None:
    """Delete messages; the record of a dead letter expires from now on like any other."""
    sequence, ids = _split(chosen)
    connection.execute(statements.DELETE, (sequence,))
    connection.execute(statements.DELETE_BODIES, (sequence,))
    if queue.name.endswith(DEAD_SUFFIX):
        connection.execute(statements.RELEASE_RECORDS, (queue.name.removesuffix(DEAD_SUFFIX), ids))
    add_held(connection, queue, -len(chosen))


def drop(connection: sqlite3.Connection, names: Sequence[str], upto: int, limit: int) -> int:
    """Delete some messages of queues and of their dead-letter queues, leased or not; say how many."""
    count = 0
    for name in names:
        pair = (name, dead_letters(name))
        rows = connection.execute(statements.DROPPED, (*pair, upto, limit - count)).fetchall()
        sequence = _array([seq for (seq,) in rows])
        connection.execute(statements.DELETE, (sequence,))
        connection.execute(statements.DELETE_BODIES, (sequence,))
        count += len(rows)
    return count


def drop_declarations(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Delete queues without messages: what they remember, and that they are there."""
    for name in names:
        for statement in statements.DROP:
            connection.execute(statement, (name, dead_letters(name)))


def _split(chosen: Chosen) -> tuple[str, str]:
    return _array([seq for seq, _ in chosen]), _array([id for _, id in chosen])


def _array(values: Sequence[object]) -> str:
    return _json.encode(values).decode()
