"""Every statement of the embedded queue.

One step of a statement gives up the interpreter lock and must win it back, which next to a busy event loop costs more
than the work itself. So one statement serves many rows: rows go in as one VALUES list, rows come out folded into one
row of JSON, and sequence numbers travel as one JSON array.
"""

# ruff: noqa: S608 - no statement is built from anything but the constants of this file

from __future__ import annotations

from functools import cache

from millrace.broker import DEAD_FROM_ATTRIBUTE

# ---- queues

_SETTINGS = "name, lease_s, max_receives, ttl_s, max_depth, fifo, dedupe_s, delay_s, dead_to"  # as Queue has them
_DECLARED = f"INSERT INTO queues ({_SETTINGS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
DECLARE = f"""
{_DECLARED}
ON CONFLICT (name) DO UPDATE SET lease_s = excluded.lease_s, max_receives = excluded.max_receives,
  ttl_s = excluded.ttl_s, max_depth = excluded.max_depth, fifo = excluded.fifo, dedupe_s = excluded.dedupe_s,
  delay_s = excluded.delay_s, dead_to = excluded.dead_to
"""
# A dead-letter queue that was not declared itself keeps whatever it had.
DECLARE_DEAD = f"{_DECLARED} ON CONFLICT (name) DO NOTHING"
QUEUE = f"SELECT {_SETTINGS} FROM queues WHERE name = ?"
NAMES = "SELECT name FROM queues"
RECOUNT = """
UPDATE queues SET held = (SELECT count(*) FROM messages WHERE queue = name) WHERE name = ? AND max_depth IS NOT NULL
"""
HELD = "SELECT held FROM queues WHERE name = ?"
ADD_HELD = "UPDATE queues SET held = held + ? WHERE name = ?"

# ---- put

_COLUMNS = 8
_EXACT = 16  # rows; what SQS sends in one batch is ten


def width(rows: int) -> int:
    """The number of rows that the statement for so many has: beyond a few, powers of two, so that few are prepared.

    Padding is not free: SQLite walks through it as through any row.
    """
    return rows if rows <= _EXACT else 1 << (rows - 1).bit_length()


def _values(rows: int, columns: int) -> str:
    return ",".join([f"({','.join('?' * columns)})"] * rows)


@cache
def insert(rows: int, *, placed: bool = False) -> str:
    """Insert messages that neither their queue nor its records know; rows of NULLs are padding.

    Parameters: for each row, first its seq where it is `placed`, then queue, id, due_at, expires_at, sent_at, group,
    attributes, body; in the end broker time.
    """
    first, queue, id = ("seq,", "column2", "column3") if placed else ("", "column1", "column2")
    return f"""
INSERT INTO messages ({first} queue, id, due_at, expires_at, sent_at, "group", attributes, body)
SELECT * FROM (VALUES {_values(rows, _COLUMNS + placed)}) WHERE {id} IS NOT NULL AND NOT EXISTS (
  SELECT 1 FROM records WHERE records.id = {id} AND records.queue = {queue} AND records.expires_at > ?
)
ON CONFLICT (queue, id) DO NOTHING
"""


# SQLite gives the number of a deleted row again when that was the highest; the places of a FIFO queue only grow.
PLACE = """
INSERT INTO meta (key, value) VALUES ('sequence', ifnull((SELECT max(seq) FROM messages), 0) + ?1)
ON CONFLICT (key) DO UPDATE SET
  value = max(CAST(value AS INTEGER), ifnull((SELECT max(seq) FROM messages), 0)) + ?1
RETURNING CAST(value AS INTEGER)
"""
# The places of some messages: those of one INSERT follow all that were there.
PLACES = """
SELECT json_group_array(json_array(queue, messages.id, seq)) FROM json_each(?) AS asked CROSS JOIN messages
ON queue = json_extract(asked.value, '$[0]') AND messages.id = json_extract(asked.value, '$[1]')
"""
FIRSTS = """
SELECT json_group_array(json_array(queue, dedupes.key, dedupes.id, seq))
FROM json_each(?) AS asked CROSS JOIN dedupes
ON queue = json_extract(asked.value, '$[0]') AND dedupes.key = json_extract(asked.value, '$[1]')
WHERE expires_at > ?
"""
REMEMBER_KEYS = """
INSERT OR REPLACE INTO dedupes (queue, key, id, seq, expires_at)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
  json_extract(value, '$[3]'), json_extract(value, '$[4]') FROM json_each(?)
"""
FORGET_KEYS = """
DELETE FROM dedupes
WHERE (queue, key) IN (SELECT queue, key FROM dedupes WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""
INSERT_BODY = """
INSERT OR REPLACE INTO bodies (seq, body) SELECT seq, ? FROM messages WHERE queue = ? AND id = ?
"""
RESUME = "UPDATE messages SET attempts = ?, first_failed_at = ? WHERE queue = ? AND id = ?"
# How many of some ids a queue knows, for a put at max_depth: duplicates are welcome even then.
KNOWN = """
SELECT json_group_array(value) FROM json_each(?2)
WHERE EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND id = value)
  OR EXISTS (SELECT 1 FROM records WHERE records.id = value AND queue = ?1 AND expires_at > ?3)
