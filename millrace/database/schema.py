"""The tables of the embedded database, each with what its columns mean."""

from __future__ import annotations

VERSION = 2  # PRAGMA user_version; a file with a higher one was made by a newer millrace

META = """
-- One row per setting of the file itself: the anchor of broker time (see machine.py), and the highest place that was
-- given in a FIFO queue.
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

QUEUES = """
-- Declared queues. `held` counts the queue's messages, and only where max_depth bounds it.
CREATE TABLE IF NOT EXISTS queues (
  name TEXT PRIMARY KEY,
  lease_s REAL NOT NULL,
  max_receives INTEGER,
  ttl_s REAL,
  max_depth INTEGER,
  fifo INTEGER NOT NULL,
  dedupe_s REAL NOT NULL,
  held INTEGER NOT NULL DEFAULT 0,
  delay_s REAL NOT NULL DEFAULT 0,
  dead_to TEXT
) WITHOUT ROWID;
"""

MESSAGES = """
-- Messages, dead letters included. due_at and expires_at are broker time (Database.now); sent_at and first_failed_at
-- are Unix seconds, first_taken_ms Unix milliseconds. due_at 0 is ready at once, so that no clock can hide it; else it
-- is the end of a delay or a lease: a message whose lease ran out is simply due again. `body` is NULL when it is in
-- `bodies`, `group` NULL outside FIFO queues, where it needs no index.
CREATE TABLE IF NOT EXISTS messages (
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
CREATE UNIQUE INDEX IF NOT EXISTS messages_id ON messages (queue, id);
CREATE INDEX IF NOT EXISTS messages_due ON messages (queue, due_at);
CREATE INDEX IF NOT EXISTS messages_group ON messages (queue, "group") WHERE "group" IS NOT NULL;
-- Bodies too large to be rewritten each time that their message is leased.
CREATE TABLE IF NOT EXISTS bodies (seq INTEGER PRIMARY KEY, body BLOB NOT NULL);
"""

RECORDS = """
-- What became of each message, and at once the memory of its id until expires_at. Both times are broker time. The
-- record of a dead letter does not expire before the dead letter is purged or moved.
-- `doc` is the Record as JSON, NULL when the outcome had none. Ids begin with the time: rows are appended.
CREATE TABLE IF NOT EXISTS records (
  id TEXT NOT NULL,
  queue TEXT NOT NULL,
  state TEXT NOT NULL,
  finished_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  doc TEXT,
  PRIMARY KEY (id, queue)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS records_expiry ON records (expires_at);
"""

DEDUPES = """
-- Keys of puts, each with the message that was first under it, until expires_at (broker time).
CREATE TABLE IF NOT EXISTS dedupes (
  queue TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dedupes_expiry ON dedupes (expires_at);
"""

TABLES = """
-- Declared tables; rows are in table_<name>, changes in changes_<name> (see stores/sqlite). SQLite's table names know
-- no case, so neither do these.
CREATE TABLE IF NOT EXISTS tables (name TEXT PRIMARY KEY COLLATE NOCASE, key TEXT NOT NULL) WITHOUT ROWID;
"""

BOOKMARKS = """
-- Where each source was when it stopped.
CREATE TABLE IF NOT EXISTS bookmarks (
  source TEXT NOT NULL,
  mark TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (source, mark)
) WITHOUT ROWID;
"""

NOTES = """
-- What a ledger knows of messages in another broker, until expires_at (broker time). `state` is noted (its put may
-- never have come), queued, done or dead; `sequence` its place there, `delivery` which delivery of it ended it;
-- noted_at is Unix seconds.
CREATE TABLE IF NOT EXISTS notes (
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL,
  sequence INTEGER NOT NULL DEFAULT 0,
  delivery TEXT NOT NULL DEFAULT '',
  noted_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (id, queue)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS notes_expiry ON notes (expires_at);
-- Dedupe keys of puts into another broker, each bound to an id; `sequence` is NULL until the put is confirmed.
CREATE TABLE IF NOT EXISTS note_keys (
  queue TEXT NOT NULL,
  key TEXT NOT NULL,
  id TEXT NOT NULL,
  sequence INTEGER,
  expires_at REAL NOT NULL,
  PRIMARY KEY (queue, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS note_keys_expiry ON note_keys (expires_at);
-- Outputs of a message that are still to be put into another broker: `puts` in MessagePack.
CREATE TABLE IF NOT EXISTS outputs (
  queue TEXT NOT NULL,
  id TEXT NOT NULL,
  puts BLOB NOT NULL,
  PRIMARY KEY (queue, id)
) WITHOUT ROWID;
"""

# Several statements a string, each ended by a semicolon at the end of its line.
ALL = (META, QUEUES, MESSAGES, RECORDS, DEDUPES, TABLES, BOOKMARKS, NOTES)

# What makes a file of one version one of the next, before ALL adds what is not there.
UPGRADES = {
    1: "ALTER TABLE queues RENAME TO queues_1;"
    + QUEUES
    + """
INSERT INTO queues (name, lease_s, max_receives, ttl_s, max_depth, fifo, dedupe_s, held)
SELECT name, lease_s, max_receives, ttl_s, max_depth, fifo, dedupe_s, held FROM queues_1;
DROP TABLE queues_1;
""",
}
