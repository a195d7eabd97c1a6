"""The broker port on JetStream: the verbs, each handed to who knows how."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.limits import check_texts
from millrace.brokers.names import check_drop, check_names
from millrace.brokers.nats.api import Api
from millrace.brokers.nats.endings import Endings
from millrace.brokers.nats.fence import Fence
from millrace.brokers.nats.intake import Intake
from millrace.brokers.nats.letters import Letters
from millrace.brokers.nats.link import Link
from millrace.brokers.nats.notes import Notes
from millrace.brokers.nats.people import People
from millrace.brokers.nats.puller import Puller
from millrace.brokers.nats.queue import NatsQueue
from millrace.brokers.nats.queues import NatsQueues
from millrace.brokers.nats.take import Taker
from millrace.clock import Clock
from millrace.errors import TooLarge
from millrace.known_brokers import HEADER_BYTES, NATS
from millrace.types import Accepted, Commit, Lease, Put


class NatsBroker(Broker):
    """Queues as JetStream streams; `link` is connected."""

    capabilities = NATS.claims

    def __init__(self, link: Link, clock: Clock, *, replicas: int, window_s: float) -> None:
        most = max(0, link.max_payload - HEADER_BYTES)
        self.capabilities = msgspec.structs.replace(type(self).capabilities, max_body=most)
        self._link = link
        self._clock = clock
        prefix = link.address.prefix
        self._api = api = Api(link)
        self._notes = Notes(api, prefix, replicas)
        self._queues = NatsQueues(api, self._notes, prefix, replicas=replicas, window_s=window_s)
        self._fence = Fence(api, self._notes, clock)
        letters = Letters(api, self._queues, clock)
        self._intake = Intake(api, self._queues, self._notes, clock)
        self._taker = Taker(self._fence, letters, clock)
        self._endings = Endings(api, self._fence, letters, clock)
        self._people = People(api, self._queues, self._notes, self._fence, clock)
        self._pullers: dict[str, Puller] = {}

    async def open(self) -> None:
        """Make what all queues share."""
        await self._notes.open()

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        await self._queues.declare(queues)

    async def drop(self, queues: Sequence[str]) -> None:
        if not queues:
            return
        names = await self._queues.names()
        for name in queues:
            check_drop(name, names)
        await self._queues.drop(queues)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        most = self.capabilities.max_body or 0
        for each in puts:
            if len(each.message.body) > most:
                raise TooLarge(
                    f"message {each.message.id}: {len(each.message.body)} bytes, at most {most} can be queued",
                    "put the body into a bucket and its key into the message, or raise max_payload in the server",
                )
        return await self._intake.put(puts) if puts else []

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        await self._queues.named(queue)
        if limit <= 0:
            return []
        return await self._queues.using(
            queue, lambda here: self._taker.take(here, self._puller(here), limit, max_bytes, lease_s)
        )

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._puller(await self._queues.named(queue)).wait(timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        here = await self._queues.named(commit.queue)
        if not commit.outcomes:
            return []
        return await self._queues.using(here.name, lambda here: self._endings.settle(here, commit))

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        by_queue: dict[str, list[Lease]] = defaultdict(list)
        for lease in leases:
            by_queue[lease.queue].append(lease)
        renewed: dict[object, Lease] = {}
        for name, mine in by_queue.items():
            here = await self._queues.named(name)
            renewed |= {(name, each.receipt): each for each in await self._endings.extend(here, mine, lease_s)}
        return [renewed[key] for lease in leases if (key := (lease.queue, lease.receipt)) in renewed]

    async def stats(self, queue: str) -> Stats:
        return await self._queues.using(queue, lambda here: self._people.stats(here, self._puller(here).waiting))

    async def queues(self) -> list[str]:
        return await self._queues.names()

    async def close(self) -> None:
        for puller in self._pullers.values():
            await puller.close()
        await self._link.close()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._queues.using(queue, lambda here: self._people.peek(here, limit, ids))

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        there = await self._queues.named(target)

        async def move(here: NatsQueue) -> int:
            return await self._queues.using(there.name, lambda there: self._people.move(here, there, ids))

        return await self._queues.using(source, move)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._queues.using(queue, lambda here: self._people.purge(here, ids, in_flight=in_flight))

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return [await self._endings.standing(await self._queues.named(lease.queue), lease) for lease in leases]

    def _puller(self, queue: NatsQueue) -> Puller:
        """The one of a queue; a queue that was dropped and declared anew is another."""
        found = self._pullers.get(queue.name)
        if found is None or found.queue is not queue:
            found = self._pullers[queue.name] = Puller(self._api, queue, self._clock, self._fence.give_back)
        return found
