"""A file of the version before is made one of this version when it is opened, with all that it holds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from millrace.broker import Queue
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database, salvage, schema
from millrace.types import Message, Put

VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE queues (
  name TEXT PRIMARY KEY,
  lease_s REAL NOT NULL,
  max_receives INTEGER NOT NULL,
  ttl_s REAL,
  max_depth INTEGER,
  fifo INTEGER NOT NULL,
  dedupe_s REAL NOT NULL,
  held INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE messages (
  seq INTEGER PRIMARY KEY,
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  due_at REAL NOT NULL DEFAULT 0,
  receipt INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  expires_at REAL,
  sent_at REAL NOT NULL,
  first_taken_ms INTEGER NOT NULL DEFAULT 0,
  first_failed_at REAL NOT NULL DEFAULT 0,
  "group" TEXT,
  attributes TEXT NOT NULL DEFAULT '{}',
  body BLOB,
  death TEXT
);
CREATE UNIQUE INDEX messages_id ON messages (queue, id);
CREATE INDEX messages_due ON messages (queue, due_at);
CREATE INDEX messages_group ON messages (queue, "group") WHERE "group" IS NOT NULL;
CREATE TABLE bodies (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE records (
  id TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  finished_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  doc TEXT,
  PRIMARY KEY (id, queue)
) WITHOUT ROWID;
CREATE INDEX records_expiry ON records (expires_at);
CREATE TABLE tables (name TEXT PRIMARY KEY COLLATE NOCASE, key TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE bookmarks (
  source TEXT NOT NULL,
  mark TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (source, mark)
) WITHOUT ROWID;
INSERT INTO queues VALUES ('work', 7.5, 4, 1e9, 10, 0, 60.0, 2), ('work.dead', 7.5, 5, NULL, NULL, 0, 86400.0, 0);
INSERT INTO messages (queue, id, attempts, sent_at, body) VALUES ('work', 'small', 2, 1.5, x'78');
INSERT INTO messages (queue, id, sent_at) VALUES ('work', 'large', 2.5);
INSERT INTO bodies VALUES (2, zeroblob(5000));
INSERT INTO records VALUES ('settled', 'work', 'done', 1.0, 9e15, NULL);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(VERSION_1)
    connection.close()
    return path


async def holds_all(path: Path) -> None:
    database = Database.open(path)
    try:
        broker = SqliteBroker(database)
        leases = await broker.take("work", 10)
        assert [(each.message.id, each.attempt, len(each.message.body)) for each in leases] == [
            ("small", 3, 1),
            ("large", 1, 5000),
        ]
        assert 7.0 < leases[0].expires_at - database.clock.monotonic() <= 7.5, "the queue's own lease"
        answers = await broker.put([Put("work", Message("settled")), Put("work", Message("new"), dedupe="k")])
        assert [answer.duplicate for answer in answers] == [True, False]
        await broker.declare([Queue("work", max_receives=None, delay_s=5.0, dead_to="letters"), Queue("letters")])
        assert (await broker.stats("work")).in_flight == 2
    finally:
        await database.close()


async def test_an_old_file_holds_all_that_it_held(old: Path) -> None:
    await holds_all(old)
    connection = sqlite3.connect(old)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    held = connection.execute("SELECT max_depth, held FROM queues WHERE name = 'work'").fetchone()
    connection.close()
    assert version == schema.VERSION
    assert "queues_1" not in tables
    assert held == (None, 3), "the count went along, and counted on"


async def test_a_file_is_upgraded_once(old: Path) -> None:
    for _ in range(2):
        await Database.open(old).close()
    await holds_all(old)


async def test_an_upgrade_that_fails_leaves_the_old_file(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schema.UPGRADES, 1, schema.UPGRADES[1] + "SELECT nothing;\n")
    with pytest.raises(Exception, match="nothing"):
        Database.open(old)
    monkeypatch.undo()
    await holds_all(old)


async def test_what_was_salvaged_of_an_old_file_is_upgraded(old: Path, tmp_path: Path) -> None:
    salvage.salvage(old, tmp_path / "saved.db")
    await holds_all(tmp_path / "saved.db")