"""

# ---- take

# What is folded out of each message: numbers and names as JSON, attributes as JSON objects, bodies end to end.
_FOLD = """
SELECT
  json_group_array(json_array(seq, due_at, attempts, receipt IS NOT NULL, expires_at - :now, id, "group", body IS NULL,
    ifnull(length(body), (SELECT length(body) FROM bodies WHERE bodies.seq = messages.seq)), first_taken_ms,
    first_failed_at)),
  group_concat(printf('%!.17g', sent_at)),
  group_concat(attributes),
  CAST(group_concat(body, '') AS BLOB)
"""
# What is due comes before what is ready: it has been waiting for longer, or its time has come.
CANDIDATES = f"""
WITH
  due AS (SELECT seq FROM messages WHERE queue = :queue AND due_at > 0 AND due_at <= :now ORDER BY due_at LIMIT :limit),
  ready AS (SELECT seq FROM messages WHERE queue = :queue AND due_at = 0 ORDER BY seq LIMIT :limit),
  chosen AS (SELECT seq FROM (SELECT seq FROM due UNION ALL SELECT seq FROM ready) LIMIT :limit)
{_FOLD}
FROM chosen CROSS JOIN messages USING (seq)
"""
# A group is closed to what comes behind a delayed message of it, and altogether while one of it is in flight.
_CLOSED = """
closed AS MATERIALIZED (
  SELECT "group" AS name, min(CASE WHEN receipt IS NULL THEN seq ELSE 0 END) AS since
  FROM messages WHERE queue = :queue AND due_at > :now GROUP BY "group"
)
"""
_OPEN = 'LEFT JOIN closed ON closed.name = messages."group" WHERE (since IS NULL OR seq < since)'
# The open ones among the oldest of a FIFO queue; a window, so that a closed group of a million is not walked through.
FIFO_NEAR = f"""
WITH {_CLOSED},
  due AS (SELECT seq FROM messages WHERE queue = :queue AND due_at > 0 AND due_at <= :now ORDER BY seq),
  ready AS (SELECT seq FROM messages WHERE queue = :queue AND due_at = 0 ORDER BY seq LIMIT :window),
  near AS (SELECT seq FROM due UNION ALL SELECT seq FROM ready),
  chosen AS (SELECT seq FROM near CROSS JOIN messages USING (seq) {_OPEN} ORDER BY seq LIMIT :limit)
{_FOLD}
FROM chosen CROSS JOIN messages USING (seq)
"""
# Where the window held none: the oldest open message of each group, group after group through the index.
FIFO_FAR = f"""
WITH RECURSIVE {_CLOSED},
  groups (name) AS (
    SELECT min("group") FROM messages WHERE queue = :queue AND "group" IS NOT NULL
    UNION ALL
    SELECT (SELECT min("group") FROM messages WHERE queue = :queue AND "group" > groups.name)
    FROM groups WHERE groups.name IS NOT NULL LIMIT :window
  ),
  heads AS (
    SELECT (SELECT min(seq) FROM messages WHERE queue = :queue AND "group" = groups.name) AS seq
    FROM groups WHERE groups.name IS NOT NULL
  ),
  chosen AS (
    SELECT seq FROM heads CROSS JOIN messages USING (seq) {_OPEN} AND due_at <= :now ORDER BY seq LIMIT :limit
  )
{_FOLD}
FROM chosen CROSS JOIN messages USING (seq)
"""
LEASE = """
UPDATE messages SET receipt = ?, due_at = ?, attempts = attempts + 1,
  first_taken_ms = CASE first_taken_ms WHEN 0 THEN ? ELSE first_taken_ms END
