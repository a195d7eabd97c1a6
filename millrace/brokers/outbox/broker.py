"""The broker port around a broker that can neither dedupe nor be transactional, beside a ledger that is both.

    put      note, put, confirm                                                           intake.py
    take     take, then what is done already: its outputs that wait are put, and it is    taking.py
             acknowledged
    settle   whose leases are still ours; rows, records and outputs in one transaction;   settling.py
             put the outputs; acknowledge

What a crash leaves between two steps is done again by the next take of the same message: it is still in its queue.
So a message may run twice, and its effects are there once: the first delivery to commit wins.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.depth import Depth
from millrace.brokers.limits import check_texts
from millrace.brokers.outbox.intake import Intake
from millrace.brokers.outbox.letters import Letters
from millrace.brokers.outbox.outputs import Outputs
from millrace.brokers.outbox.people import People
from millrace.brokers.outbox.receipts import among, inner, outer
from millrace.brokers.outbox.results import OutboxResults
from millrace.brokers.outbox.settling import Settling
from millrace.brokers.outbox.taking import Taking
from millrace.clock import Clock, SystemClock
from millrace.store import Ledger, Results
from millrace.types import Accepted, Commit, Lease, Put


class Outbox(Broker):
    """A broker whose messages each have one effect, since a ledger knows what is done. Closing closes the inner broker.

    `dedupe` is claimed as far as the ledger knows: a put whose process died before it was confirmed, or two processes
    that put one id in the same moment, bring the broker a copy, which is dropped when it is taken or committed.
    """

    def __init__(self, inner: Broker, ledger: Ledger, *, clock: Clock | None = None) -> None:
        self.capabilities = msgspec.structs.replace(inner.capabilities, transactional=True, dedupe=True, bounded=False)
        self._inner = inner
        self._ledger = ledger
        self._queues: dict[str, Queue] = {}
        self._windows_s: dict[str, float] = {}
        self._clock = clock or SystemClock()
        self._depth = Depth(inner, self._clock)
        self._letters = Letters(inner, ledger, self._queues)
        self._intake = Intake(inner, ledger, self._depth, self._windows_s)
        outputs = Outputs(inner, ledger, self._intake, self._queues)
        self._taking = Taking(inner, ledger, outputs, self._letters)
        self._settling = Settling(inner, ledger, outputs, self._letters, self._queues)
        self._people = People(inner, ledger, self._letters, self._windows_s)

    def results(self, records: Results) -> Results:
        """The ledger's records, which also know of messages that the inner broker buried by itself."""
        return OutboxResults(records, self._letters, self._clock)

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self._inner.declare([msgspec.structs.replace(queue, max_depth=None) for queue in queues])
        for queue in queues:
            self._queues[queue.name] = queue
            self._windows_s[queue.name] = queue.dedupe_s
            self._depth.declared(queue)

    async def drop(self, queues: Sequence[str]) -> None:
        known = set(await self._inner.queues())
        for name in known.intersection(queues):
            await self._ledger.doubt(name, None)
        await self._inner.drop(queues)
        for name in queues:
            await self._ledger.forget(name, None)
            self._windows_s.pop(name, None)
            self._queues.pop(name, None)
            self._settling.forget(name)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        return list(await self._intake.put(puts))

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        await self._taking.ready(queue)
        while leases := await self._inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s):
            if fresh := await self._taking.not_done(queue, leases):
                return [outer(lease) for lease in fresh]
        return []

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._inner.wait(queue, timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        if not commit.outcomes:
            return await self._inner.settle(commit)
        outcomes = [msgspec.structs.replace(outcome, lease=inner(outcome.lease)) for outcome in commit.outcomes]
        lost = await self._settling.settle(Commit(commit.queue, outcomes))
        return among([outcome.lease for outcome in commit.outcomes], lost)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended = await self._inner.extend([inner(lease) for lease in leases], lease_s)
        until = {lease.receipt: lease.expires_at for lease in extended}
        return [
            msgspec.structs.replace(lease, expires_at=until[inner(lease).receipt])
            for lease in among(leases, set(until))
        ]

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._inner.standing([inner(lease) for lease in leases])

    async def close(self) -> None:
        await self._inner.close()

    # ---- for people

    async def stats(self, queue: str) -> Stats:
        return await self._inner.stats(queue)

    async def queues(self) -> list[str]:
        return await self._inner.queues()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._inner.peek(queue, limit, ids=ids)

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._people.move(source, target, ids)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._people.purge(queue, ids, in_flight=in_flight)
