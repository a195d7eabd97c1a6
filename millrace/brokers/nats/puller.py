"""Gets deliveries of one queue: at once when asked, or by a standing request while somebody waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from millrace.brokers.nats.api import Api, ApiError
from millrace.brokers.nats.asked import Cut, Inbox
from millrace.brokers.nats.names import CONSUMER, place_of
from millrace.brokers.nats.queue import Delivery, NatsQueue
from millrace.brokers.nats.wire import pub, status_in
from millrace.clock import Clock
from millrace.errors import BrokerError

_ANSWER_S = 1.0  # a server says nothing where all that it had was deleted this moment
_LONGEST_STANDING_S = 30.0
_GRACE_S = 1.0  # for which what woke a waiter is kept for its take
_MOST_BYTES = 16_000_000  # on the way at once; the server cuts off who is 64 MB behind
_OVERHEAD = 512  # bytes that the server counts of a message besides its body, about
_ENDS = frozenset({404, 408})

GiveBack = Callable[[NatsQueue, list[Delivery], float], Awaitable[None]]


class Puller:
    """What is delivered and not taken in the end is given back, uncounted."""

    def __init__(self, api: Api, queue: NatsQueue, clock: Clock, give_back: GiveBack) -> None:
        self._api = api
        self._link = api.link
        self.queue = queue
        self._clock = clock
        self._give_back = give_back
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{queue.stream}.{CONSUMER}"
        self._ready: deque[Delivery] = deque()
        self._waiters: set[asyncio.Future[None]] = set()
        self._standing: Inbox | None = None
        self._asked_at = self._asked_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many came and were not taken yet."""
        return len(self._ready)

    def ready(self, limit: int) -> list[Delivery]:
        """What came for somebody who waited."""
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    async def pull(self, limit: int, max_bytes: int | None) -> tuple[list[Delivery], bool]:
        """What the server has now, and whether there may be more; with max_bytes somewhat more than that many bytes.

        Raises Cut, ApiError where the consumer is gone, BrokerError where no answer comes.
        """
        budget = _MOST_BYTES if max_bytes is None else min(_MOST_BYTES, max_bytes + _OVERHEAD * limit)
        got, status, text = await self._ask(limit, budget)
        if status == 409 and "Size" in text:
            if not got:  # one is always given, however large
                got, status, text = await self._ask(1, None)
            return got, True
        if status and status not in _ENDS:
            raise ApiError(503 if status == 409 else status, f"queue {self.queue.name}: {text or 'nobody answers'}")
        return got, not status

    async def wait(self, timeout_s: float) -> None:
        """Return when something was delivered, or after timeout_s; raises nothing for a lost connection."""
        until = self._clock.monotonic() + timeout_s
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            while not self._ready and not waiter.done() and (left_s := until - self._clock.monotonic()) > 0:
                if self._standing is None:
                    await self._link.up()
                    self._stand(min(left_s, self.queue.settings.lease_s / 2, _LONGEST_STANDING_S))
                stands_s = self._asked_at + self._asked_s + _ANSWER_S - self._clock.monotonic()
                if stands_s <= 0:  # it had no answer: whoever takes next will see why
                    self._sit()
                    return
                await asyncio.wait([waiter], timeout=min(left_s, stands_s))
        except BrokerError:  # whoever takes next will see it
            return
        finally:
            self._waiters.discard(waiter)
            if not self._waiters:
                self._sit()

    def hand_back(self, deliveries: list[Delivery], until: float = 0.0) -> None:
        """Give back what nobody takes, hidden until a time (Unix seconds), without a wait for it."""
        if deliveries:
            task = asyncio.ensure_future(self._giving_back(deliveries, until))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give back what nobody took."""
        self._wake()
        self._sit()
        self.hand_back(self.ready(len(self._ready)))
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, limit: int, max_bytes: int | None) -> tuple[list[Delivery], int, str]:
        got: list[Delivery] = []
        end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        since = self._clock.monotonic()

        def reply(_part: bytes, ack: bytes, head: bytes, body: bytes) -> None:
            if not ack:
                if not end.done():
                    end.set_result(status_in(head))
                self._link.shut(box)
                return
            delivery = Delivery(place_of(ack), ack, head, body, since)
            if end.cancelled():  # whoever asked has gone
                self.hand_back([delivery])
                return
            got.append(delivery)
            if len(got) == limit and not end.done():
                end.set_result((0, ""))
                self._link.shut(box)

        def cut() -> None:
            if not end.done():
                end.set_exception(Cut(f"{self._link.address}: the connection was lost"))

        await self._link.up()
        box = self._link.inbox(reply, cut, own=True)
        asked: dict[str, object] = {"batch": limit, "no_wait": True}
        if max_bytes is not None:
            asked["max_bytes"] = max_bytes
        self._link.write(pub(self._subject, msgspec.json.encode(asked), box.subject))
        had = -1
        try:
            while not end.done() and had < len(got):
                had = len(got)
                await asyncio.wait([end], timeout=_ANSWER_S)
            if end.done():
                status, text = end.result()
                return got, status, text
        except (asyncio.CancelledError, Cut):
            end.cancel()
            self.hand_back(got)
            raise
        end.cancel()
        self._link.shut(box, ended=False)
        if not got:
            await self._api.consumer(self.queue.stream)  # which the server may say nothing about, when it is gone
        return got, 404, ""

    def _stand(self, expires_s: float) -> None:
        """Ask for one message, whenever it comes."""
        self._asked_at, self._asked_s = self._clock.monotonic(), max(expires_s, 0.05)
        box = self._link.inbox(lambda _part, ack, head, body: self._came(box, ack, head, body), self._over, own=True)
        self._standing = box
        asked = {"batch": 1, "expires": int(self._asked_s * 1e9)}
        self._link.write(pub(self._subject, msgspec.json.encode(asked), box.subject))

    def _sit(self) -> None:
        """Take the standing request back; what is under way already is given back when it comes."""
        if self._standing is not None:
            self._link.shut(self._standing, ended=False)
            self._standing = None

    def _came(self, box: Inbox, ack: bytes, head: bytes, body: bytes) -> None:
        delivery = Delivery(place_of(ack), ack, head, body, self._asked_at) if ack else None
        if self._standing is box:
            self._sit()
            if delivery is not None:
                self._ready.append(delivery)
                grace_s = min(_GRACE_S, self.queue.settings.lease_s / 4)
                asyncio.get_running_loop().call_later(grace_s, self._too_late, delivery)
            self._wake()
        elif delivery is not None:
            self.hand_back([delivery])

    def _over(self) -> None:
        """The connection is lost, and the standing request with it."""
        self._standing = None
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _too_late(self, delivery: Delivery) -> None:
        if delivery in self._ready:
            self._ready.remove(delivery)
            self.hand_back([delivery])

    async def _giving_back(self, deliveries: list[Delivery], until: float) -> None:
        """Where even that fails their leases run out, and a delivery is counted that nobody saw."""
        try:
            await self._give_back(self.queue, deliveries, until)
        except BrokerError:
            return