WHERE seq IN (SELECT value FROM json_each(?))
"""
# Before a lease: what is due of its groups is nobody's any more, or an old holder's work would overtake it.
REVOKE = """
UPDATE messages SET receipt = ? WHERE queue = ? AND due_at > 0 AND due_at <= ? AND receipt IS NOT NULL
  AND ifnull("group", '') IN (SELECT value FROM json_each(?))
"""
BODY = "SELECT body FROM bodies WHERE seq = ?"

# ---- wait

FIRST_DUE = """
SELECT CASE WHEN EXISTS (SELECT 1 FROM messages WHERE queue = ?1 AND due_at = 0) THEN 0.0
  ELSE (SELECT min(due_at) FROM messages WHERE queue = ?1) END
"""
NEXT_DUE = "SELECT min(due_at) FROM messages WHERE queue = ? AND due_at > ?"

# ---- settle and extend

# A negative number: its body lies aside. The plus keeps SQLite from walking through the whole queue.
OURS = """
SELECT json_group_array(CASE WHEN body IS NULL THEN -seq ELSE seq END) FROM messages
WHERE seq IN (SELECT value FROM json_each(?)) AND receipt = ? AND +queue = ?
"""
STANDING = """
SELECT json_group_array(CASE WHEN messages.seq IS NULL THEN 'gone'
  WHEN receipt IS NOT json_extract(asked.value, '$[1]') THEN 'lost' WHEN due_at > ? THEN 'held' ELSE 'over' END)
FROM json_each(?) AS asked LEFT JOIN messages ON messages.seq = json_extract(asked.value, '$[0]')
  AND messages.id = json_extract(asked.value, '$[2]') AND +queue = ?
"""
EXTEND = "UPDATE messages SET due_at = ? WHERE seq IN (SELECT value FROM json_each(?))"
DELETE = "DELETE FROM messages WHERE seq IN (SELECT value FROM json_each(?))"
DELETE_BODIES = "DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(?))"
RELEASE = """
UPDATE messages SET receipt = NULL, due_at = 0, attempts = attempts - 1,
  first_taken_ms = CASE attempts WHEN 1 THEN 0 ELSE first_taken_ms END
WHERE seq IN (SELECT value FROM json_each(?))
"""
RETRY = """
UPDATE messages SET receipt = NULL, due_at = retried.due_at,
  first_failed_at = CASE first_failed_at WHEN 0 THEN ? ELSE first_failed_at END
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS due_at FROM json_each(?)) AS retried
WHERE messages.seq = retried.seq
"""
_GROUP = """"group" = CASE WHEN ? THEN ifnull("group", '') ELSE nullif("group", '') END"""
# A dead letter keeps its place and its body. OR REPLACE: the dead letter of an id is its last.
BURY = """
UPDATE OR REPLACE messages SET queue = ?, receipt = NULL, due_at = 0, expires_at = NULL, death = buried.death
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS death FROM json_each(?)) AS buried
WHERE messages.seq = buried.seq AND +messages.queue = ?
"""
# In the queue that gets another's dead letters they are messages like any; one that has the id already is left alone.
REDIRECT = f"""
UPDATE OR IGNORE messages SET queue = ?, receipt = NULL, due_at = 0, expires_at = ?, attempts = 0, first_taken_ms = 0,
  first_failed_at = 0, death = redirected.death, {_GROUP},
  attributes = json_set(attributes, '$."{DEAD_FROM_ATTRIBUTE}"', messages.queue)
FROM (SELECT json_extract(value, '$[0]') AS seq, json_extract(value, '$[1]') AS death FROM json_each(?)) AS redirected
WHERE messages.seq = redirected.seq
"""


@cache
def record(rows: int) -> str:
    """Remember what became of messages; rows of NULLs are padding.

    Parameters: queue, finished_at, then for each row id, state, expires_at, doc.
    """
    return f"""
