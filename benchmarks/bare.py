"""The baseline of `embedded`: what a good engineer writes with sqlite3 and a pipe when there is no millrace.

The same statements and the same durability: put by 100 in one commit; lease a batch in one commit; the child runs it;
result row, dedupe record and deletion in one commit. WAL, synchronous=FULL, prepared statements, one pass over
the rows by executemany, two batches under way so that the child never waits for a commit.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

SCHEMA = """
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY, queue TEXT NOT NULL, id TEXT NOT NULL, due_at REAL NOT NULL, receipt INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0, sent_at REAL NOT NULL, body BLOB NOT NULL);
CREATE UNIQUE INDEX messages_id ON messages (queue, id);
CREATE INDEX messages_due ON messages (queue, due_at);
CREATE TABLE rows (name TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID;
CREATE TABLE records (
  id TEXT NOT NULL, queue TEXT NOT NULL, state TEXT NOT NULL, finished_at REAL NOT NULL, expires_at REAL NOT NULL,
  doc TEXT, PRIMARY KEY (id, queue)) WITHOUT ROWID;
CREATE INDEX records_expiry ON records (expires_at);
"""
# A put looks for the id among what is queued and what is remembered, as a deduplicating queue must.
PUT = """
INSERT INTO messages (queue, id, due_at, sent_at, body)
SELECT 'work', ?1, 0, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM records WHERE id = ?1 AND queue = 'work')
ON CONFLICT DO NOTHING"""
TAKE = """
UPDATE messages SET due_at = ?, receipt = ?, attempts = attempts + 1
WHERE seq IN (SELECT seq FROM messages WHERE queue = 'work' AND due_at <= ? ORDER BY due_at, seq LIMIT ?)
RETURNING seq, id, body"""
ROW = "INSERT OR REPLACE INTO rows VALUES ('results', ?, ?)"
RECORD = "INSERT OR REPLACE INTO records VALUES (?, 'work', 'done', ?, ?, ?)"
DELETE = "DELETE FROM messages WHERE seq = ? AND receipt = ?"

Taken = list[tuple[int, str, bytes]]
LEASE_S = 30.0
DEDUPE_S = 86400.0


def new_id() -> str:
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


class BareLoop:
    """Open, run as often as liked, close."""

    def __init__(self, folder: Path, batch: int) -> None:
        self._batch = batch
        self._receipt = 0
        self._connection = sqlite3.connect(folder / "bare.db", isolation_level=None, cached_statements=64)
        self._connection.executescript(
            f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384; {SCHEMA}"
        )
        self._connection.execute("PRAGMA wal_autocheckpoint = 4000")
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._child = context.Process(target=serve, args=(theirs,), daemon=True)
        self._child.start()
        theirs.close()
        self._pipe.recv()  # ready

    def run(self, bodies: list[bytes]) -> float:
        """Put and process all; messages a second."""
        began = time.perf_counter()
        for start in range(0, len(bodies), 100):
            self._put(bodies[start : start + 100])
        self._drain()
        return len(bodies) / (time.perf_counter() - began)

    def close(self) -> None:
        self._pipe.send(None)
        self._child.join()
        self._connection.close()

    def _put(self, bodies: list[bytes]) -> None:
        now = time.time()
        with Transaction(self._connection):
            self._connection.executemany(PUT, [(new_id(), now, body) for body in bodies])

    def _drain(self) -> None:
        under_way: deque[tuple[int, Taken]] = deque()
        for receipt, taken in self._batches():
            self._pipe.send([body for _, _, body in taken])
            under_way.append((receipt, taken))
            if len(under_way) > 1:
                self._settle(*under_way.popleft(), self._pipe.recv())
        while under_way:
            self._settle(*under_way.popleft(), self._pipe.recv())

    def _batches(self) -> Iterator[tuple[int, Taken]]:
        while taken := self._take():
            yield self._receipt, taken

    def _take(self) -> Taken:
        self._receipt += 1
        now = time.time()
        with Transaction(self._connection):
            return self._connection.execute(TAKE, (now + LEASE_S, self._receipt, now, self._batch)).fetchall()

    def _settle(self, receipt: int, taken: Taken, results: list[bytes]) -> None:
        now = time.time()
        with Transaction(self._connection):
            self._connection.executemany(DELETE, [(seq, receipt) for seq, _, _ in taken])
            self._connection.executemany(ROW, [(id, value) for (_, id, _), value in zip(taken, results, strict=True)])
            self._connection.executemany(
                RECORD,
                [(id, now, now + DEDUPE_S, value.decode()) for (_, id, _), value in zip(taken, results, strict=True)],
            )


class Transaction:
    """BEGIN IMMEDIATE and COMMIT around a block."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def serve(pipe: Connection) -> None:
    """The child: the no-op model, results as JSON."""
    pipe.send("ready")
    while (bodies := pipe.recv()) is not None:
        pipe.send([json.dumps({"size": len(body)}).encode() for body in bodies])
