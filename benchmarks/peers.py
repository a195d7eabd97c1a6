"""The baseline of `peers`: other SQLite queues for Python, each used as its documentation says, each at FULL.

Every loop puts all bodies (by 100 where the library can), takes them, runs the no-op model, and takes them off the
queue in the way that loses none when the worker dies. What a library cannot do (store a result, remember ids, lease a
batch) it is spared: the comparison favours the peers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import litequeue
import persistqueue
from huey import SqliteHuey

Peer = Callable[[Path, list[bytes]], None]


def noop(body: bytes) -> dict[str, int]:
    return {"size": len(body)}


def by_hundred(bodies: list[bytes]) -> Iterator[list[bytes]]:
    return (bodies[start : start + 100] for start in range(0, len(bodies), 100))


def huey(folder: Path, bodies: list[bytes]) -> None:
    """Tasks with stored results; it has no call that puts many."""
    queue = SqliteHuey(filename=str(folder / "huey.db"), fsync=True)
    task = queue.task()(noop)
    for body in bodies:
        task(body)
    while (taken := queue.dequeue()) is not None:
        queue.execute(taken)
    queue.storage.close()


def lite(folder: Path, bodies: list[bytes]) -> None:
    """Put in transactions of 100; pop locks a message, done marks it. No results."""
    queue = litequeue.LiteQueue(folder / "lite.db")
    queue.conn.execute("PRAGMA synchronous = FULL")
    for part in by_hundred(bodies):
        with queue.transaction():
            for body in part:
                queue.put(body.decode("latin-1"))
    while (taken := queue.pop()) is not None:
        noop(taken.data.encode("latin-1"))
        queue.done(taken.message_id)
    queue.close()


def persist_ack(folder: Path, bodies: list[bytes]) -> None:
    """persist-queue's acknowledged queue: put, get and ack commit one by one. No results."""
    queue = persistqueue.SQLiteAckQueue(str(folder / "ack"), multithreading=True)
    for body in bodies:
        queue.put(body)
    while queue.size:
        taken = queue.get(block=False, raw=True)
        noop(taken["data"])
        queue.ack(id=taken["pqid"])
    queue.close()


def persist_grouped(folder: Path, bodies: list[bytes]) -> None:
    """persist-queue with commits of 100: only one consumer can be, there are no attempts and no results."""
    queue = persistqueue.SQLiteQueue(str(folder / "grouped"), multithreading=True, auto_commit=False)
    for part in by_hundred(bodies):
        for body in part:
            queue.put(body)
        queue.task_done()
    left = len(bodies)
    while left:
        part = [queue.get(block=False) for _ in range(min(100, left))]
        for body in part:
            noop(body)
        queue.task_done()
        left -= len(part)
    queue.close()


PEERS: dict[str, Peer] = {
    "huey": huey,
    "litequeue": lite,
    "persist-queue (ack)": persist_ack,
    "persist-queue (commits of 100)": persist_grouped,
}


def rate(peer: Peer, bodies: list[bytes], scratch: Callable[[], AbstractContextManager[Path]]) -> float:
    """Messages a second of one peer."""
    with scratch() as folder:
        began = time.perf_counter()
        peer(folder, bodies)
        return len(bodies) / (time.perf_counter() - began)
