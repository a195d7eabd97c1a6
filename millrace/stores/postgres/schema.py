"""What is made in the database, and how one version of it becomes the next."""

from __future__ import annotations

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from millrace.errors import StorageError
from millrace.stores.postgres.address import Address

VERSION = 1
LOCK = 0x6D696C6C  # "mill", the first half of our advisory locks: of a schema, and of each table with a stream

# Texts are compared by their bytes: keys of any script in one order, whatever the server's locale.
_TABLES = """
CREATE TABLE meta (name text PRIMARY KEY, value text NOT NULL);
COMMENT ON TABLE meta IS 'Settings of this schema: its version.';

CREATE TABLE records (
  id text COLLATE "C" NOT NULL,
  queue text COLLATE "C" NOT NULL,
  state text NOT NULL,
  doc text,
  outputs bytea,
  delivery text NOT NULL DEFAULT '',
  sequence bigint NOT NULL DEFAULT 0,
  noted_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (id, queue)
);
CREATE INDEX records_expiry ON records (expires_at);
COMMENT ON TABLE records IS 'What is known of each message until expires_at. state: noted (its put may never have come),
queued, done, dead; doc: its Record as JSON; outputs: what is still to be put into queues, in MessagePack;
delivery: the receipt that ended it, of a long one a hash; sequence: its place in its queue.';

CREATE TABLE note_keys (
  queue text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  id text NOT NULL,
  sequence bigint,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (queue, key)
);
CREATE INDEX note_keys_expiry ON note_keys (expires_at);
COMMENT ON TABLE note_keys IS 'Dedupe keys, each bound to the id of the first put; sequence is null until it is there.';

CREATE TABLE tables (
  name text COLLATE "C" PRIMARY KEY,
  key text NOT NULL,
  relation text NOT NULL UNIQUE,
  stream boolean NOT NULL
);
COMMENT ON TABLE tables IS 'Tables of projects: the field that rows are stored by, and the relation that has them.';

CREATE TABLE bookmarks (
  source text COLLATE "C" NOT NULL,
  mark text COLLATE "C" NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (source, mark)
);
COMMENT ON TABLE bookmarks IS 'Where each source was when it stopped.';
"""

_UPGRADES: dict[int, str] = {}  # what makes a schema of one version one of the next


async def migrate(connection: AsyncConnection[TupleRow], address: Address) -> None:
    """Make the schema, or bring it to this version; several processes may do it at once.

    Raises StorageError for a schema of a newer millrace, psycopg.Error.
    """
    schema = sql.Identifier(address.schema)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK, address.schema))
        found = await _version(connection, address.schema)
        if found == VERSION:
            return
        if found > VERSION:
            raise StorageError(
                f"{address} was made by a newer millrace (schema {found}, this one knows {VERSION})",
                "update millrace here, or name another schema with ?schema=",
            )
        if not found:
            if not await _exists(connection, address.schema):  # who may not create schemas may own one
                await connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
            await connection.execute(_TABLES)
        for version in range(found or VERSION, VERSION):
            await connection.execute(_UPGRADES[version].encode())
        await connection.execute(
            "INSERT INTO meta VALUES ('version', %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (str(VERSION),),
        )


async def _exists(connection: AsyncConnection[TupleRow], schema: str) -> bool:
    found = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,))
    return await found.fetchone() is not None


async def _version(connection: AsyncConnection[TupleRow], schema: str) -> int:
    """0 where there is nothing yet."""
    there = await connection.execute("SELECT to_regclass(%s)", (f"{schema}.meta",))
    if await there.fetchone() == (None,):
        return 0
    row = await (await connection.execute("SELECT value FROM meta WHERE name = 'version'")).fetchone()
    return int(row[0]) if row else 0


# ---- a project's table; {rows}, {changes} and {log} are names with their schema, {lock} is LOCK

# Row as json, not jsonb: it keeps every byte as it was put, and takes the escape of a NUL, which jsonb refuses.
ROWS = """
CREATE TABLE IF NOT EXISTS {rows} (key text COLLATE "C" PRIMARY KEY, row json NOT NULL)
"""

# Changes are numbered in the order of their commits, though identity columns are drawn before: whoever writes holds a
# lock, taken before the first row, until the commit. So no reader sees a number and misses a lower one that comes
# later. By a trigger, changes that people make with SQL are in the stream too.
STREAM = """
CREATE TABLE IF NOT EXISTS {changes} (
  sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  key text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  old text,
  new text,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE OR REPLACE FUNCTION {log}() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF TG_LEVEL = 'STATEMENT' THEN
    PERFORM pg_advisory_xact_lock({lock}, hashtext(TG_RELID::text));
  ELSIF TG_OP = 'INSERT' THEN
    INSERT INTO {changes} (key, kind, new) VALUES (NEW.key, 'insert', NEW.row::text);
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO {changes} (key, kind, old) VALUES (OLD.key, 'remove', OLD.row::text);
  ELSIF NEW.key <> OLD.key THEN
    INSERT INTO {changes} (key, kind, old) VALUES (OLD.key, 'remove', OLD.row::text);
    INSERT INTO {changes} (key, kind, new) VALUES (NEW.key, 'insert', NEW.row::text);
  ELSIF OLD.row::text <> NEW.row::text THEN
    INSERT INTO {changes} (key, kind, old, new) VALUES (OLD.key, 'modify', OLD.row::text, NEW.row::text);
  END IF;
  RETURN NULL;
END $body$;
CREATE OR REPLACE TRIGGER millrace_order BEFORE INSERT OR UPDATE OR DELETE ON {rows}
  FOR EACH STATEMENT EXECUTE FUNCTION {log}();
CREATE OR REPLACE TRIGGER millrace_log AFTER INSERT OR UPDATE OR DELETE ON {rows}
  FOR EACH ROW EXECUTE FUNCTION {log}();
"""
