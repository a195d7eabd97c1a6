"""Every statement of the embedded ledger. A parameter `?2` that may be NULL is a JSON array of ids, NULL for all."""

# ruff: noqa: S608 - no statement is built from anything but the constants of this file

from __future__ import annotations

_THESE = "id IN (SELECT value FROM json_each(?2))"
_CHOSEN = f"queue = ?1 AND (?2 IS NULL OR {_THESE})"
_ASKED = "SELECT value ->> 0 AS queue, value ->> 1 AS id, value ->> 2 AS third, value ->> 3 AS key FROM json_each(?1)"

# ---- put

# Bind a key to an id, unless it is bound: queue, key, id, expires_at, now. What it is bound to, and where that is.
BIND = """
INSERT INTO note_keys (queue, key, id, expires_at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (queue, key) DO UPDATE SET
  id = CASE WHEN expires_at <= ?5 THEN excluded.id ELSE id END,
  sequence = CASE WHEN expires_at <= ?5 THEN NULL ELSE sequence END,
  expires_at = CASE WHEN expires_at <= ?5 THEN excluded.expires_at ELSE expires_at END
RETURNING id, sequence
"""
# Of some [queue, id, expires_at], those that are known at ?2.
KNOWN = f"""
SELECT n.queue, n.id, n.sequence FROM ({_ASKED}) a CROSS JOIN notes n ON n.queue = a.queue AND n.id = a.id
WHERE n.state != 'noted' AND n.expires_at > ?2
"""
# Note those of them that are not, or were until ?2; ?3 is Unix time.
NOTE = f"""
INSERT INTO notes (queue, id, state, noted_at, expires_at)
SELECT queue, id, 'noted', ?3, third FROM ({_ASKED}) WHERE true
ON CONFLICT (id, queue) DO UPDATE SET
  state = 'noted', sequence = 0, delivery = '', noted_at = excluded.noted_at, expires_at = excluded.expires_at
WHERE notes.expires_at <= ?2
"""
# The broker has these [queue, id, sequence, key].
CONFIRM = f"""
UPDATE notes SET state = CASE state WHEN 'noted' THEN 'queued' ELSE state END,
  sequence = CASE a.third WHEN 0 THEN sequence ELSE a.third END
FROM ({_ASKED}) a WHERE notes.queue = a.queue AND notes.id = a.id
"""
CONFIRM_KEYS = f"""
UPDATE note_keys SET sequence = a.third FROM ({_ASKED}) a
WHERE note_keys.queue = a.queue AND note_keys.key = a.key AND note_keys.sequence IS NULL AND a.key != ''
"""
# The broker has messages of a queue that nobody noted: queue, ids, Unix time, expires_at.
KNOW = """
INSERT INTO notes (queue, id, state, noted_at, expires_at)
SELECT ?1, value, 'queued', ?3, ?4 FROM json_each(?2) WHERE true
ON CONFLICT (id, queue) DO NOTHING
"""
WITHDRAW = (
    f"DELETE FROM notes WHERE state = 'noted' AND (queue, id) IN (SELECT queue, id FROM ({_ASKED}))",
    f"DELETE FROM note_keys WHERE sequence IS NULL AND (queue, key) IN (SELECT queue, key FROM ({_ASKED}))",
)

# ---- take and settle

# Of some messages of a queue, those that are done at ?3, with the outputs that wait.
UNSENT = f"""
SELECT n.id, o.puts FROM notes n LEFT JOIN outputs o ON o.queue = n.queue AND o.id = n.id
WHERE n.queue = ?1 AND n.{_THESE} AND n.state = 'done' AND n.expires_at > ?3
"""
DONE = f"SELECT id, delivery FROM notes WHERE queue = ?1 AND {_THESE} AND state = 'done' AND expires_at > ?3"
# Messages have ended: for `chunks.insert`. `noted_at` is Unix time, `finished_at` broker time.
ENDED = "INSERT INTO notes (queue, id, state, delivery, noted_at, expires_at)"
ENDED_BEFORE = """
ON CONFLICT (id, queue) DO UPDATE SET
  state = excluded.state, delivery = excluded.delivery, expires_at = excluded.expires_at
"""
RECORD = "INSERT OR REPLACE INTO records (id, queue, state, finished_at, expires_at, doc)"
COLUMNS = 6  # of either
OUTPUT = "INSERT OR REPLACE INTO outputs (queue, id, puts) VALUES (?, ?, ?)"
SENT = f"DELETE FROM outputs WHERE queue = ?1 AND {_THESE}"
# What has expired at ?1, up to ?2 of each.
SWEEP = (
    """
DELETE FROM outputs WHERE (queue, id) IN (SELECT queue, id FROM notes WHERE expires_at <= ?1 LIMIT ?2)
""",
    """
DELETE FROM notes WHERE (id, queue) IN (SELECT id, queue FROM notes WHERE expires_at <= ?1 LIMIT ?2)
""",
    """
DELETE FROM note_keys WHERE (queue, key) IN (SELECT queue, key FROM note_keys WHERE expires_at <= ?1 LIMIT ?2)
""",
    """
DELETE FROM records WHERE (id, queue) IN (SELECT id, queue FROM records WHERE expires_at <= ?1 LIMIT ?2)
""",
)

# ---- people

# Of some messages of a queue ([id, when accepted or 0]) those that nobody has finished, noted up to ?3 after that.
UNFINISHED = """
SELECT id FROM notes JOIN (SELECT value ->> 0 AS asked, value ->> 1 AS accepted_at FROM json_each(?2)) ON id = asked
WHERE queue = ?1 AND state IN ('noted', 'queued') AND (accepted_at = 0 OR noted_at <= accepted_at + ?3)
"""

DOUBT = f"UPDATE notes SET state = 'noted' WHERE state = 'queued' AND {_CHOSEN}"
MOVABLE = f"""
SELECT json_group_array(id) FROM notes
WHERE state != 'done' AND (state = 'dead') = ?4 AND {_CHOSEN} AND id NOT IN (SELECT value FROM json_each(?3))
"""
LEAVE = f"DELETE FROM notes WHERE queue = ?1 AND {_THESE}"
FORGET_RECORDS = f"DELETE FROM records WHERE queue = ?1 AND {_THESE}"
# Messages are in a queue now: ?3 is the state, ?4 now, ?5 until when they are known.
ARRIVE = """
INSERT INTO notes (queue, id, state, noted_at, expires_at) SELECT ?1, value, ?3, ?4, ?5 FROM json_each(?2) WHERE true
ON CONFLICT (id, queue) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at
WHERE notes.state != 'done'
"""
FORGET = (
    f"DELETE FROM outputs WHERE {_CHOSEN}",
    f"DELETE FROM notes WHERE {_CHOSEN}",
    f"DELETE FROM records WHERE {_CHOSEN}",
    "DELETE FROM note_keys WHERE queue = ?1 AND ?2 IS NULL",
)
FORGET_DONE = (
    f"DELETE FROM records WHERE {_CHOSEN} AND (queue, id) IN (SELECT queue, id FROM notes WHERE state = 'done')",
    f"DELETE FROM notes WHERE {_CHOSEN} AND state = 'done'",
)
# Dead letters are gone: what is known of dead messages expires at ?3.
EXPIRE = tuple(
    f"UPDATE {table} SET expires_at = min(expires_at, ?3) WHERE {_CHOSEN} AND state = 'dead'"
    for table in ("notes", "records")
)
