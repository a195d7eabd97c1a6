"""Messages on their way into the broker: many are under way at once, and each put is told when all of its own are safe.

A put that was not confirmed when the connection was lost is sent again on the next one: RabbitMQ may then have a
message twice, under one id, and never lacks one. One larger than the broker takes would cost each channel that it is
sent on: it is answered, and what was beside it is sent again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

import msgspec
from pika import spec

from millrace.brokers.rabbitmq import wire
from millrace.brokers.rabbitmq.channel import Channel
from millrace.brokers.rabbitmq.faults import Lost, most_bytes
from millrace.brokers.rabbitmq.io_thread import IoThread, Mailbox
from millrace.brokers.rabbitmq.link import Link


class Copy(msgspec.Struct, frozen=True, gc=False):
    """One message to be published: where to, its properties and its body."""

    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


class Sending(msgspec.Struct, eq=False):
    """What one put sends together: `unroutable` are the routing keys that no queue took, `refused` what a queue did.

    `too_large` is the broker's limit where it will never have one of the copies; others may be in it.
    """

    copies: list[Copy]
    done: asyncio.Future[None]
    missing: int = 0
    unroutable: set[str] = set()
    refused: bool = False
    too_large: int | None = None
    given_up: bool = False


class Publisher:
    """One channel in confirm mode. `publish` belongs to the broker's loop, all else to the I/O thread.

    `most_bytes` is what the broker takes of a message, once it has said so.
    """

    def __init__(self, io: IoThread, link: Link, loop: asyncio.AbstractEventLoop) -> None:
        self.most_bytes: int | None = None
        self._link = link
        self._outbox: Mailbox[Sending] = Mailbox(io.loop, self._send_all)
        self._answers: Mailbox[Sending] = Mailbox(loop, _tell)
        self._waiting: deque[Sending] = deque()  # for a connection, or for room in its buffer
        self._unconfirmed: dict[int, tuple[Sending, Copy]] = {}
        self._channel: Channel | None = None
        self._sequence = 0
        self._opening: asyncio.Task[None] | None = None

    async def publish(self, copies: list[Copy]) -> Sending:
        """Send copies, and return when the broker has answered for each of them.

        Cancelling it gives up what was not sent yet.
        """
        sending = Sending(copies, asyncio.get_running_loop().create_future())
        self._outbox.post(sending)
        try:
            await sending.done
        finally:
            sending.given_up = True
        return sending

    def _send_all(self, sendings: list[Sending]) -> None:
        self._waiting.extend(sendings)
        self._go_on()

    def _go_on(self) -> None:
        """Send what waits while there is a channel with room; else see to it that there will be one."""
        while self._waiting:
            channel = self._channel
            if channel is None or channel.closed is not None or not channel.connection.writable.is_set():
                if self._opening is None:
                    self._opening = asyncio.create_task(self._open())
                return
            sending = self._waiting.popleft()
            if not sending.given_up:
                self._send(channel, sending)

    def _send(self, channel: Channel, sending: Sending) -> None:
        frame_max = channel.connection.frame_max
        sending.missing = len(sending.copies)
        pieces = []
        for copy in sending.copies:
            self._sequence += 1
            self._unconfirmed[self._sequence] = (sending, copy)
            pieces.append(
                wire.publish(channel.number, copy.exchange, copy.routing_key, copy.properties, copy.body, frame_max)
            )
        channel.write(b"".join(pieces))

    async def _open(self) -> None:
        try:
            while self._channel is None or self._channel.closed is not None:
                try:
                    channel = await self._link.channel()
                    await channel.call(spec.Confirm.Select())
                except Lost:
                    await asyncio.sleep(0.05)
                    continue
                self._adopt(channel)
            await self._channel.connection.writable.wait()
        finally:
            self._opening = None
        self._go_on()

    def _adopt(self, channel: Channel) -> None:
        self._channel = channel
        self._sequence = 0
        channel.on_confirm = self._confirmed
        channel.on_return = self._returned
        channel.on_lost = self._lost

    def _lost(self, error: Lost) -> None:
        """Whatever was not confirmed is sent again, in its old order, before what has been waiting."""
        self.most_bytes = most_bytes(error)  # of a broker that is started anew, another
        again = []
        for sending in dict.fromkeys(sending for sending, _ in self._unconfirmed.values()):
            if self.most_bytes is not None and largest(sending.copies) > self.most_bytes:
                sending.too_large = self.most_bytes
                self._answers.post(sending)
            else:
                again.append(sending)
        self._unconfirmed.clear()
        self._channel = None
        self._waiting.extendleft(reversed(again))
        if self._waiting and self._opening is None:
            self._opening = asyncio.create_task(self._open())

    def _confirmed(self, tag: int, multiple: bool, refused: bool) -> None:
        if not multiple:
            self._settle(tag, refused)
            return
        for sequence in list(self._up_to(tag)):
            self._settle(sequence, refused)

    def _up_to(self, tag: int) -> list[int]:
        found = []
        for sequence in self._unconfirmed:
            if sequence > tag:
                break
            found.append(sequence)
        return found

    def _settle(self, sequence: int, refused: bool) -> None:
        sending, _ = self._unconfirmed.pop(sequence, (None, None))
        if sending is None:
            return
        sending.refused |= refused
        sending.missing -= 1
        if not sending.missing:
            self._answers.post(sending)

    def _returned(self, exchange: str, routing_key: str, properties: bytes) -> None:
        """No queue took a message; its confirm is still to come. The oldest copy like it is the one."""
        for sending, copy in self._unconfirmed.values():
            if (copy.exchange, copy.routing_key) == (exchange, routing_key) and routing_key not in sending.unroutable:
                sending.unroutable.add(routing_key)
                return


def largest(copies: Sequence[Copy]) -> int:
    """The bytes of the largest body."""
    return max(len(copy.body) for copy in copies)


def _tell(sendings: list[Sending]) -> None:
    for sending in sendings:
        if not sending.done.done():
            sending.done.set_result(None)
