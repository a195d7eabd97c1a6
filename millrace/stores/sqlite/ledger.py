"""A ledger in the embedded database: what it writes of a commit is one transaction with the tables' rows.

What is known of a message is one row of `notes` from its put to the end of its window; the records that Results reads
are written beside. Each step of a statement costs more than its work, so ids travel as one JSON array, and the rows of
a commit, the many of a busy queue, as one list of values: SQLite would read their JSON twice.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence

import msgspec

from millrace.database import Database, Participant
from millrace.errors import not_utf8
from millrace.store import CLOCKS_APART_S, Ledger, Noted
from millrace.stores.deliveries import delivery_of, ended, packed, unpacked
from millrace.stores.sqlite import notes
from millrace.stores.sqlite.chunks import insert
from millrace.types import Commit, Lease, Outcome, Put, Record

_TOPIC = "results"
_FOR_EVER_S = 9e15  # JSON knows no infinity
_SWEEP_EVERY = 500  # ended messages between two looks for what has expired, which take twice as many
_Ended = tuple[str, str, str, float, str | None]  # id, state, delivery, expires_at, the record as JSON
_encode = msgspec.json.Encoder().encode


class SqliteLedger(Ledger):
    """What became of messages in another broker; `participants` (SqliteTables) write their part of each commit."""

    def __init__(self, database: Database, participants: Sequence[Participant] = ()) -> None:
        self._database = database
        self._participants = participants
        self._ended = 0

    async def note(self, puts: Sequence[Put], windows_s: Sequence[float]) -> list[Noted]:
        keyed = any(put.dedupe for put in puts)
        return await self._database.write(
            lambda connection: self._note(connection, puts, windows_s), durable=keyed
        )  # a key's binding must outlive a power loss; a note that does not costs a copy

    def _note(self, connection: sqlite3.Connection, puts: Sequence[Put], windows_s: Sequence[float]) -> list[Noted]:
        now_s = self._database.now()
        answers: list[Noted | None] = [None] * len(puts)
        ids = [put.message.id for put in puts]
        for place, (put, window_s) in enumerate(zip(puts, windows_s, strict=True)):
            if put.dedupe:
                binding = (put.queue, put.dedupe, ids[place], now_s + window_s, now_s)
                ids[place], sequence = connection.execute(notes.BIND, binding).fetchone()
                answers[place] = None if sequence is None else Noted(ids[place], True, sequence, by_key=True)
        asked = [
            (put.queue, id, now_s + window_s)
            for put, id, window_s, answer in zip(puts, ids, windows_s, answers, strict=True)
            if answer is None
        ]
        found = {
            (queue, id): Noted(id, True, sequence)
            for queue, id, sequence in connection.execute(notes.KNOWN, (_array(asked), now_s)).fetchall()
        }
        connection.execute(notes.NOTE, (_array(asked), now_s, self._database.clock.now()))
        return [
            answer or found.get((put.queue, id)) or Noted(id)
            for put, id, answer in zip(puts, ids, answers, strict=True)
        ]

    async def confirm(self, puts: Sequence[Put], sequences: Sequence[int]) -> None:
        rows = [(p.queue, p.message.id, sequence, p.dedupe) for p, sequence in zip(puts, sequences, strict=True)]
        keyed = any(put.dedupe for put in puts)
        await self._run([notes.CONFIRM, notes.CONFIRM_KEYS] if keyed else [notes.CONFIRM], rows)

    async def know(self, puts: Sequence[Put], sequences: Sequence[int], windows_s: Sequence[float]) -> None:
        groups: defaultdict[tuple[str, float], list[str]] = defaultdict(list)
        for put, window_s in zip(puts, windows_s, strict=True):
            groups[put.queue, window_s].append(put.message.id)
        placed = [(put.queue, put.message.id, at, "") for put, at in zip(puts, sequences, strict=True) if at]

        def job(connection: sqlite3.Connection) -> None:
            now_s, noted_at = self._database.now(), self._database.clock.now()
            for (queue, window_s), ids in groups.items():
                connection.execute(notes.KNOW, (queue, _array(ids), noted_at, now_s + window_s))
            if placed:
                connection.execute(notes.CONFIRM, (_array(placed),))

        await self._database.write(job, durable=False)

    async def withdraw(self, puts: Sequence[Put]) -> None:
        await self._run(notes.WITHDRAW, [(put.queue, put.message.id, 0, put.dedupe) for put in puts])

    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        parameters = queue, _array(ids), self._database.now()
        found = await self._database.read(lambda connection: connection.execute(notes.UNSENT, parameters).fetchall())
        return {id: [] if puts is None else unpacked(puts) for id, puts in found}

    async def write(self, commit: Commit, *, dedupe_s: float, dead_s: float) -> list[Lease]:
        outcomes = ended(commit)
        self._ended += len(outcomes)
        sweep, self._ended = (self._ended, 0) if self._ended >= _SWEEP_EVERY else (0, self._ended)
        kept_s = {"done": dedupe_s, "dead": min(dead_s, _FOR_EVER_S)}

        def job(connection: sqlite3.Connection) -> list[Lease]:
            now_s = self._database.now()
            deliveries = [delivery_of(each.lease) for each in outcomes]
            fresh, late = _examined(connection, commit.queue, outcomes, deliveries, now_s)
            rows = [
                (
                    each.lease.message.id,
                    each.verdict,
                    delivery,
                    now_s + kept_s[each.verdict],
                    None if each.record is None else _encode(each.record).decode(),
                )
                for each, delivery in fresh
            ]
            self._end(connection, commit.queue, rows, now_s)
            outputs = [(commit.queue, each.lease.message.id, packed(each.puts)) for each, _ in fresh if each.puts]
            connection.executemany(notes.OUTPUT, outputs)
            for participant in self._participants:
                participant.apply(connection, Commit(commit.queue, [each for each, _ in fresh]))
            if sweep:
                for statement in notes.SWEEP:
                    connection.execute(statement, (now_s, 2 * sweep))
            return late

        return await self._database.write(job, wakes=[_TOPIC])

    def _end(self, connection: sqlite3.Connection, queue: str, rows: Sequence[_Ended], now_s: float) -> None:
        """Messages of a queue have ended, and have a record."""
        noted_at = self._database.clock.now()
        ended = [
            part for id, state, delivery, until, _ in rows for part in (queue, id, state, delivery, noted_at, until)
        ]
        insert(connection, notes.ENDED, notes.COLUMNS, ended, notes.ENDED_BEFORE)
        records = [part for id, state, _, until, doc in rows for part in (id, queue, state, now_s, until, doc)]
        insert(connection, notes.RECORD, notes.COLUMNS, records)

    async def sent(self, queue: str, ids: Sequence[str]) -> None:
        await self._write(notes.SENT, queue, _array(ids))

    async def bury(self, queue: str, records: Sequence[Record], *, dead_s: float) -> None:
        def job(connection: sqlite3.Connection) -> None:
            now_s = self._database.now()
            asked = queue, _array([(record.id, record.accepted_at) for record in records]), CLOCKS_APART_S
            unfinished = {id for (id,) in connection.execute(notes.UNFINISHED, asked).fetchall()}
            until = now_s + min(dead_s, _FOR_EVER_S)
            rows = [(each.id, "dead", "", until, _encode(each).decode()) for each in records if each.id in unfinished]
            self._end(connection, queue, rows, now_s)

        await self._database.write(job, wakes=[_TOPIC])

    async def doubt(self, queue: str, ids: Sequence[str] | None) -> None:
        await self._write(notes.DOUBT, queue, _chosen(ids))

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
        until = self._database.now() + dedupe_s
        state = "queued" if sure else "noted"

        def job(connection: sqlite3.Connection) -> None:
            (found,) = connection.execute(notes.MOVABLE, (source, _chosen(ids), _array(left), dead)).fetchone()
            for queue in {source, target}:
                connection.execute(notes.FORGET_RECORDS, (queue, found))
            connection.execute(notes.LEAVE, (source, found))
            connection.execute(notes.ARRIVE, (target, found, state, self._database.clock.now(), until))

        await self._database.write(job, wakes=[_TOPIC])

    async def forget(self, queue: str, ids: Sequence[str] | None, *, done: bool = False) -> None:
        statements = notes.FORGET_DONE if done else notes.FORGET

        def job(connection: sqlite3.Connection) -> None:
            for statement in statements:
                connection.execute(statement, (queue, _chosen(ids)))

        await self._database.write(job)

    async def expire(self, queue: str, ids: Sequence[str] | None, dedupe_s: float) -> None:
        parameters = queue, _chosen(ids), self._database.now() + dedupe_s

        def job(connection: sqlite3.Connection) -> None:
            for statement in notes.EXPIRE:
                connection.execute(statement, parameters)

        await self._database.write(job)

    async def _run(self, statements: Sequence[str], rows: Sequence[tuple[str, str, int, str]]) -> None:
        """Run statements whose one parameter are puts: queue, id, sequence, dedupe key."""
        asked = _array(rows)

        def job(connection: sqlite3.Connection) -> None:
            for statement in statements:
                connection.execute(statement, (asked,))

        await self._database.write(job, durable=False)

    async def _write(self, statement: str, *parameters: object) -> None:
        await self._database.write(lambda connection: connection.execute(statement, parameters))


def _examined(
    connection: sqlite3.Connection, queue: str, outcomes: Sequence[Outcome], deliveries: Sequence[str], now_s: float
) -> tuple[list[tuple[Outcome, str]], list[Lease]]:
    """The outcomes of messages that are not done yet, with their deliveries, and the leases of those that another has.

    Another delivery, that is: one that is done by its own comes from a commit that is repeated.
    """
    ids = _array([outcome.lease.message.id for outcome in outcomes])
    done = dict(connection.execute(notes.DONE, (queue, ids, now_s)).fetchall())
    both = list(zip(outcomes, deliveries, strict=True))
    if not done:
        return both, []
    fresh = [each for each in both if each[0].lease.message.id not in done]
    late = [each.lease for each, delivery in both if done.get(each.lease.message.id, delivery) != delivery]
    return fresh, late


def _array(values: Sequence[object]) -> str:
    try:
        return _encode(values).decode()
    except UnicodeEncodeError as error:  # here, since most are made before the database is asked
        raise not_utf8(error) from None


def _chosen(ids: Sequence[str] | None) -> str | None:
    return None if ids is None else _array(ids)
