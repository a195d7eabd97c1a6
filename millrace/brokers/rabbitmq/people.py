"""Looking into queues, moving and deleting: RabbitMQ shows messages only by delivering them.

So a look at a queue delivers its messages to this process for a second and counts as a delivery of each, as it would
with any tool; a dead letter can be delivered as often as one likes.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Sequence

from millrace.broker import DEAD_SUFFIX, Peeked, Queue
from millrace.brokers.rabbitmq import deaths
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.sender import Sender
from millrace.brokers.rabbitmq.settling import Settling
from millrace.brokers.rabbitmq.shelf import Item
from millrace.brokers.rabbitmq.tap import Tap
from millrace.brokers.rabbitmq.topology import Topology
from millrace.clock import Clock

_AT_ONCE = 100
_MOST_SEEN = 10_000  # messages that a search by id looks at
_MOST_BYTES = 64 << 20


class People:
    """The verbs for people; used in the broker's loop."""

    def __init__(
        self, topology: Topology, sender: Sender, settling: Settling, caller: Caller, clock: Clock, prefix: str
    ) -> None:
        self._topology = topology
        self._sender = sender
        self._settling = settling
        self._caller = caller
        self._clock = clock
        self._prefix = prefix

    async def peek(self, tap: Tap, limit: int, ids: Sequence[str] | None) -> list[Peeked]:
        """What of the queue can be seen, oldest first: at most _MOST_BYTES of bodies. Raises BrokerError."""
        tap.sweep()
        await self._bring(tap, limit if ids is None else _MOST_SEEN)
        found = [self._peeked(tap, item) for item in tap.shelf.in_order() if ids is None or self._id(tap, item) in ids]
        tap.set_alarm()
        return found[:limit]

    async def move(self, source: Tap, target: Queue, ids: Sequence[str] | None) -> int:
        """Put what is not in flight, or some of it, into another queue anew; say how many. Raises BrokerError."""
        count = 0
        async for items in self._ready(source, ids):
            ends = math.inf if target.ttl_s is None else self._clock.now() + target.ttl_s
            native_end = target.dead_to is None
            copies = [
                self._sender.copy(
                    target.name, deaths.redriven(found.envelope, ends), native_end=native_end, kept=found.kept
                )
                for found in map(source.shelf.read, items)
            ]
            await self._settling.replace(source, items, copies)
            count += len(items)
        return count

    async def purge(self, tap: Tap, ids: Sequence[str] | None, *, in_flight: bool) -> int:
        """Delete messages, those in flight here only where that is said; say how many. Raises BrokerError."""
        count = 0
        if ids is None:
            items = self._here(tap, None, in_flight=in_flight)
            count = len(items) + await self._caller.call(lambda: self._topology.purge(tap.name), f"purge {tap.name}")
            tap.done(items)
        else:
            if in_flight:
                items = self._here(tap, set(ids), in_flight=True)
                tap.done(items)
                count = len(items)
            async for items in self._ready(tap, ids):
                tap.done(items)
                count += len(items)
        return count

    async def _ready(self, tap: Tap, ids: Sequence[str] | None) -> AsyncIterator[list[Item]]:
        """What can be taken, chosen by id, many at once; as much as was there in the beginning.

        What is not chosen lies here until the end, and goes back then.
        """
        chosen = None if ids is None else set(ids)
        waiting = await self._caller.call(lambda: self._topology.count(tap.name), f"count {tap.name}") or 0
        while True:
            if items := self._here(tap, chosen, in_flight=False):
                yield items
            wanted = min(_AT_ONCE, waiting)
            found = await tap.fetch(wanted) if wanted else 0
            waiting -= found
            if not found:
                return

    def _here(self, tap: Tap, chosen: Collection[str] | None, *, in_flight: bool) -> list[Item]:
        states = ("ready", "leased") if in_flight else ("ready",)
        found = [
            item
            for item in tap.shelf.in_order()
            if item.state in states and (chosen is None or self._id(tap, item) in chosen)
        ]
        for item in found:
            tap.shelf.settling(item)
        return found

    async def _bring(self, tap: Tap, limit: int) -> None:
        while len(tap.shelf.items) < limit:
            if sum(len(item.delivery.body) for item in tap.shelf.items.values()) > _MOST_BYTES:
                return
            wanted = min(_AT_ONCE, limit - len(tap.shelf.items))
            if await tap.fetch(wanted) < wanted:
                return

    def _id(self, tap: Tap, item: Item) -> str:
        return tap.shelf.read(item).envelope.message.id

    def _peeked(self, tap: Tap, item: Item) -> Peeked:
        envelope = tap.shelf.read(item).envelope
        death = deaths.death_of(tap.shelf.read(item), tap.name, self._prefix)
        state = "ready" if item.state == "ready" else "in_flight"
        attempts = death.attempts if death is not None and tap.name.endswith(DEAD_SUFFIX) else tap.shelf.attempts(item)
        return Peeked(envelope.message, state, attempts, death)
