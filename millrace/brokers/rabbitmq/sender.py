"""Messages as copies to be published: at once or through a delay; and what to do when no queue takes one."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from millrace.brokers.envelope import Envelope
from millrace.brokers.rabbitmq import delays
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.faults import too_large
from millrace.brokers.rabbitmq.properties import NOTHING, Kept, written
from millrace.brokers.rabbitmq.publisher import Copy, Publisher, Sending, largest
from millrace.brokers.rabbitmq.topology import Topology
from millrace.clock import Clock
from millrace.errors import BrokerError, QueueFull

_GRAIN_S = 0.05  # in which delayed messages are counted
_log = logging.getLogger(__name__)


class Sender:
    """Publishes what the broker decided; used in the broker's loop."""

    def __init__(
        self,
        publisher: Publisher,
        topology: Topology,
        caller: Caller,
        clock: Clock,
        prefix: str,
        revive: Callable[[str], Awaitable[None]],
    ) -> None:
        self._publisher = publisher
        self._topology = topology
        self._caller = caller
        self._clock = clock
        self._prefix = prefix
        self._revive = revive
        self._stops: set[tuple[int, int]] = set()
        self._delayed: dict[str, Counter[int]] = {}

    def copy(self, queue: str, envelope: Envelope, *, native_end: bool = True, kept: Kept = NOTHING) -> Copy:
        """A message on its way into a queue, which RabbitMQ itself moves to the dead letters when its time ends."""
        ttl_ms = None
        if native_end and envelope.expires_at != math.inf:
            ttl_ms = max(0, int((envelope.expires_at - self._clock.now()) * 1000))
        return Copy("", self._prefix + queue, written(envelope, ttl_ms, kept), envelope.message.body)

    async def later(self, queue: str, envelope: Envelope, delay_s: float, *, kept: Kept = NOTHING) -> Copy:
        """A message on its way into a queue in delay_s. Raises BrokerError."""
        try:
            path = delays.digits(delay_s)
        except ValueError as error:
            raise BrokerError(str(error), "schedule it instead, or put it later") from error
        stops = delays.stops(path)
        if not self._stops.issuperset(stops):
            await self._caller.call(partial(self._topology.delay, path), f"delay a message of {queue}")
            self._stops.update(stops)
        counter = self._delayed.setdefault(queue, Counter())
        counter[math.ceil((self._clock.monotonic() + delay_s) / _GRAIN_S)] += 1
        exchange = delays.exchange_name(self._prefix, stops[0][0])
        key = delays.routing_key(path, self._prefix + queue)
        return Copy(exchange, key, written(envelope, kept=kept), envelope.message.body)

    async def send(self, copies: Sequence[Copy]) -> None:
        """Publish, and return when all are safe. Raises BrokerError, QueueFull where a queue refused one, TooLarge."""
        most = self._publisher.most_bytes
        if most is not None and (size := largest(copies)) > most:
            raise too_large(size, most, alone=True)
        sending = await self._published(copies)
        if sending.unroutable:
            missing = [copy for copy in copies if copy.routing_key in sending.unroutable]
            await self._repair(missing)
            sending = await self._published(missing)
        if sending.unroutable:
            raise BrokerError(
                f"no queue takes messages for {', '.join(sorted(sending.unroutable))}",
                "somebody deletes queues or bindings of this broker; the messages were not stored",
            )
        if sending.refused:
            raise QueueFull(
                f"a queue of {', '.join(sorted({copy.routing_key for copy in copies}))} refused messages",
                "it is at its limit (x-max-length), or the broker could not store them; try again",
            )

    def delayed(self, queue: str) -> int:
        """How many messages of this process wait for their time still."""
        counter = self._delayed.get(queue)
        if not counter:
            return 0
        now = int(self._clock.monotonic() / _GRAIN_S)
        for due in [due for due in counter if due <= now]:
            del counter[due]
        return counter.total()

    def forget(self, queue: str) -> None:
        """The queue is dropped."""
        self._delayed.pop(queue, None)

    async def _published(self, copies: Sequence[Copy]) -> Sending:
        sending = await self._caller.patiently(self._publisher.publish(list(copies)), "put messages")
        if sending.too_large is not None:
            raise too_large(largest(copies), sending.too_large, alone=len(copies) == 1)
        return sending

    async def _repair(self, copies: Sequence[Copy]) -> None:
        """Make again what somebody deleted: a queue, or what holds delayed messages."""
        self._stops.clear()
        await self._caller.call(self._topology.forget_delays, "make delays again")
        for copy in copies:
            if copy.exchange:
                words = copy.routing_key.split(".")[: delays.PLACES]
                await self._caller.call(partial(self._topology.delay, [*map(int, words)]), "make delays again")
        for name in {copy.routing_key for copy in copies if not copy.exchange}:
            await self._revive(name.removeprefix(self._prefix))
