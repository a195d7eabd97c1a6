"""The broker port on Kafka: the verbs, each handed to who knows how."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.enclosing import enclosed
from millrace.brokers.envelope import Envelope
from millrace.brokers.kafka.admin import Admin
from millrace.brokers.kafka.burial import Burial
from millrace.brokers.kafka.client import Health, Settings
from millrace.brokers.kafka.letters import Record
from millrace.brokers.kafka.member import Member
from millrace.brokers.kafka.names import Names
from millrace.brokers.kafka.people import People, fresh
from millrace.brokers.kafka.publisher import Publisher
from millrace.brokers.kafka.registry import Known, Registry
from millrace.brokers.kafka.settling import Settling
from millrace.brokers.kafka.taking import Taking
from millrace.brokers.limits import check_sizes, check_texts
from millrace.brokers.names import check_names
from millrace.clock import Clock
from millrace.errors import QueueFull
from millrace.ids import new_id
from millrace.known_brokers import KAFKA
from millrace.types import Accepted, Commit, Lease, Put


class KafkaBroker(Broker):
    """Queues as topics; `open` comes before all else."""

    capabilities = KAFKA.claims

    def __init__(self, settings: Settings, health: Health, admin: Admin, prefix: str, clock: Clock) -> None:
        self._settings = settings
        self._health = health
        self._admin = admin
        self._clock = clock
        self._names = Names(prefix)
        self._registry = Registry(settings, health, admin, self._names)
        self._publisher = Publisher(settings, health)
        process = new_id()
        burial = Burial(self._registry, self._publisher, self._names, clock)
        self._taking = Taking(burial, clock, process)
        self._settling = Settling(burial, self._publisher, self._names, clock, process)
        self._people = People(admin, self._registry, self._names, settings, clock)
        self._members: dict[str, Member] = {}
        self._joining = asyncio.Lock()

    async def open(self) -> None:
        """Read which queues there are."""
        await self._registry.open()

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        await self._registry.declare(queues)

    async def drop(self, queues: Sequence[str]) -> None:
        await self._registry.drop(queues)
        await self._leave_dropped()

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        check_texts(puts)
        known = {name: await self._registry.named(name) for name in dict.fromkeys(each.queue for each in puts)}
        check_sizes(puts, self.capabilities.max_body)
        for name, more in Counter(each.queue for each in puts).items():
            await self._check_depth(known[name], more)
        await self._publisher.put([self._record(known[each.queue], each) for each in puts])
        return [Accepted(each.message.id) for each in puts]

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        member = await self._member(queue)
        return await self._taking.take(member, limit, max_bytes, lease_s) if limit > 0 else []

    async def wait(self, queue: str, timeout_s: float) -> None:
        await (await self._member(queue)).wait(timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        known = await self._registry.named(commit.queue)
        member = self._current(known)
        if member is None:
            return [outcome.lease for outcome in commit.outcomes]
        return await self._settling.settle(member, commit)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended: list[Lease] = []
        for lease in leases:
            member = self._current(await self._registry.named(lease.queue))
            if member is not None:
                extended += self._settling.extend(member, [lease], lease_s)
        return extended

    async def stats(self, queue: str) -> Stats:
        known = await self._registry.named(queue)
        return await self._people.stats(known, self._current(known))

    async def queues(self) -> list[str]:
        return await self._registry.queues()

    async def close(self) -> None:
        members, self._members = self._members, {}
        await asyncio.gather(*(member.close() for member in members.values()))
        await self._publisher.close()
        await self._registry.close()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        known = await self._registry.named(queue)
        return await self._people.peek(known, self._current(known), limit, ids)

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        await self._registry.named(source)
        there = await self._registry.named(target)

        async def put(envelopes: list[Envelope]) -> None:
            await self._check_depth(there, len(envelopes))
            puts = [Put(target, fresh(each).message) for each in envelopes]
            await self._publisher.put([self._record(there, each, delayed=False) for each in puts])

        return await self._people.sweep(await self._member(source), ids, put, in_flight=False)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        async def nothing(_: list[Envelope]) -> None:
            return

        return await self._people.sweep(await self._member(queue), ids, nothing, in_flight=in_flight)

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        found: list[Standing] = []
        for lease in leases:
            member = self._current(await self._registry.named(lease.queue))
            found.append("lost" if member is None else self._settling.standing(member, lease))
        return found

    async def _member(self, queue: str) -> Member:
        """This process's place in a queue's group, which it takes when it first needs one."""
        async with self._joining:
            return await self._joined(await self._registry.named(queue))

    async def _joined(self, known: Known) -> Member:
        queue, member = known.name, self._current(known)
        if member is None:
            await self._leave_dropped()
            topics, group = self._names.topics(queue), self._names.group(queue)
            member = Member(known, topics, group, self._settings, self._health, self._admin, self._clock)
            self._members[queue] = member
        member.known = known
        return member

    def _current(self, known: Known) -> Member | None:
        member = self._members.get(known.name)
        return member if member is not None and member.known.born == known.born else None

    async def _leave_dropped(self) -> None:
        """Let go of groups whose queues are not there any more, or were declared anew."""
        names = {name: await self._registry.named(name) for name in await self._registry.queues()}
        gone = [name for name in self._members if name not in names or self._current(names[name]) is None]
        for name in gone:
            await self._members.pop(name).close()

    async def _check_depth(self, known: Known, more: int) -> None:
        most = known.settings.max_depth
        if most is None:
            return
        depth = await self._people.depth(known, self._current(known))
        if depth + more > most:
            raise QueueFull(f"queue {known.name} holds {depth} of at most {most} messages", "try again later")

    def _record(self, known: Known, put: Put, *, delayed: bool = True) -> Record:
        now, settings, message = self._clock.now(), known.settings, put.message
        if not message.sent_at:
            message = msgspec.structs.replace(message, sent_at=now)
        ttl_s = settings.ttl_s if put.ttl_s is None else put.ttl_s
        delay_s = settings.delay_s if put.delay_s is None else put.delay_s
        expires_at = math.inf if ttl_s is None or known.is_dead else now + ttl_s
        late = delayed and delay_s > 0
        topics = self._names.topics(known.name)
        return Record(topics[-1 if late else 0], enclosed(put, message, expires_at), now + delay_s if late else 0.0)
