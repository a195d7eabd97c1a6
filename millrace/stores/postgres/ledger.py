"""A ledger in PostgreSQL: a commit is one statement, so one journey and one transaction.

    WITH asked AS (…the messages that ended),
         won AS (INSERT … ON CONFLICT DO UPDATE … WHERE NOT done RETURNING id),
         rows_0 AS (INSERT INTO table_predictions … JOIN won …), rows_1 …
    SELECT …those that did not win

Of two that commit the same message, the second waits for the first's row and then finds that it is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import msgspec
from psycopg import sql

from millrace.store import CLOCKS_APART_S, Ledger, Noted
from millrace.stores.deliveries import delivery_of, ended, packed, unpacked
from millrace.stores.postgres import notes
from millrace.stores.postgres.link import Link
from millrace.stores.postgres.listener import Listener
from millrace.stores.postgres.results import TOPIC
from millrace.stores.postgres.tables import PostgresTable, PostgresTables
from millrace.stores.postgres.texts import indexed, restored, stored
from millrace.types import Commit, Lease, Outcome, Put, Record

_FOR_EVER_S = 1e11  # some thousand years: what PostgreSQL's intervals and times can still add up


class PostgresLedger(Ledger):
    """What became of messages, beside the tables that their rows are written into."""

    def __init__(self, link: Link, listener: Listener, tables: PostgresTables) -> None:
        self._link = link
        self._listener = listener
        self._tables = tables

    async def note(self, puts: Sequence[Put], windows_s: Sequence[float]) -> list[Noted]:
        answers: list[Noted | None] = [None] * len(puts)
        bound = await self._bound(puts, windows_s)
        ids = [put.message.id for put in puts]
        for place, put in enumerate(puts):
            if put.dedupe:
                ids[place], sequence = bound[put.queue, indexed(put.dedupe)]
                answers[place] = None if sequence is None else Noted(ids[place], True, sequence, by_key=True)
        open_ = [place for place, answer in enumerate(answers) if answer is None]
        asked = {
            "queues": [puts[place].queue for place in open_],
            "ids": [indexed(ids[place]) for place in open_],
            "windows_s": [min(windows_s[place], _FOR_EVER_S) for place in open_],
        }
        known = {(queue, id): sequence for queue, id, sequence in await self._link.relaxed((notes.NOTE, asked))}
        for place in open_:
            found = known.get((puts[place].queue, indexed(ids[place])))
            answers[place] = Noted(ids[place], found is not None, found or 0)
        return [answer for answer in answers if answer is not None]

    async def _bound(
        self, puts: Sequence[Put], windows_s: Sequence[float]
    ) -> dict[tuple[str, str], tuple[str, int | None]]:
        """The id that each key is bound to, durably, and its place if that is known."""
        keyed = [place for place, put in enumerate(puts) if put.dedupe]
        if not keyed:
            return {}
        asked = {
            "queues": [puts[place].queue for place in keyed],
            "keys": [indexed(puts[place].dedupe) for place in keyed],
            "ids": [stored(puts[place].message.id) for place in keyed],
            "windows_s": [min(windows_s[place], _FOR_EVER_S) for place in keyed],
        }
        return {
            (queue, key): (restored(id), place) for queue, key, id, place in await self._link.rows(notes.BIND, asked)
        }

    async def confirm(self, puts: Sequence[Put], sequences: Sequence[int]) -> None:
        await self._put_steps(notes.CONFIRM, notes.CONFIRM_KEYS, puts, sequences)

    async def know(self, puts: Sequence[Put], sequences: Sequence[int], windows_s: Sequence[float]) -> None:
        asked = {
            "queues": [put.queue for put in puts],
            "ids": [indexed(put.message.id) for put in puts],
            "sequences": list(sequences),
            "windows_s": [min(window_s, _FOR_EVER_S) for window_s in windows_s],
        }
        await self._link.relaxed((notes.KNOW, asked))

    async def withdraw(self, puts: Sequence[Put]) -> None:
        await self._put_steps(notes.WITHDRAW, notes.WITHDRAW_KEYS, puts, [0] * len(puts))

    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        asked = {indexed(id): id for id in ids}
        found = await self._link.rows(notes.UNSENT, {"queue": queue, "ids": list(asked)})
        return {asked[id]: [] if outputs is None else unpacked(outputs) for id, outputs in found}

    async def write(self, commit: Commit, *, dedupe_s: float, dead_s: float) -> list[Lease]:
        outcomes = {indexed(outcome.lease.message.id): outcome for outcome in ended(commit)}
        tables = [self._tables.named(name) for name in sorted({row.table for row in commit.rows})]
        kept_s = {"done": min(dedupe_s, _FOR_EVER_S), "dead": min(dead_s, _FOR_EVER_S)}
        parameters: dict[str, object] = {
            "queue": commit.queue,
            "ids": list(outcomes),
            "states": [outcome.verdict for outcome in outcomes.values()],
            "deliveries": [delivery_of(outcome.lease) for outcome in outcomes.values()],
            "kept_s": [kept_s[outcome.verdict] for outcome in outcomes.values()],
            "docs": [_doc(outcome) for outcome in outcomes.values()],
            "outputs": [packed(outcome.puts) if outcome.puts else None for outcome in outcomes.values()],
        }
        for number, table in enumerate(tables):
            parameters |= _rows(number, table, outcomes)
        known = [id for (id,) in await self._link.rows(_statement(tuple(tables)), parameters)]
        self._listener.tell(TOPIC)
        for table in tables:
            table.tell()
        if not known:
            return []
        first: dict[str, str] = dict(await self._link.rows(notes.FIRST, {"queue": commit.queue, "ids": known}))
        return [outcomes[id].lease for id in known if first.get(id) != delivery_of(outcomes[id].lease)]

    async def sent(self, queue: str, ids: Sequence[str]) -> None:
        await self._link.relaxed((notes.SENT, {"queue": queue, "ids": [indexed(id) for id in ids]}))

    async def bury(self, queue: str, records: Sequence[Record], *, dead_s: float) -> None:
        parameters = {
            "queue": queue,
            "ids": [indexed(record.id) for record in records],
            "docs": [msgspec.json.encode(record).decode() for record in records],
            "accepted": [record.accepted_at for record in records],
            "apart_s": CLOCKS_APART_S,
            "dead_s": min(dead_s, _FOR_EVER_S),
        }
        await self._link.rows(notes.BURY, parameters)
        self._listener.tell(TOPIC)

    async def doubt(self, queue: str, ids: Sequence[str] | None) -> None:
        await self._link.rows(notes.DOUBT, _chosen(queue, ids))

    async def moved(
        self,
        source: str,
        target: str,
        ids: Sequence[str] | None,
        left: Sequence[str],
        *,
        dedupe_s: float,
        sure: bool,
        dead: bool,
    ) -> None:
        parameters = {
            "target": target,
            "left": [indexed(id) for id in left],
            "movable": ["dead"] if dead else ["noted", "queued"],
            "state": "queued" if sure else "noted",
            "dedupe_s": min(dedupe_s, _FOR_EVER_S),
        }
        statement = notes.MOVED_WITHIN if source == target else notes.MOVED  # one statement sees no row twice
        await self._link.rows(statement, _chosen(source, ids) | parameters)

    async def forget(self, queue: str, ids: Sequence[str] | None, *, done: bool = False) -> None:
        chosen = _chosen(queue, ids)
        steps = [notes.FORGET_DONE] if done else [notes.FORGET, notes.FORGET_KEYS]
        await self._link.together(*((step, chosen) for step in steps))

    async def expire(self, queue: str, ids: Sequence[str] | None, dedupe_s: float) -> None:
        await self._link.rows(notes.EXPIRE, _chosen(queue, ids) | {"dedupe_s": min(dedupe_s, _FOR_EVER_S)})

    async def _put_steps(
        self, of_ids: sql.SQL, of_keys: sql.SQL, puts: Sequence[Put], sequences: Sequence[int]
    ) -> None:
        parameters = {
            "queues": [put.queue for put in puts],
            "ids": [indexed(put.message.id) for put in puts],
            "keys": [indexed(put.dedupe) for put in puts],
            "sequences": list(sequences),
        }
        steps = [(of_ids, parameters)]
        if any(put.dedupe for put in puts):
            steps.append((of_keys, parameters))
        await self._link.relaxed(*steps)


@lru_cache(maxsize=256)
def _statement(tables: tuple[PostgresTable, ...]) -> bytes:
    """The commit's statement for rows in these tables."""
    parts = [f", rows_{number} AS ({table.upsert(number)})" for number, table in enumerate(tables)]
    return notes.WRITE.format(rows="".join(parts)).encode()


def _rows(number: int, table: PostgresTable, outcomes: dict[str, Outcome]) -> dict[str, object]:
    """The rows of one table, each with the message that it hangs on."""
    mine = [(id, row) for id, outcome in outcomes.items() for row in outcome.rows if row.table == table.name]
    return {
        f"ids_{number}": [id for id, _ in mine],
        f"keys_{number}": [stored(row.key) for _, row in mine],
        f"values_{number}": [row.value.decode() for _, row in mine],
    }


def _doc(outcome: Outcome) -> str | None:
    return None if outcome.record is None else msgspec.json.encode(outcome.record).decode()


def _chosen(queue: str, ids: Sequence[str] | None) -> dict[str, object]:
    return {"queue": queue, "ids": None if ids is None else [indexed(id) for id in ids]}
