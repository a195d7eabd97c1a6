"""What millrace makes in the broker: quorum queues with their dead letters, and what holds messages for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pika import spec

from millrace.broker import dead_letters
from millrace.brokers.rabbitmq import delays
from millrace.brokers.rabbitmq.faults import NOT_FOUND, PRECONDITION_FAILED, Closed
from millrace.brokers.rabbitmq.link import Link

_log = logging.getLogger(__name__)


class Topology:
    """Used in the I/O thread alone; every method raises Lost, and Closed for what the broker refuses."""

    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._stops: set[tuple[int, int]] = set()
        self._exchanges = False
        self._lock = asyncio.Lock()

    async def declare(self, name: str) -> None:
        """Make a queue and its dead-letter queue; what is there already is used as it is, whatever its arguments."""
        dead = dead_letters(name)
        if dead != name:
            await self._queue(dead, {})
        # Dead letters of RabbitMQ's own making (a time to live that is over) are moved at least once with these.
        await self._queue(
            name,
            {}
            if dead == name
            else {
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": self._prefix + dead,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        await self._bind_due(name)

    async def count(self, name: str) -> int | None:
        """How many messages of a queue wait to be delivered to anybody; None where there is no such queue."""
        try:
            answer = await self._call(spec.Queue.Declare(queue=self._prefix + name, passive=True))
        except Closed as error:
            if error.code == NOT_FOUND:
                return None
            raise
        count: int = answer.message_count
        return count

    async def purge(self, name: str) -> int:
        """Delete what waits to be delivered, and say how many there were."""
        answer = await self._call(spec.Queue.Purge(queue=self._prefix + name))
        count: int = answer.message_count
        return count

    async def delete(self, names: Sequence[str]) -> None:
        """Delete queues with all that they hold; those that are not there are no fault."""
        for name in names:
            await self._call(spec.Queue.Delete(queue=self._prefix + name))

    async def delay(self, path: list[int]) -> None:
        """See to it that a message can go this way; `declare` has seen to its end."""
        async with self._lock:
            if not self._exchanges:
                await self._make_exchanges()
                self._exchanges = True
            for place, digit in delays.stops(path):
                if (place, digit) not in self._stops:
                    await self._make_stop(place, digit)
                    self._stops.add((place, digit))

    async def forget_delays(self) -> None:
        """Somebody deleted a part of the way; the next message makes it again."""
        self._stops.clear()
        self._exchanges = False

    async def _queue(self, name: str, arguments: dict[str, Any]) -> None:
        full = self._prefix + name
        try:
            await self._call(
                spec.Queue.Declare(queue=full, durable=True, arguments={"x-queue-type": "quorum"} | arguments)
            )
        except Closed as error:
            if error.code != PRECONDITION_FAILED:
                raise
            await self._call(spec.Queue.Declare(queue=full, passive=True))
            _log.warning(
                "queue %s is there with other arguments than millrace's, and is used as it is: its own time to live,"
                " limits and durability hold%s. To have millrace's, let it run empty, delete it and start again."
                " The broker says: %s",
                full,
                ", and what it holds is lost when the broker ends" if "'durable'" in error.text else "",
                error.text,
            )

    async def _make_exchanges(self) -> None:
        channel = await self._link.channel()
        for place in range(-1, delays.PLACES):
            name = delays.exchange_name(self._prefix, place)
            await channel.call(spec.Exchange.Declare(exchange=name, type="topic", durable=True))
            if place >= 0:  # a 0 has nothing to wait for
                below = delays.exchange_name(self._prefix, place - 1)
                key = delays.pattern(place, 0)
                await channel.call(spec.Exchange.Bind(destination=below, source=name, routing_key=key))
        await channel.close()

    async def _make_stop(self, place: int, digit: int) -> None:
        queue = delays.queue_name(self._prefix, place, digit)
        arguments = {
            "x-message-ttl": delays.hold_ms(place, digit),
            "x-dead-letter-exchange": delays.exchange_name(self._prefix, place - 1),
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        await self._queue(queue.removeprefix(self._prefix), arguments)
        await self._call(
            spec.Queue.Bind(
                queue=queue,
                exchange=delays.exchange_name(self._prefix, place),
                routing_key=delays.pattern(place, digit),
            )
        )

    async def _bind_due(self, name: str) -> None:
        queue = self._prefix + name
        due = delays.exchange_name(self._prefix, -1)
        await self._call(spec.Exchange.Declare(exchange=due, type="topic", durable=True))
        await self._call(spec.Queue.Bind(queue=queue, exchange=due, routing_key=delays.due_pattern(queue)))

    async def _call(self, method: Any) -> Any:
        """One call on a channel of its own, since a refusal closes the channel."""
        channel = await self._link.channel()
        answer = await channel.call(method)
        await channel.close()
        return answer
