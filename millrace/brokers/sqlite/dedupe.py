"""Keys of puts: within the window after a put, the next with its key is a duplicate of it, whatever became of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence

import msgspec

from millrace.brokers.sqlite import statements
from millrace.brokers.sqlite.queues import Queues
from millrace.types import Accepted, Put

_json = msgspec.json.Encoder()
_firsts = msgspec.json.Decoder(list[tuple[str, str, str, int]])
Key = tuple[str, str]  # queue, dedupe key


def key_of(put: Put) -> Key:
    """What tells a put from others of its queue."""
    return put.queue, put.dedupe


def known(connection: sqlite3.Connection, puts: Sequence[Put], now_s: float) -> dict[Key, Accepted]:
    """The keys of these puts that their queues know, each with the answer for whoever comes with it again."""
    asked = _array([key_of(put) for put in puts if put.dedupe])
    (found,) = connection.execute(statements.FIRSTS, (asked, now_s)).fetchone()
    return {(queue, key): Accepted(id, True, seq) for queue, key, id, seq in _firsts.decode(found)}


def unknown(puts: Sequence[Put], known: Container[Key]) -> list[int]:
    """Where among these puts those are that bring something new: without a key, or the first with theirs."""
    seen: set[Key] = set()
    places = []
    for place, put in enumerate(puts):
        key = key_of(put)
        if put.dedupe and (key in known or key in seen):
            continue
        seen.add(key)
        places.append(place)
    return places


def remember(
    connection: sqlite3.Connection, queues: Queues, fresh: Sequence[tuple[Put, Accepted]], now_s: float
) -> None:
    """Begin the windows of keys that were not known, and forget some whose window is over."""
    rows = [
        (*key_of(put), answer.id, answer.sequence, now_s + queues.get(connection, put.queue).dedupe_s)
        for put, answer in fresh
        if put.dedupe
    ]
    connection.execute(statements.REMEMBER_KEYS, (_array(rows),))
    connection.execute(statements.FORGET_KEYS, (now_s, 2 * len(rows)))


def _array(rows: Sequence[tuple[object, ...]]) -> str:
    return _json.encode(rows).decode()
