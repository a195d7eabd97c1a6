"""What a connection that is lost, or a caller who goes away, leaves of the RabbitMQ adapter's parts; no server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.needs import needs_module

needs_module("pika")

from millrace.broker import Queue  # noqa: E402
from millrace.brokers.envelope import Envelope  # noqa: E402
from millrace.brokers.rabbitmq import wire  # noqa: E402
from millrace.brokers.rabbitmq.connection import Connection  # noqa: E402
from millrace.brokers.rabbitmq.consumer import Consumer  # noqa: E402
from millrace.brokers.rabbitmq.faults import Closed, Lost  # noqa: E402
from millrace.brokers.rabbitmq.picking import pick  # noqa: E402
from millrace.brokers.rabbitmq.properties import written  # noqa: E402
from millrace.brokers.rabbitmq.publisher import Copy, Publisher, Sending  # noqa: E402
from millrace.brokers.rabbitmq.settling import Settling, doom  # noqa: E402
from millrace.brokers.rabbitmq.shelf import Shelf  # noqa: E402
from millrace.brokers.rabbitmq.wire import Delivery  # noqa: E402
from millrace.errors import BrokerError  # noqa: E402
from millrace.testing import ManualClock  # noqa: E402
from millrace.types import Death, Message  # noqa: E402


class Channel:
    """Stands in for a channel, and remembers what was written."""

    number = 1

    def __init__(self) -> None:
        self.closed: Lost | None = None
        self.connection = SimpleNamespace(frame_max=131_072, writable=asyncio.Event())
        self.connection.writable.set()
        self.written: list[bytes] = []
        self.on_lost: Callable[[Lost], None]
        self.on_confirm: Callable[[int, bool, bool], None]

    async def call(self, method: object) -> None:
        """Whatever it is, the broker agrees."""

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def lose(self, error: Lost | None = None) -> None:
        self.closed = error or Lost("the connection was cut")
        self.on_lost(self.closed)

    async def bodies(self, count: int) -> list[str]:
        """The letters that were published, once they are so many."""
        while len(found := [chr(char) for char in b"".join(self.written) if chr(char) in "ABC"]) < count:
            await asyncio.sleep(0)
        return found


class Link:
    """Stands in for a link: one channel after the other, as soon as each is there."""

    def __init__(self, *channels: Channel) -> None:
        self.channels = list(channels)
        self.there = asyncio.Event()
        self.asked = asyncio.Event()

    async def channel(self) -> Channel:
        self.asked.set()
        await self.there.wait()
        return self.channels.pop(0)


class Tap:
    """Stands in for a tap."""

    stale = False

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.deleted: list[int] = []

    def done(self, items: Sequence[Any]) -> None:
        self.deleted += [item.tag for item in items]

    def wake(self) -> None:
        """Nobody waits here."""

    async def supply(self, count: int) -> None:
        raise BrokerError("the broker is away")


def publisher_over(link: Link) -> Publisher:
    loop = asyncio.get_running_loop()
    return Publisher(SimpleNamespace(loop=loop), link, loop)  # type: ignore[arg-type]


def publishing(publisher: Publisher, letter: str) -> asyncio.Task[Sending]:
    return asyncio.create_task(publisher.publish([Copy("", "q", b"", letter.encode())]))


def shelf_of(*expires_at: float) -> tuple[Tap, ManualClock]:
    """The first generation of a queue's deliveries, each of which lives until then."""
    clock = ManualClock()
    shelf = Shelf(Queue("q", lease_s=10.0), clock, epoch=7)
    shelf.clear(1)
    for tag, at in enumerate(expires_at, 1):
        properties = written(Envelope(Message(f"m{tag}", b"", {}, 1.0), expires_at=clock.now() + at))
        shelf.add([Delivery(tag, properties, b"", False)], hold_s=10.0)
    return Tap(shelf), clock


async def test_what_was_not_confirmed_is_sent_again_in_its_order_before_what_waited() -> None:
    first, second = Channel(), Channel()
    link = Link(first, second)
    publisher = publisher_over(link)
    link.there.set()
    tasks = [publishing(publisher, letter) for letter in "AB"]
    assert await first.bodies(2) == ["A", "B"]
    first.connection.writable.clear()
    tasks.append(publishing(publisher, "C"))
    while not publisher._waiting:
        await asyncio.sleep(0)
    first.lose()
    first.connection.writable.set()
    assert await second.bodies(3) == ["A", "B", "C"]
    second.on_confirm(3, True, False)
    assert [sending.refused for sending in await asyncio.gather(*tasks)] == [False] * 3


