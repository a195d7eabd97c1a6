"""The broker port on RabbitMQ.

Messages lie in quorum queues. What was delivered to this process is leased here (shelf.py); a message that is to come
back other than it was (an attempt more, a delay, a death) is published anew and confirmed, then the old one is
acknowledged: a crash between leaves two with one id, never none.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats, dead_letters
from millrace.broker_address import Address
from millrace.brokers.depth import Depth
from millrace.brokers.enclosing import enclosed
from millrace.brokers.limits import check_sizes, check_texts
from millrace.brokers.names import check_drop, check_names, unknown_queue
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.consumer import Arrived, Consumer
from millrace.brokers.rabbitmq.directory import Directory
from millrace.brokers.rabbitmq.faults import Closed, Lost
from millrace.brokers.rabbitmq.io_thread import IoThread
from millrace.brokers.rabbitmq.link import Link
from millrace.brokers.rabbitmq.people import People
from millrace.brokers.rabbitmq.picking import Doomed, pick
from millrace.brokers.rabbitmq.publisher import Copy, Publisher
from millrace.brokers.rabbitmq.sender import Sender
from millrace.brokers.rabbitmq.settling import Settling
from millrace.brokers.rabbitmq.tap import Tap
from millrace.brokers.rabbitmq.topology import Topology
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError
from millrace.known_brokers import RABBITMQ
from millrace.signals import Signals
from millrace.types import Accepted, Commit, Lease, Outcome, Put

_HEARTBEAT_S = 15
_MOST_HEARTBEAT_S = 3600
_PATIENCE_S = 30.0
_log = logging.getLogger(__name__)


class RabbitBroker(Broker):
    """Queues on RabbitMQ, for one event loop; open it with `open_broker`."""

    capabilities = RABBITMQ.claims

    def __init__(self, address: Address, clock: Clock | None = None, *, patience_s: float = _PATIENCE_S) -> None:
        self._address = address
        self._clock = clock or SystemClock()
        self._signals = Signals(self._clock)
        self._loop = asyncio.get_running_loop()
        self._io = IoThread("millrace-rabbitmq")
        heartbeat_s = address.number("heartbeat", _HEARTBEAT_S, most=_MOST_HEARTBEAT_S)
        self._taking = Link(address, "taking", heartbeat_s)
        putting = Link(address, "putting", heartbeat_s)
        self._links = (self._taking, putting)
        self._caller = Caller(self._io, self._taking, putting, patience_s)
        self._topology = Topology(self._taking, address.prefix)
        self._directory = Directory(self._topology, self._caller, address)
        publisher = Publisher(self._io, putting, self._loop)
        self._sender = Sender(publisher, self._topology, self._caller, self._clock, address.prefix, self._revive)
        self._settling = Settling(self._sender, self._clock, lambda name: self._directory.settings.get(name))
        self._people = People(self._topology, self._sender, self._settling, self._caller, self._clock, address.prefix)
        self._taps: dict[str, Tap] = {}
        self._depth = Depth(self, self._clock)  # not x-max-length: that would refuse retries and dead letters too
        self._epoch = secrets.randbits(52)

    async def connect(self) -> None:
        """Make the first connection. Raises BrokerError that says what is wrong."""
        try:
            await self._io.run(self._taking.open())
        except BrokerError:
            await self._io.stop()
            raise

    # ---- queues

    async def declare(self, queues: Sequence[Queue]) -> None:
        check_names(queues)
        await self._directory.declare(queues)
        for queue in queues:
            self._depth.declared(queue)
            if tap := self._taps.get(queue.name):
                tap.shelf.settings = queue

    async def drop(self, queues: Sequence[str]) -> None:
        for name in queues:
            await self._directory.named(name)
            check_drop(name, self._directory.settings)
        for name in queues:
            both = list(dict.fromkeys((name, dead_letters(name))))
            for each in both:
                self._directory.settings.pop(each, None)
                self._sender.forget(each)
                if tap := self._taps.pop(each, None):
                    await tap.close(dropped=True)
            await self._caller.call(partial(self._topology.delete, both), f"drop {name}")
        self._signals.wake(queues)

    async def queues(self) -> list[str]:
        """Those that this process has declared or used: AMQP tells of no others."""
        return list(self._directory.settings)

    # ---- messages

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        if not puts:
            return []
        check_texts(puts)
        for each in puts:
            if each.queue not in self._directory.settings:
                await self._directory.named(each.queue)
        check_sizes(puts, self.capabilities.max_body)
        now = self._clock.now()
        await self._depth.check(Counter(each.queue for each in puts))
        await self._sender.send([await self._copy(each, now) for each in puts])
        for name in {each.queue for each in puts}:
            if tap := self._taps.get(name):
                tap.stale = True
            self._signals.wake([name])
        return [Accepted(each.message.id) for each in puts]

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        tap = await self._tap(queue)
        shelf = tap.shelf
        chosen, doomed = await pick(tap, limit, math.inf if max_bytes is None else max_bytes, self._clock)
        for_s = shelf.settings.lease_s if lease_s is None else lease_s
        now_s, wall_s = self._clock.monotonic(), self._clock.now()
        leases = [shelf.lease(item, for_s, now_s, wall_s) for item in chosen]
        tap.taken(leases)
        if doomed:
            await self._bury(tap, doomed, leases)
        return leases

    async def wait(self, queue: str, timeout_s: float) -> None:
        tap = await self._tap(queue)
        until_s = self._clock.monotonic() + timeout_s
        with self._signals.listen(queue) as signal, tap.listening():
            if tap.shelf.ready:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await tap.listen()
            if not tap.shelf.ready:
                await signal.wait(max(0.0, until_s - self._clock.monotonic()))

    async def settle(self, commit: Commit) -> list[Lease]:
        tap = await self._tap(commit.queue)
        return await self._settling.settle(tap, commit)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended = []
        for lease in leases:
            tap = self._taps.get(lease.queue)
            item = tap.shelf.find(lease) if tap is not None else None
            if tap is not None and item is not None:
                expires_at = tap.shelf.extend(item, lease_s)
                extended.append(msgspec.structs.replace(lease, expires_at=expires_at))
        for name in {lease.queue for lease in extended}:
            self._taps[name].set_alarm()
            self._signals.wake([name])
        return extended

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        shelves = {name: (await self._tap(name)).shelf for name in {lease.queue for lease in leases}}
        now_s = self._clock.monotonic()
        return [shelves[lease.queue].standing(lease, now_s) for lease in leases]

    # ---- for people

    async def stats(self, queue: str) -> Stats:
        """What waits in the broker or here, what is in flight here; the oldest of what is here."""
        tap = await self._tap(queue)
        tap.sweep()
        shelf = tap.shelf
        waiting = await self._caller.call(partial(self._topology.count, queue), f"count {queue}") or 0
        dead = dead_letters(queue)
        other = self._taps.get(dead)
        here = other.shelf.ready + other.shelf.held if other is not None else 0
        count = await self._caller.call(partial(self._topology.count, dead), f"count {dead}") or 0
        oldest = shelf.oldest_sent_at()
        return Stats(
            queue,
            depth=waiting + shelf.ready,
            in_flight=shelf.held,
            delayed=self._sender.delayed(queue),
            dead=count + here,
            oldest_age_s=0.0 if oldest is None else max(0.0, self._clock.now() - oldest),
        )

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        """Deliver messages to this process for a second, to look at them: see people.py."""
        return await self._people.peek(await self._tap(queue), limit, ids)

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._people.move(await self._tap(source), await self._directory.named(target), ids)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._people.purge(await self._tap(queue), ids, in_flight=in_flight)

    async def close(self) -> None:
        """Give back what nobody has begun, and say goodbye."""
        for tap in self._taps.values():
            with suppress(BrokerError, Closed):
                await tap.close()
        for link in self._links:
            with suppress(Lost):
                await self._io.run(link.close())
        self._signals.wake(None)
        await self._io.stop()

    # ---- parts

    async def _bury(self, tap: Tap, doomed: Doomed, leases: Sequence[Lease]) -> None:
        """Bury what a take met; where that fails, the leases that it gives are its caller's all the same."""
        try:
            await self._settling.bury(tap, doomed)
        except BrokerError as error:
            if not leases:
                raise
            stay = "%d messages of %s that nobody may take any more stay for now: %s"
            _log.warning(stay, len(doomed), tap.name, error)
        except BaseException:  # nobody will hear of them
            await self._settling.settle(tap, Commit(tap.name, [Outcome(lease, "release") for lease in leases]))
            raise

    async def _tap(self, name: str) -> Tap:
        tap = self._taps.get(name)
        if tap is None:
            settings = await self._directory.named(name)
            tap = self._taps.get(name)
            if tap is None:
                tap = self._taps[name] = Tap(
                    settings,
                    self._consumer,
                    self._caller,
                    self._revive,
                    self._settling.recall,
                    self._clock,
                    self._signals,
                    self._epoch,
                )
        return tap

    def _consumer(self, name: str, arrived: Callable[[Arrived], None]) -> Consumer:
        return Consumer(self._io, self._taking, self._address.prefix + name, self._loop, arrived)

    async def _revive(self, name: str) -> None:
        """A queue is not where it was. One of ours is made again; raises UnknownQueue for any other."""
        if name not in self._directory.settings:
            raise unknown_queue(name, self._directory.settings)
        _log.warning(
            "queue %s%s was deleted by somebody, with what was in it; it is made again", self._address.prefix, name
        )
        await self._directory.make(name)
        if tap := self._taps.get(name):
            await tap.reopen()

    async def _copy(self, put: Put, now: float) -> Copy:
        settings, message = self._directory.settings[put.queue], put.message
        if not message.sent_at:
            message = msgspec.structs.replace(message, sent_at=now)
        ttl_s = settings.ttl_s if put.ttl_s is None else put.ttl_s
        delay_s = settings.delay_s if put.delay_s is None else put.delay_s
        envelope = enclosed(put, message, math.inf if ttl_s is None else now + ttl_s)
        if delay_s > 0:
            return await self._sender.later(put.queue, envelope, delay_s)
        return self._sender.copy(put.queue, envelope, native_end=settings.dead_to is None)
