"""A channel of a connection: calls that the broker answers in order, and messages that it sends unasked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from pika import spec

from millrace.brokers.rabbitmq import wire
from millrace.brokers.rabbitmq.faults import Closed, Lost
from millrace.brokers.rabbitmq.wire import Delivery

_ANSWER_S = 30.0


Deliver = Callable[[list[Delivery]], None]


class Carrier(Protocol):
    """The connection, as far as its channels need it."""

    @property
    def frame_max(self) -> int:
        """Bytes of a frame at most."""

    @property
    def writable(self) -> asyncio.Event:
        """Set while there is room in its buffer."""

    def send(self, channel: int, method: Any) -> None:
        """Send a method of pika's."""

    def write(self, data: bytes) -> None:
        """Send frames."""

    def forget(self, channel: Channel) -> None:
        """A channel is closed."""

    def abort(self, error: Lost) -> None:
        """Let go of the connection."""


class Channel:
    """Used in the I/O thread alone. `closed` says why it is no more."""

    def __init__(self, connection: Carrier, number: int) -> None:
        self.connection = connection
        self.number = number
        self.closed: Lost | None = None
        self.on_deliveries: Deliver = _ignored
        self.on_confirm: Callable[[int, bool, bool], None] = _ignored  # tag, multiple, refused
        self.on_return: Callable[[str, str, bytes], None] = _ignored  # exchange, routing key, properties
        self.on_cancelled: Callable[[], None] = _ignored
        self.on_lost: Callable[[Lost], None] = _ignored
        self._calls: deque[asyncio.Future[Any]] = deque()
        self._gets: deque[asyncio.Future[Delivery | None]] = deque()
        self._deliveries: list[Delivery] = []
        # The message that is being received: the method before it, then its header, then parts of its body.
        self._method = 0
        self._tag = (0, False)
        self._returned = ("", "")
        self._properties = b""
        self._missing = 0
        self._parts: list[bytes] = []

    async def call(self, method: Any) -> Any:
        """Send a method and wait for its answer. Raises Lost, Closed where the broker refused it."""
        if self.closed is not None:
            raise self.closed
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(answer)
        self.connection.send(self.number, method)
        return await self._answered(answer)

    async def get(self, queue: str, count: int) -> list[Delivery]:
        """Fetch up to so many messages at once, to be acknowledged; fewer when the queue is empty."""
        if self.closed is not None:
            raise self.closed
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Delivery | None]] = [loop.create_future() for _ in range(count)]
        self._gets.extend(answers)
        for _ in answers:
            self.connection.send(self.number, spec.Basic.Get(queue=queue))
        found = await self._answered(asyncio.gather(*answers))
        return [each for each in found if each is not None]

    def write(self, data: bytes) -> None:
        """Send frames; without effect when the channel is gone."""
        if self.closed is None:
            self.connection.write(data)

    async def close(self) -> None:
        """Close it; what was received on it and not acknowledged goes back to its queue."""
        if self.closed is None:
            await self.call(spec.Channel.Close(200, "done", 0, 0))
            self.lose(Lost("the channel was closed"))

    # ---- called by the connection

    def on_whole(self, data: bytes, at: int) -> int:
        """Take the messages that are delivered from `at` on, as far as they are whole; where the last of them ends."""
        found, end = wire.deliveries(data, self.number, at)
        self._deliveries += found
        return end

    def on_method(self, index: int, data: bytes, start: int, decode: Callable[[], Any]) -> bool:
        """Take a method frame; True where a message follows it."""
        if index == wire.DELIVER:
            self._tag = wire.tag_of(data, start, named=True)
        elif index == wire.GET_OK:
            self._tag = wire.tag_of(data, start, named=False)
        elif index == wire.RETURN:
            method = decode()
            self._returned = (method.exchange, method.routing_key)
        else:
            self._on_plain(index, data, start, decode)
            return False
        self._method = index
        return True

    def on_header(self, size: int, properties: bytes) -> bool:
        """Take a message's header; True when that was all of it."""
        self._properties = properties
        self._missing = size
        self._parts = []
        return size == 0 and self._complete(b"")

    def on_body(self, part: bytes) -> bool:
        """Take a part of a message's body; True when it is whole."""
        self._missing -= len(part)
        if self._parts or self._missing:
            self._parts.append(part)
            return not self._missing and self._complete(b"".join(self._parts))
        return self._complete(part)

    def flush(self) -> None:
        """Hand over what one read brought."""
        if self._deliveries:
            deliveries, self._deliveries = self._deliveries, []
            self.on_deliveries(deliveries)

    def lose(self, error: Lost) -> None:
        """The channel is gone."""
        if self.closed is not None:
            return
        self.closed = error
        for answer in (*self._calls, *self._gets):
            if not answer.done():
                answer.set_exception(error)
        self._calls.clear()
        self._gets.clear()
        self.connection.forget(self)
        self.on_lost(error)

    def _complete(self, body: bytes) -> bool:
        if self._method == wire.RETURN:
            self.on_return(*self._returned, self._properties)
            return True
        delivery = Delivery(self._tag[0], self._properties, body, self._tag[1])
        if self._method == wire.GET_OK:
            _answer(self._gets.popleft(), delivery)
        else:
            self._deliveries.append(delivery)
        self._parts = []
        return True

    def _on_plain(self, index: int, data: bytes, start: int, decode: Callable[[], Any]) -> None:
        if index in (wire.PUBLISHED, wire.REFUSED):
            tag, bits = wire.tag_of(data, start, named=False)
            self.on_confirm(tag, bool(bits), index == wire.REFUSED)
            return
        method = decode()
        if isinstance(method, spec.Channel.Close):
            self.connection.send(self.number, spec.Channel.CloseOk())
            self.lose(Closed(method.reply_code, method.reply_text))
        elif isinstance(method, spec.Basic.Cancel):
            self.on_cancelled()
        elif isinstance(method, spec.Basic.GetEmpty):
            _answer(self._gets.popleft(), None)
        elif self._calls:
            _answer(self._calls.popleft(), method)

    async def _answered(self, answer: asyncio.Future[Any]) -> Any:
        """An answer that does not come within _ANSWER_S takes the connection with it: the next would pass for it."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await asyncio.shield(answer)
        except TimeoutError:
            self.connection.abort(Lost(f"the broker did not answer within {_ANSWER_S:.0f} s"))
            raise Lost(f"the broker did not answer within {_ANSWER_S:.0f} s") from None


def _answer(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)


def _ignored(*_: object) -> None:
    """What a channel that has another purpose does with what it did not ask for."""