async def test_what_is_too_large_for_the_broker_is_not_sent_again_and_what_was_beside_it_is() -> None:
    first, second, third = Channel(), Channel(), Channel()
    link = Link(first, second, third)
    publisher = publisher_over(link)
    link.there.set()
    large, beside = publishing(publisher, "A" * 9), publishing(publisher, "B")
    assert await first.bodies(10) == [*("A" * 9), "B"]
    first.lose(Closed(406, "PRECONDITION_FAILED - message size 9 is larger than configured max size 8"))
    assert (await large).too_large == 8
    assert await second.bodies(1) == ["B"]
    assert publisher.most_bytes == 8
    second.lose()
    assert publisher.most_bytes is None, "the broker may be another by now"
    assert await third.bodies(1) == ["B"]
    third.on_confirm(1, False, False)
    assert (await beside).too_large is None


async def test_what_was_given_up_before_there_was_a_connection_is_not_sent() -> None:
    channel = Channel()
    link = Link(channel)
    publisher = publisher_over(link)
    gone = publishing(publisher, "A")
    await link.asked.wait()
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    task = publishing(publisher, "B")
    link.there.set()
    assert await channel.bodies(1) == ["B"], "whoever put it was told that it failed"
    channel.on_confirm(1, False, False)
    await task


async def test_acknowledgements_of_a_lost_channel_touch_nothing_on_the_next() -> None:
    first, second = Channel(), Channel()
    link, loop = Link(first, second), asyncio.get_running_loop()
    link.there.set()
    consumer = Consumer(SimpleNamespace(loop=loop), link, "q", loop, lambda arrived: None)  # type: ignore[arg-type]
    await consumer._open()
    first.lose()
    await consumer._open()
    consumer.tell(1, [("ack up to", 5), ("requeue", 6)])
    consumer.tell(2, [("ack", 1)])
    while not second.written:
        await asyncio.sleep(0)
    assert b"".join(second.written) == wire.ack(1, 1, multiple=False), "its tags mean other messages there"


@pytest.mark.parametrize("acked", [True, False])
async def test_a_consumer_that_stops_asks_twice_for_what_is_behind_its_acknowledgements(acked: bool) -> None:
    """A real server may be through with them before it is asked, which no test of it can forbid."""
    channel, asked = Channel(), []
    link, loop = Link(channel), asyncio.get_running_loop()
    link.there.set()

    async def get(queue: str, count: int) -> list[Delivery]:
        asked.append(f"get {count}")
        return []

    async def call(method: Any) -> Any:
        asked.append(type(method).__name__)
        return SimpleNamespace(message_count=0)

    channel.get, channel.call = get, call  # type: ignore[attr-defined]
    consumer = Consumer(SimpleNamespace(loop=loop), link, "q", loop, lambda arrived: None)  # type: ignore[arg-type]
    await consumer.widen(10)
    asked.clear()
    await consumer.stop(acked=acked)
    assert asked == [*(["get 1", "get 1"] if acked else []), "Declare", "Qos", "Cancel"]


@pytest.mark.parametrize("fails", [True, False])
async def test_what_came_by_a_lost_channel_is_neither_resumed_nor_acknowledged(fails: bool) -> None:
    tap, clock = shelf_of(-1.0)
    (item,) = tap.shelf.pop(1)
    death = doom(tap.shelf, item, clock.now())
    assert isinstance(death, Death)

    async def send(copies: object) -> None:
        tap.shelf.clear(2)
        if fails:
            raise BrokerError("the broker is away")

    sender = SimpleNamespace(send=send, copy=lambda *given, **named: None)
    settling = Settling(sender, clock, lambda name: None)  # type: ignore[arg-type]
    told = await asyncio.gather(settling.bury(tap, [(item, death)]), return_exceptions=True)  # type: ignore[arg-type]
    assert [type(each) for each in told] == [BrokerError if fails else type(None)]
    assert (tap.shelf.ready, tap.shelf.held, tap.deleted) == (0, 0, [])


async def test_a_take_that_gets_no_more_puts_back_what_it_had_chosen() -> None:
    tap, clock = shelf_of(60.0, -1.0)
    with pytest.raises(BrokerError, match="away"):
        await pick(tap, 2, 1e9, clock)  # type: ignore[arg-type]
    assert (tap.shelf.ready, tap.shelf.held) == (2, 0)


async def test_who_waits_for_room_in_the_buffer_learns_that_the_connection_is_lost() -> None:
    connection = Connection()
    connection.pause_writing()
    waiting = asyncio.create_task(connection.writable.wait())
    await asyncio.sleep(0)
    connection.connection_lost(None)
    await waiting