INSERT OR REPLACE INTO records (queue, finished_at, id, state, expires_at, doc)
SELECT ?, ?, * FROM (VALUES {_values(rows, 4)}) WHERE column1 IS NOT NULL
"""


FORGET_EXPIRED = """
DELETE FROM records
WHERE (id, queue) IN (SELECT id, queue FROM records WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)
"""

# ---- for people

COUNTS = """
SELECT
  (SELECT count(*) FROM messages WHERE queue = :queue AND due_at <= :now),
  (SELECT count(*) FROM messages WHERE queue = :queue AND due_at > :now AND receipt IS NOT NULL),
  (SELECT count(*) FROM messages WHERE queue = :queue AND due_at > :now AND receipt IS NULL),
  (SELECT count(*) FROM messages WHERE queue = :dead),
  min(
    ifnull((SELECT sent_at FROM messages WHERE queue = :queue AND due_at = 0 ORDER BY seq LIMIT 1), 9e99),
    ifnull((SELECT min(sent_at) FROM messages WHERE queue = :queue AND due_at > 0), 9e99)
  )
"""
_PEEKED = """
  seq, id, coalesce(messages.body, bodies.body), attributes, sent_at, ifnull("group", ''),
  due_at, receipt, attempts, death
"""
PEEK = f"""
WITH ready AS (SELECT seq FROM messages WHERE queue = :queue AND due_at = 0 ORDER BY seq LIMIT :limit),
  later AS (SELECT seq FROM messages WHERE queue = :queue AND due_at > 0 ORDER BY seq LIMIT :limit),
  chosen AS (SELECT seq FROM ready UNION ALL SELECT seq FROM later)
SELECT {_PEEKED} FROM chosen CROSS JOIN messages USING (seq) LEFT JOIN bodies USING (seq) ORDER BY seq LIMIT :limit
"""
PEEK_IDS = f"""
SELECT {_PEEKED} FROM messages LEFT JOIN bodies USING (seq)
WHERE queue = :queue AND id IN (SELECT value FROM json_each(:ids)) ORDER BY seq LIMIT :limit
"""
LAST = "SELECT ifnull(max(seq), 0) FROM messages"
# Some messages that are not in flight, up to a sequence number, so that a busy producer does not keep us for ever.
_IDLE = "queue = :queue AND seq <= :last AND (:all OR receipt IS NULL OR due_at <= :now)"
IDLE = f"SELECT seq, id FROM messages WHERE {_IDLE} LIMIT :limit"
IDLE_IDS = f"SELECT seq, id FROM messages WHERE {_IDLE} AND id IN (SELECT value FROM json_each(:ids)) LIMIT :limit"
# The same for a move: a message whose id the target has already stays where it is.
_FREE = "NOT EXISTS (SELECT 1 FROM messages AS other WHERE other.queue = :target AND other.id = messages.id)"
MOVABLE = f"{IDLE.removesuffix(' LIMIT :limit')} AND {_FREE} LIMIT :limit"
MOVABLE_IDS = f"{IDLE_IDS.removesuffix(' LIMIT :limit')} AND {_FREE} LIMIT :limit"
MOVE = f"""
UPDATE messages SET queue = ?, receipt = NULL, due_at = 0, expires_at = ?, attempts = 0, first_taken_ms = 0,
  first_failed_at = 0, death = NULL, {_GROUP},
  attributes = CASE WHEN death IS NULL THEN attributes
    ELSE json_remove(attributes, '$."{DEAD_FROM_ATTRIBUTE}"') END
WHERE seq IN (SELECT value FROM json_each(?))
"""
FORGET = "DELETE FROM records WHERE queue IN (?, ?) AND id IN (SELECT value FROM json_each(?))"
# A purged dead letter no longer keeps its record beyond the window.
RELEASE_RECORDS = """
UPDATE records SET expires_at = finished_at + (SELECT dedupe_s FROM queues WHERE name = records.queue)
WHERE queue = ?1 AND id IN (SELECT value FROM json_each(?2)) AND queue IN (SELECT name FROM queues)
"""

# ---- drop

DROPPED = "SELECT seq FROM messages WHERE queue IN (?, ?) AND seq <= ? LIMIT ?"
DROP = (
    "DELETE FROM records WHERE queue IN (?, ?)",
    "DELETE FROM dedupes WHERE queue IN (?, ?)",
    "DELETE FROM queues WHERE name IN (?, ?)",
)
