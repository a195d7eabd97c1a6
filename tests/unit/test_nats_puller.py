"""Deliveries that come when nobody wants them, and refusals, from a server that is played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from millrace.broker import Queue
from millrace.brokers.nats.api import ApiError
from millrace.brokers.nats.asked import Cut, Inbox
from millrace.brokers.nats.names import Place, ack_subject
from millrace.brokers.nats.puller import Puller
from millrace.brokers.nats.queue import Delivery, NatsQueue
from millrace.brokers.nats.take import Taker
from millrace.clock import SystemClock
from millrace.errors import BrokerError
from millrace.testing import ManualClock

ACK = ack_subject("work", Place(1, 1, 1, 1)).encode()
HEAD = b"NATS/1.0\r\n\r\n"


class Played:
    """A link that keeps its inboxes, and answers a request by `answer`."""

    address = "nats://played"

    def __init__(self, answer: Callable[[Inbox], None]) -> None:
        self.answer = answer
        self.boxes: list[Inbox] = []

    async def up(self) -> None:
        return

    def inbox(self, on_reply, on_cut, *, own: bool = False) -> Inbox:
        self.boxes.append(Inbox("inbox", on_reply, on_cut))
        return self.boxes[-1]

    def shut(self, box: Inbox, *, ended: bool = True) -> None:
        return

    def write(self, data: bytes) -> None:
        self.answer(self.boxes[-1])


class PlayedApi:
    def __init__(self, link: Played) -> None:
        self.link = link


def puller_over(answer: Callable[[Inbox], None], given_back: list[Place], *, fails: bool = False):
    async def give_back(_queue: NatsQueue, deliveries: list[Delivery], _until: float) -> None:
        given_back.extend(each.place for each in deliveries)
        if fails:
            raise BrokerError("the connection is lost")

    link = Played(answer)
    return Puller(PlayedApi(link), NatsQueue(Queue("work"), ""), SystemClock(), give_back), link


async def test_a_refusal_is_raised() -> None:
    refused = b"NATS/1.0 409 Consumer Deleted\r\n\r\n"
    puller, _ = puller_over(lambda box: box.on_reply(b"", b"", refused, b""), [])
    with pytest.raises(ApiError, match="Consumer Deleted"):
        await puller.pull(1, None)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_comes_after_its_waiter_went_is_given_back(fails: bool) -> None:
    given_back: list[Place] = []
    puller, link = puller_over(lambda box: None, given_back, fails=fails)
    waiting = asyncio.create_task(puller.wait(30.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    link.boxes[-1].on_reply(b"", ACK, HEAD, b"late")
    await puller.close()
    assert given_back == [Place(1, 1, 1, 1)]
    assert puller.waiting == 0


async def test_who_waits_is_woken_by_the_close() -> None:
    puller, link = puller_over(lambda box: None, [])
    waiting = asyncio.create_task(puller.wait(3600.0))
    while not link.boxes:
        await asyncio.sleep(0)
    await puller.close()
    await asyncio.wait_for(waiting, 10.0)


async def test_what_came_before_a_cut_is_given_back() -> None:
    given_back: list[Place] = []

    def answer(box: Inbox) -> None:
        box.on_reply(b"", ACK, HEAD, b"first")
        box.on_cut()

    puller, _ = puller_over(answer, given_back)
    with pytest.raises(Cut):
        await puller.pull(2, None)
    await puller.close()
    assert given_back == [Place(1, 1, 1, 1)]


async def test_what_comes_after_its_taker_went_is_given_back() -> None:
    given_back: list[Place] = []
    puller, link = puller_over(lambda box: None, given_back)
    pulling = asyncio.create_task(puller.pull(2, None))
    while not link.boxes:
        await asyncio.sleep(0)
    pulling.cancel()
    await asyncio.gather(pulling, return_exceptions=True)
    link.boxes[-1].on_reply(b"", ACK, HEAD, b"late")
    link.boxes[-1].on_reply(b"", b"", b"NATS/1.0 408 Request Timeout\r\n\r\n", b"")
    await puller.close()
    assert given_back == [Place(1, 1, 1, 1)]


class Breaking:
    """A puller and a fence in one: one message comes, then the connection is lost."""

    def __init__(self) -> None:
        self.left = [Delivery(Place(1, 1, 1, 1), ACK, HEAD, b"x", SystemClock().monotonic())]

    def ready(self, limit: int) -> list[Delivery]:
        return []

    async def pull(self, limit: int, max_bytes: int | None) -> tuple[list[Delivery], bool]:
        if not self.left:
            raise Cut("the connection is lost")
        return [self.left.pop()], True

    async def answer(self, queue: NatsQueue, words: list[object]) -> None:
        assert words == []

    def hand_back(self, deliveries: list[Delivery]) -> None:
        assert deliveries == []


async def test_what_came_before_a_pull_failed_is_the_takers() -> None:
    breaking = Breaking()
    queue, taker = NatsQueue(Queue("work"), ""), Taker(breaking, None, SystemClock())
    (lease,) = await taker.take(queue, breaking, 5, None, None)
    assert lease.message.body == b"x"
    with pytest.raises(Cut):
        await taker.take(queue, breaking, 5, None, None)


class Slow(Breaking):
    """The same, but what comes next never does; `handed_back` is what the take did not keep."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = asyncio.Event()
        self.handed_back: list[Place] = []

    async def pull(self, limit: int, max_bytes: int | None) -> tuple[list[Delivery], bool]:
        if not self.left:
            self.waits.set()
            await asyncio.Event().wait()
        return await super().pull(limit, max_bytes)

    def hand_back(self, deliveries: list[Delivery]) -> None:
        self.handed_back += [each.place for each in deliveries]


async def test_what_came_before_a_take_was_called_off_is_given_back() -> None:
    slow, queue = Slow(), NatsQueue(Queue("work"), "")
    taking = asyncio.create_task(Taker(slow, None, SystemClock()).take(queue, slow, 5, None, None))
    await slow.waits.wait()
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    assert slow.handed_back == [Place(1, 1, 1, 1)]
    assert queue.held(Place(1, 1, 1, 1)) is None


class Unburied(Breaking):
    """A puller, a fence and letters in one: two messages come, and nobody can be buried."""

    def __init__(self, clock: ManualClock) -> None:
        long_ago, just_now = Place(1, 1, 1, 1), Place(2, 1, 2, int(clock.now() * 1e9))
        self.left = [Delivery(place, ACK, HEAD, b"x", clock.monotonic()) for place in (long_ago, just_now)]
        self.hidden: list[tuple[Place, float]] = []

    async def pull(self, limit: int, max_bytes: int | None) -> tuple[list[Delivery], bool]:
        assert self.left, "expected nobody to ask again"
        found, self.left = self.left, []
        return found, True

    async def bury(self, queue: NatsQueue, deaths: list[object]) -> None:
        raise BrokerError("no room")

    def hand_back(self, deliveries: list[Delivery], until: float = 0.0) -> None:
        self.hidden += [(each.place, until) for each in deliveries]


async def test_what_cannot_be_buried_is_hidden_for_a_while_and_ends_the_take() -> None:
    clock = ManualClock()
    unburied, queue = Unburied(clock), NatsQueue(Queue("work", ttl_s=60.0), "")
    (lease,) = await Taker(unburied, unburied, clock).take(queue, unburied, 5, None, None)
    assert lease.receipt[0] == 2
    assert unburied.hidden == [(Place(1, 1, 1, 1), clock.now() + 5.0)]
