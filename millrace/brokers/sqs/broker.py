"""The broker port on SQS; each verb is in a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from millrace.broker import Broker, Peeked, Queue, Standing, Stats, dead_letters
from millrace.brokers.depth import Depth
from millrace.brokers.limits import check_texts
from millrace.brokers.names import check_names
from millrace.brokers.sqs.batches import Batches
from millrace.brokers.sqs.client import Client
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.endings import Endings
from millrace.brokers.sqs.intake import Intake
from millrace.brokers.sqs.leases import Leases
from millrace.brokers.sqs.people import People
from millrace.brokers.sqs.settling import Settling
from millrace.brokers.sqs.taking import Taking
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.known_brokers import SQS
from millrace.types import Accepted, Commit, Lease, Put


class SqsBroker(Broker):
    """Queues of SQS. `max_body` is of any bytes, which travel as base64; text may be a third longer."""

    capabilities = SQS.claims

    def __init__(self, client: Client, *, prefix: str, account: str, clock: Clock) -> None:
        self._client = client
        batches = Batches(client, clock)
        self._directory = Directory(client, prefix, account, clock)
        self._endings = Endings(self._directory, batches, clock)
        self._leases = Leases(clock)
        self._taking = Taking(self._directory, self._endings, self._leases, clock)
        self._settling = Settling(self._directory, self._endings, self._leases, clock)
        self._people = People(self._directory, self._taking, self._endings, self._leases)
        self._depth = Depth(self, clock)
        self._intake = Intake(self._directory, batches, self._depth, clock)

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        await self._directory.declare(queues)
        for queue in queues:
            self._depth.declared(queue)

    async def drop(self, queues: Sequence[str]) -> None:
        for name in await self._directory.drop(queues):
            self._leases.forget(name)
            await self._taking.forget(name)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        return await self._intake.put(puts)

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        found = await self._directory.named(queue)
        self._directory.tell(found)  # here, since commands that only look would say it each time
        return await self._taking.take(found, limit, max_bytes, lease_s)

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._taking.wait(await self._directory.named(queue), timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        return await self._settling.settle(await self._directory.named(commit.queue), commit)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended: list[Lease] = []
        for name in dict.fromkeys(lease.queue for lease in leases):
            queue = await self._directory.named(name)
            extended += await self._settling.extend(queue, [each for each in leases if each.queue == name], lease_s)
        return extended

    async def stats(self, queue: str) -> Stats:
        found = await self._directory.named(queue)
        depth, in_flight, delayed = await self._people.counts(found)
        if found.is_dead:
            return Stats(queue, depth, in_flight, delayed, depth + in_flight + delayed, 0.0)
        dead = sum(await self._people.counts(await self._directory.named(dead_letters(queue))))
        return Stats(queue, depth, in_flight, delayed, dead, 0.0)

    async def close(self) -> None:
        with suppress(BrokerError):  # what lies ready here is visible to all when its lease ends
            await self._taking.close()
        await self._client.close()

    async def queues(self) -> list[str]:
        return await self._directory.names()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._people.peek(await self._directory.named(queue), limit, ids)

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        here, there = await self._directory.named(source), await self._directory.named(target)
        return await self._people.move(here, there, ids)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._people.purge(await self._directory.named(queue), ids, in_flight=in_flight)

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        for name in {lease.queue for lease in leases}:
            await self._directory.named(name)
        return ["held" if self._leases.find(lease.queue, lease.receipt) is not None else "lost" for lease in leases]
