"""Taking messages: choose in one statement, bury what is past saving, lease the rest in a second."""

from __future__ import annotations

import math
import secrets
import sqlite3
from collections.abc import Sequence
from typing import Literal

import msgspec

from millrace.broker import DEAD_SUFFIX, Queue
from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.ended import Ended, bury, remember
from millrace.brokers.sqlite.put import Now
from millrace.brokers.sqlite.queues import Queues
from millrace.types import Death, Failure, Lease, Message, Record

_LIMIT = 10_000
_WINDOW = 1000  # how far a FIFO queue is searched for an open group before its groups are
_numbers = msgspec.json.Decoder(list[float])
_attributes = msgspec.json.Decoder(list[dict[str, str]])


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message that could be leased, but for what does not go through JSON unharmed."""

    seq: int
    due_at: float
    attempts: int
    leased: int
    left_s: float | None  # of its time to live
    id: str
    group: str | None
    aside: int  # its body lies in `bodies`
    size: int
    first_taken_ms: int  # Unix
    first_failed_at: float  # Unix seconds, to ten microseconds

    @property
    def expired(self) -> bool:
        """Whether its TTL is over."""
        return self.left_s is not None and self.left_s <= 0


_candidates = msgspec.json.Decoder(list[Candidate])
Found = tuple[Candidate, Message]


def take(
    connection: sqlite3.Connection,
    queues: Queues,
    queue: Queue,
    limit: int,
    max_bytes: int | None,
    now: Now,
    expires_at: float,
) -> tuple[list[Lease], int]:
    """Lease messages of a queue; the second number says how many were buried instead.

    Where all that was found had to be buried, it looks again: behind the dead there may be the living.
    """
    buried = 0
    while True:
        found = candidates(connection, queue, min(limit, _LIMIT), now.broker_s)
        past = {} if queue.name.endswith(DEAD_SUFFIX) else _past_saving(queue, found, now)
        _bury(connection, queues, queue, past, now)
        buried += len(past)
        if len(past) < len(found) or not found:
            break
    living = _within([each for each in found if each[0].seq not in past], max_bytes)
    return _lease(connection, queue, living, now, expires_at), buried


def candidates(connection: sqlite3.Connection, queue: Queue, limit: int, now_s: float) -> list[Found]:
    """The messages that are to be leased next, in order."""
    parameters = {"queue": queue.name, "limit": limit, "now": now_s, "window": max(_WINDOW, limit)}
    if not queue.fifo:
        found = _unfold(connection, statements.CANDIDATES, parameters)
        found.sort(key=lambda each: (each[0].due_at == 0, each[0].due_at, each[0].seq))
        return found
    near = _unfold(connection, statements.FIFO_NEAR, parameters)
    return sorted(near or _unfold(connection, statements.FIFO_FAR, parameters), key=lambda each: each[0].seq)


def _unfold(connection: sqlite3.Connection, statement: str, parameters: dict[str, object]) -> list[Found]:
    folded, sent, attributes, bodies = connection.execute(statement, parameters).fetchone()
    if sent is None:
        return []
    found = []
    start = 0
    columns = _numbers.decode(f"[{sent}]"), _attributes.decode(f"[{attributes}]")
    for row, sent_at, pairs in zip(_candidates.decode(folded), *columns, strict=True):
        body = b""
        if not row.aside:
            body = bodies[start : start + row.size]
            start += row.size
        found.append((row, Message(row.id, body, pairs, sent_at, row.group or "")))
    return found


def _past_saving(queue: Queue, found: Sequence[Found], now: Now) -> dict[int, tuple[Message, Death]]:
    past = {}
    for row, message in found:
        if row.expired or (queue.max_receives is not None and row.attempts >= queue.max_receives):
            failure = _expired(message, now) if row.expired else _used_up(row)
            reason: Literal["expired", "lost", "failed"]
            reason = "expired" if row.expired else "lost" if row.leased else "failed"
            first = row.first_failed_at or now.wall_s
            past[row.seq] = (message, Death(reason, failure, queue.name, row.attempts, first, now.wall_s))
    return past


def _expired(message: Message, now: Now) -> Failure:
    return Failure("Expired", f"not processed within its time to live; sent {now.wall_s - message.sent_at:.0f} s ago")


def _used_up(row: Candidate) -> Failure:
    if row.leased:
        return Failure("LeaseLost", f"{row.attempts} deliveries, and the last one's lease ran out unsettled")
    return Failure("Failed", f"{row.attempts} deliveries, none succeeded")


def _bury(
    connection: sqlite3.Connection,
    queues: Queues,
    queue: Queue,
    past: dict[int, tuple[Message, Death]],
    now: Now,
) -> None:
    if not past:
        return
    bury(connection, queues, queue, [(seq, death) for seq, (_, death) in past.items()], now)
    remember(connection, queue, [_record(queue, message, death) for message, death in past.values()], now)


def _record(queue: Queue, message: Message, death: Death) -> Ended:
    record = Record(
        message.id,
        queue.name,
        "dead",
        failure=death.failure,
        attempts=death.attempts,
        accepted_at=message.sent_at,
        finished_at=death.last_failed_at,
    )
    return message.id, "dead", record


def _within(found: list[Found], max_bytes: int | None) -> list[Found]:
    """Those whose bodies fit, and at least one."""
    if max_bytes is None:
        return found
    total = 0
    for index, (row, _) in enumerate(found):
        total += row.size
        if total > max_bytes and index:
            return found[:index]
    return found


def _lease(
    connection: sqlite3.Connection, queue: Queue, found: Sequence[Found], now: Now, expires_at: float
) -> list[Lease]:
    if not found:
        return []
    token = secrets.randbits(62)
    sequence = msgspec.json.encode([row.seq for row, _ in found]).decode()
    if queue.fifo:
        groups = msgspec.json.encode([message.group for _, message in found]).decode()
        connection.execute(statements.REVOKE, (secrets.randbits(62), queue.name, now.broker_s, groups))
    connection.execute(statements.LEASE, (token, now.broker_s + queue.lease_s, int(now.wall_s * 1000), sequence))
    now_s = expires_at - queue.lease_s
    return [
        Lease(
            queue.name,
            _whole(connection, row, message),
            (row.seq, token, row.id),
            row.attempts + 1,
            expires_at,
            row.first_failed_at,
            math.inf if row.left_s is None else now_s + row.left_s,
            row.first_taken_ms / 1000 or now.wall_s,
            row.seq,
        )
        for row, message in found
    ]


def _whole(connection: sqlite3.Connection, row: Candidate, message: Message) -> Message:
    if not row.aside:
        return message
    (body,) = connection.execute(statements.BODY, (row.seq,)).fetchone()
    return msgspec.structs.replace(message, body=body)
