"""An empty ledger on the bench, and the small messages that checks put, deliver and run."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from millrace.store import Ledger, Noted, Results, Table
from millrace.testing.bench import outcome
from millrace.types import Commit, Lease, Message, Outcome, Put, Row, Verdict

WINDOW_UNITS = 1000.0


@dataclass
class LedgerBench:
    """An empty ledger, the table `rows` (key `id`, with stream) and the results beside it, and its time.

    `unit_s` is the time in which the checks count windows, and `advance` lets it pass, by hand or really.
    """

    ledger: Ledger
    table: Table
    results: Results
    advance: Callable[[float], Awaitable[None]]
    unit_s: float = 10.0

    async def note(self, *puts: Put, units: float = WINDOW_UNITS) -> list[Noted]:
        """Note puts into queues with a window of so many units."""
        return await self.ledger.note(puts, [units * self.unit_s] * len(puts))

    async def queued(self, *puts: Put, sequence: int = 0, units: float = WINDOW_UNITS) -> None:
        """Note puts and confirm them."""
        await self.note(*puts, units=units)
        await self.ledger.confirm(puts, [sequence] * len(puts))

    async def knows(self, id: str, queue: str = "q") -> bool:
        """Whether a put of this id would be a duplicate."""
        return (await self.note(put(id, queue=queue)))[0].known

    async def write(
        self, *outcomes: Outcome, units: float = WINDOW_UNITS, dead_s: float = math.inf, queue: str = "q"
    ) -> list[Lease]:
        """Write a commit; done messages are known for so many units."""
        return await self.ledger.write(Commit(queue, outcomes), dedupe_s=units * self.unit_s, dead_s=dead_s)

    async def rows(self) -> dict[str, bytes]:
        """Every row."""
        return {row.key: row.value for row in await self.table.scan()}


FreshLedger = Callable[[], AbstractAsyncContextManager[LedgerBench]]


def put(id: str, key: str = "", queue: str = "q") -> Put:
    """A put of a small message."""
    return Put(queue, Message(id, b"\0body", {"a": "b"}, 1.0), dedupe=key)


def delivery(id: str, number: int = 1, queue: str = "q") -> Lease:
    """A delivery of a message, told from others by its number."""
    return Lease(queue, Message(id), ("receipt", id, number), number, 0.0)


def run(lease: Lease, value: bytes = b"1", verdict: Verdict = "done", keys: Sequence[str] = ()) -> Outcome:
    """The outcome of a run: rows of its id and of other keys, and two outputs."""
    id = lease.message.id
    rows = tuple(Row("rows", key, value) for key in (id, *keys))
    return outcome(lease, verdict, rows=rows, puts=(put(f"{id}.0", queue="out"), put(f"{id}.1", queue="out")))
