"""What a suite needs to hold a broker to its contract, and the small words that the checks are written in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from millrace.broker import Broker, Peeked, Queue, dead_letters, handle_of, lease_of
from millrace.errors import BrokerError
from millrace.store import Results, Table
from millrace.types import Commit, Death, Failure, Lease, Message, Outcome, Put, Record, Row, Verdict

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
WORK = "work"
_PATIENCE_S = 60.0  # of real time, for what should happen at once


@dataclass
class BrokerBench:
    """An empty broker and what the suite may do with it.

    `advance` lets time pass for the broker: ManualClock's by hand, or really. `unit_s` is the time in which the checks
    count leases, delays and windows: small where time really passes. `reopen` closes the broker and opens it on the
    same storage, as after a crash; durable brokers must have it. `table` (named `rows`, key `id`) and `results` are
    those that take part in the settles of a transactional broker.
    """

    broker: Broker
    advance: Callable[[float], Awaitable[None]]
    unit_s: float = 10.0
    reopen: Callable[[], Awaitable[Broker]] | None = None
    table: Table | None = None
    results: Results | None = None

    async def declare(self, name: str = WORK, **settings: Any) -> None:
        """Declare a queue whose leases last ten units."""
        await self.broker.declare([Queue(name, **{"lease_s": 10 * self.unit_s} | settings)])

    async def pass_units(self, units: float) -> None:
        """Let that many units of time pass."""
        await self.advance(units * self.unit_s)

    async def put(self, *ids: str, queue: str = WORK, body: bytes = b"x", group: str = "", **how: Any) -> list[bool]:
        """Put messages; say of each whether it was a duplicate."""
        puts = [Put(queue, Message(id, body, sent_at=1.0, group=group), **how) for id in ids]
        return [answer.duplicate for answer in await self.broker.put(puts)]

    async def take(
        self, limit: int = 100, *, queue: str = WORK, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        """Take messages."""
        return await self.broker.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s)

    async def taken(self, limit: int = 100, *, queue: str = WORK, lease_s: float | None = None) -> list[str]:
        """The ids of taken messages, which stay leased."""
        return ids(await self.take(limit, queue=queue, lease_s=lease_s))

    async def leased(self, limit: int = 100, *, queue: str = WORK) -> dict[str, Lease]:
        """Taken messages by their ids, in whatever order they came."""
        return {lease.message.id: lease for lease in await self.take(limit, queue=queue)}

    async def settle(self, leases: Sequence[Lease], verdict: Verdict = "done", **how: Any) -> list[str]:
        """Settle leases alike; the ids of those that were lost."""
        queue = leases[0].queue if leases else WORK
        return ids(await self.broker.settle(Commit(queue, [outcome(lease, verdict, **how) for lease in leases])))

    async def dead(self, queue: str = WORK) -> list[Peeked]:
        """A queue's dead letters."""
        return await self.broker.peek(dead_letters(queue), 1000)

    async def waiting(self, queue: str = WORK) -> list[str]:
        """The ids of all of a queue's messages, in flight or not."""
        return [peeked.message.id for peeked in await self.broker.peek(queue, 1000)]

    async def until_done(self, doing: Awaitable[T]) -> T:
        """Let time pass, a unit at a time, until something is done."""
        task = asyncio.ensure_future(doing)
        async with asyncio.timeout(_PATIENCE_S):
            while not task.done():
                await self.pass_units(1)
                await asyncio.sleep(0)
        return task.result()


def ids(leases: Sequence[Lease]) -> list[str]:
    """The ids of leased messages."""
    return [lease.message.id for lease in leases]


def outcome(lease: Lease, verdict: Verdict = "done", **how: Any) -> Outcome:
    """An outcome with the record and the death that its verdict needs."""
    id = lease.message.id
    if verdict in ("done", "dead"):
        how.setdefault("record", Record(id, lease.queue, verdict, attempts=lease.attempt, finished_at=2.0))
    if verdict == "dead":
        how.setdefault("death", Death("dead", Failure("ValueError", "no"), lease.queue, lease.attempt, 1.0, 2.0))
    return Outcome(lease, verdict, **how)


def with_effects(lease: Lease, output: str) -> Outcome:
    """A done outcome that also writes the row of its id and puts a message into the queue `output`."""
    id = lease.message.id
    return outcome(
        lease,
        rows=(Row("rows", id, f'{{"id":"{id}"}}'.encode()),),
        puts=(Put(output, Message(f"{id}.out", b"out")),),
    )


async def soon(doing: Awaitable[T]) -> T:
    """The result of something that must not need time to pass."""
    return await asyncio.wait_for(doing, _PATIENCE_S)


async def refused_or(doing: Awaitable[T]) -> T | None:
    """What was found; nothing where a text that UTF-8 has no form for is refused by whoever is asked for it."""
    try:
        return await soon(doing)
    except BrokerError:
        return None


async def raised(kind: type[E], doing: Awaitable[object]) -> E:
    """The error that was expected."""
    try:
        await doing
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def by_handle(lease: Lease) -> Lease:
    """The lease as somebody sees it who has its receipt handle alone."""
    return lease_of(lease.queue, handle_of(lease.receipt))
