"""Every statement of the ledger in PostgreSQL. `ids` that is null means all messages of a queue."""

# ruff: noqa: S608 - no statement is built from anything but the constants of this file

from __future__ import annotations

from psycopg import sql

# Bind keys to ids, unless they are bound; what they are bound to, and where that is.
BIND = sql.SQL("""
INSERT INTO note_keys AS k (queue, key, id, expires_at)
SELECT DISTINCT ON (queue, key) queue, key, id, now() + make_interval(secs => window_s)
FROM unnest(%(queues)s::text[], %(keys)s::text[], %(ids)s::text[], %(windows_s)s::float8[])
  WITH ORDINALITY AS asked (queue, key, id, window_s, place) ORDER BY queue, key, place
ON CONFLICT (queue, key) DO UPDATE SET
  id = CASE WHEN k.expires_at <= now() THEN excluded.id ELSE k.id END,
  sequence = CASE WHEN k.expires_at <= now() THEN NULL ELSE k.sequence END,
  expires_at = CASE WHEN k.expires_at <= now() THEN excluded.expires_at ELSE k.expires_at END
RETURNING queue, key, id, sequence
""")
# Note messages that are not, or were; those that are known.
NOTE = sql.SQL("""
WITH asked AS (
  SELECT DISTINCT ON (queue, id) * FROM unnest(%(queues)s::text[], %(ids)s::text[], %(windows_s)s::float8[])
    AS asked (queue, id, window_s) ORDER BY queue, id
), noted AS (
  INSERT INTO records AS r (queue, id, state, expires_at)
  SELECT queue, id, 'noted', now() + make_interval(secs => window_s) FROM asked
  ON CONFLICT (id, queue) DO UPDATE SET state = 'noted', doc = NULL, outputs = NULL, delivery = '', sequence = 0,
    noted_at = now(), finished_at = NULL, expires_at = excluded.expires_at
  WHERE r.expires_at <= now()
)
SELECT queue, id, sequence FROM asked JOIN records r USING (queue, id) WHERE r.state <> 'noted' AND r.expires_at > now()
""")
_ASKED = """
  SELECT * FROM unnest(%(queues)s::text[], %(ids)s::text[], %(keys)s::text[], %(sequences)s::bigint[])
    AS asked (queue, id, key, sequence)
"""
CONFIRM = sql.SQL(f"""
UPDATE records AS r SET state = CASE r.state WHEN 'noted' THEN 'queued' ELSE r.state END,
  sequence = CASE a.sequence WHEN 0 THEN r.sequence ELSE a.sequence END
FROM ({_ASKED}) AS a WHERE r.queue = a.queue AND r.id = a.id AND (r.state = 'noted' OR a.sequence <> 0)
""")
# The broker has these, which nobody noted.
KNOW = sql.SQL("""
INSERT INTO records (queue, id, state, sequence, expires_at)
SELECT queue, id, 'queued', sequence, now() + make_interval(secs => window_s)
FROM unnest(%(queues)s::text[], %(ids)s::text[], %(sequences)s::bigint[], %(windows_s)s::float8[])
  AS asked (queue, id, sequence, window_s)
ON CONFLICT (id, queue) DO NOTHING
""")
CONFIRM_KEYS = sql.SQL(f"""
UPDATE note_keys AS k SET sequence = a.sequence
FROM ({_ASKED}) AS a WHERE k.queue = a.queue AND k.key = a.key AND k.sequence IS NULL AND a.key <> ''
""")
WITHDRAW = sql.SQL(f"""
DELETE FROM records AS r USING ({_ASKED}) AS a WHERE r.queue = a.queue AND r.id = a.id AND r.state = 'noted'
""")
WITHDRAW_KEYS = sql.SQL(f"""
DELETE FROM note_keys AS k USING ({_ASKED}) AS a WHERE k.queue = a.queue AND k.key = a.key AND k.sequence IS NULL
""")
UNSENT = sql.SQL("""
SELECT id, outputs FROM records
WHERE queue = %(queue)s AND id = ANY(%(ids)s::text[]) AND state = 'done' AND expires_at > now()
""")
WRITE = """
WITH asked AS (
  SELECT * FROM unnest(%(ids)s::text[], %(states)s::text[], %(deliveries)s::text[], %(kept_s)s::float8[],
    %(docs)s::text[], %(outputs)b::bytea[]) AS asked (id, state, delivery, kept_s, doc, outputs) ORDER BY id
), won AS (
  INSERT INTO records AS r (id, queue, state, delivery, doc, outputs, finished_at, expires_at)
  SELECT id, %(queue)s, state, delivery, doc, outputs, now(), now() + make_interval(secs => kept_s) FROM asked
  ON CONFLICT (id, queue) DO UPDATE SET state = excluded.state, delivery = excluded.delivery, doc = excluded.doc,
    outputs = excluded.outputs, finished_at = excluded.finished_at, expires_at = excluded.expires_at
  WHERE r.state <> 'done' OR r.expires_at <= now()
  RETURNING r.id
){rows}
SELECT id FROM asked WHERE id NOT IN (SELECT id FROM won)
"""
# Which deliveries were first; asked afterwards, since a statement does not see what was committed while it waited.
FIRST = sql.SQL("SELECT id, delivery FROM records WHERE queue = %(queue)s AND id = ANY(%(ids)s::text[])")
SENT = sql.SQL("""
UPDATE records SET outputs = NULL WHERE queue = %(queue)s AND id = ANY(%(ids)s::text[]) AND outputs IS NOT NULL
""")
_CHOSEN = "queue = %(queue)s AND (%(ids)s::text[] IS NULL OR id = ANY(%(ids)s::text[]))"
# Messages of a queue that nobody has finished are dead letters.
BURY = sql.SQL("""
UPDATE records AS r SET state = 'dead', doc = a.doc, outputs = NULL, finished_at = now(),
  expires_at = now() + make_interval(secs => %(dead_s)s)
FROM unnest(%(ids)s::text[], %(docs)s::text[], %(accepted)s::double precision[]) AS a (id, doc, accepted_at)
WHERE r.queue = %(queue)s AND r.id = a.id AND r.state IN ('noted', 'queued')
  AND (a.accepted_at = 0 OR r.noted_at <= to_timestamp(a.accepted_at + %(apart_s)s))
""")
DOUBT = sql.SQL(f"UPDATE records SET state = 'noted' WHERE {_CHOSEN} AND state = 'queued'")
MOVED = sql.SQL(f"""
WITH gone AS (
  DELETE FROM records WHERE {_CHOSEN} AND state = ANY(%(movable)s::text[]) AND id <> ALL(%(left)s::text[]) RETURNING id
)
INSERT INTO records AS r (queue, id, state, expires_at)
SELECT %(target)s, id, %(state)s, now() + make_interval(secs => %(dedupe_s)s) FROM gone ORDER BY id
ON CONFLICT (id, queue) DO UPDATE SET state = excluded.state, doc = NULL, expires_at = excluded.expires_at
WHERE r.state <> 'done'
""")
MOVED_WITHIN = sql.SQL(f"""
UPDATE records SET state = %(state)s, doc = NULL, finished_at = NULL, noted_at = now(),
  expires_at = now() + make_interval(secs => %(dedupe_s)s)
WHERE {_CHOSEN} AND state = ANY(%(movable)s::text[]) AND id <> ALL(%(left)s::text[])
""")
FORGET = sql.SQL(f"DELETE FROM records WHERE {_CHOSEN}")
FORGET_KEYS = sql.SQL("DELETE FROM note_keys WHERE queue = %(queue)s AND %(ids)s::text[] IS NULL")
FORGET_DONE = sql.SQL(f"DELETE FROM records WHERE {_CHOSEN} AND state = 'done'")
EXPIRE = sql.SQL(f"""
UPDATE records SET expires_at = least(expires_at, now() + make_interval(secs => %(dedupe_s)s))
WHERE {_CHOSEN} AND state = 'dead'
""")
