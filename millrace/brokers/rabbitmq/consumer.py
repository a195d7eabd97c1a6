"""The broker's deliveries from one queue, as they stream in, and what it is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
from pika import spec

from millrace.brokers.rabbitmq import wire
from millrace.brokers.rabbitmq.acks import Order
from millrace.brokers.rabbitmq.channel import Channel
from millrace.brokers.rabbitmq.faults import NOT_FOUND, Closed, Lost
from millrace.brokers.rabbitmq.io_thread import IoThread, Mailbox
from millrace.brokers.rabbitmq.link import Link
from millrace.brokers.rabbitmq.wire import Delivery


class Arrived(msgspec.Struct, gc=False):
    """Deliveries of one generation: tags mean something within it alone. `lost` ends it, and says why.

    `window` says that so many more may come at once; `afresh` that no consumer was there before.
    """

    generation: int
    deliveries: Sequence[Delivery] = ()
    fetched: bool = False
    window: int = 0
    afresh: bool = False
    lost: Lost | None = None


class Consumer:
    """One channel on one queue. Its coroutines run in the I/O thread; `tell` is called in the broker's loop."""

    def __init__(
        self, io: IoThread, link: Link, queue: str, loop: asyncio.AbstractEventLoop, arrived: Callable[[Arrived], None]
    ) -> None:
        self._link = link
        self._queue = queue
        self._arrivals: Mailbox[Arrived] = Mailbox(loop, partial(_each, arrived))
        self._orders: Mailbox[tuple[int, list[Order]]] = Mailbox(io.loop, self._write)
        self._generation = 0
        self._channel: Channel | None = None
        self._tags: list[str] = []
        self._consumers = 0
        self._lock = asyncio.Lock()

    async def widen(self, by: int) -> None:
        """Have up to so many further messages delivered at once.

        Each widening is another consumer of the channel, since RabbitMQ cannot change the prefetch count of one, and
        counts as delivered what is on its way to one that is cancelled. Raises Lost, Closed where the broker refuses,
        with NOT_FOUND where there is no such queue.
        """
        async with self._lock:
            await self._consume(await self._open(), by)

    async def restart(self, window: int) -> None:
        """Begin anew to have messages delivered. Raises Lost, Closed."""
        async with self._lock:
            channel = await self._open()
            await self._cancel(channel)
            await self._consume(channel, window)

    async def catch_up(self) -> int:
        """Return when what the queue has sent has arrived; how much it has not sent yet. Raises Lost, Closed."""
        async with self._lock:
            return await self._fence(await self._open())

    async def stop(self, *, acked: bool) -> None:
        """Have nothing more delivered; what was is still ours, and here. Raises Lost, Closed.

        RabbitMQ counts what is on its way to a consumer that is cancelled as given to somebody. With `acked` the queue
        may not have heard of acknowledgements, for which it sends other messages: RabbitMQ tells it 32 at once, and
        forgets the rest with the channel. A message that is fetched comes behind all that was told: the first behind
        the 32, the second behind the rest.
        """
        async with self._lock:
            if self._channel is None:
                return
            for _ in range(2 if acked else 0):
                await self._get(self._channel, 1)
            await self._fence(self._channel)
            await self._cancel(self._channel)

    async def fetch(self, count: int) -> int:
        """Have up to so many messages delivered beside the window; say how many came. Raises Lost, Closed."""
        async with self._lock:
            return await self._get(await self._open(), count)

    async def close(self) -> None:
        """Let go of everything: what was not acknowledged goes back to its queue."""
        if self._channel is not None:
            await self._channel.close()

    def tell(self, generation: int, orders: list[Order]) -> None:
        """Acknowledge or give back deliveries of a generation, if it lasts still."""
        self._orders.post((generation, orders))

    def _write(self, values: list[tuple[int, list[Order]]]) -> None:
        channel = self._channel
        if channel is None:
            return
        number = channel.number
        frames = []
        for generation, orders in values:
            if generation != self._generation:
                continue
            for kind, tag in orders:
                if kind == "requeue":
                    frames.append(wire.requeue(number, tag))
                else:
                    frames.append(wire.ack(number, tag, multiple=kind == "ack up to"))
        channel.write(b"".join(frames))

    async def _open(self) -> Channel:
        if self._channel is not None and self._channel.closed is None:
            return self._channel
        channel = await self._link.channel()
        self._generation += 1
        generation = self._generation
        self._channel = channel
        self._tags = []
        channel.on_deliveries = lambda found: self._arrivals.post(Arrived(generation, found))
        channel.on_lost = lambda error: self._arrivals.post(Arrived(generation, lost=error))
        channel.on_cancelled = lambda: channel.lose(Closed(NOT_FOUND, f"queue {self._queue} was deleted"))
        return channel

    async def _get(self, channel: Channel, count: int) -> int:
        if found := await channel.get(self._queue, count):
            self._arrivals.post(Arrived(self._generation, found, fetched=True))
        return len(found)

    async def _consume(self, channel: Channel, window: int) -> None:
        self._arrivals.post(Arrived(self._generation, window=window, afresh=not self._tags))
        await channel.call(spec.Basic.Qos(prefetch_count=window))
        self._consumers += 1
        tag = f"millrace-{self._consumers}"
        await channel.call(spec.Basic.Consume(queue=self._queue, consumer_tag=tag))
        self._tags.append(tag)

    async def _cancel(self, channel: Channel) -> None:
        while self._tags:
            await channel.call(spec.Basic.Cancel(consumer_tag=self._tags.pop()))

    async def _fence(self, channel: Channel) -> int:
        """The queue's answer comes behind all that it has sent; the channel's second one behind all of that."""
        answer = await channel.call(spec.Queue.Declare(queue=self._queue, passive=True))
        await channel.call(spec.Basic.Qos(prefetch_count=1))
        count: int = answer.message_count
        return count


def _each(arrived: Callable[[Arrived], None], values: list[Arrived]) -> None:
    for value in values:
        arrived(value)
