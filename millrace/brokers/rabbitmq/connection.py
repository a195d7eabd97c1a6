"""One connection to RabbitMQ: handshake, heartbeats, channels; AMQP 0-9-1 with RabbitMQ's extensions.

The methods are pika's; the loop is asyncio's. pika's own connection spends four times as long on each message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from struct import unpack_from
from typing import Any, cast

from pika import exceptions, frame, spec

from millrace.broker_address import Address
from millrace.brokers.rabbitmq import wire
from millrace.brokers.rabbitmq.channel import Channel
from millrace.brokers.rabbitmq.faults import Closed, Lost, Untrusted

_CONNECT_S = 10.0
_FRAME_MAX = 131_072  # bytes: RabbitMQ's own, as in its configuration
_MOST_WAITING = 4 << 20  # bytes in the socket's buffer before writers are to wait
_CAPABILITIES = {
    "authentication_failure_close": True,
    "basic.nack": True,
    "connection.blocked": True,
    "consumer_cancel_notify": True,
    "publisher_confirms": True,
}


class Connection(asyncio.Protocol):
    """Used in the I/O thread alone. `blocked` is the broker's reason for reading nothing from us, None mostly."""

    def __init__(self) -> None:
        self.lost: Lost | None = None
        self.blocked: str | None = None
        self.frame_max = _FRAME_MAX
        self.writable = asyncio.Event()
        self.writable.set()
        self.on_blocked: Callable[[], None] = _nothing
        self.on_lost: Callable[[Lost], None] = _nothing
        self._channels: dict[int, Channel] = {}
        self._next_channel = 1
        self._transport: asyncio.Transport | None = None
        self._greeting: asyncio.Queue[Any] = asyncio.Queue()  # what the broker says on channel 0
        self._rest = b""
        self._heard = self._said = True
        self._silent = 0
        self._beat: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, address: Address, host: str, port: int, *, heartbeat_s: int) -> Connection:
        """Connect and introduce ourselves. Raises OSError, Untrusted, Lost, Closed where it refuses us."""
        loop = asyncio.get_running_loop()
        tls = address.tls_context()
        async with asyncio.timeout(_CONNECT_S):
            try:
                _, connection = await loop.create_connection(
                    cls, host, port, ssl=tls, server_hostname=host if tls else None
                )
            except ssl.SSLCertVerificationError as error:
                raise Untrusted(error.verify_message) from error
            except ssl.SSLError as error:
                raise OSError(f"no encrypted connection: {error}") from error
            try:
                await connection._introduce(address, heartbeat_s)
            except BaseException:
                connection.abort(Lost("the handshake failed"))
                raise
        return connection

    async def channel(self) -> Channel:
        """Open a channel. Raises Lost."""
        if self.lost is not None:
            raise self.lost
        number = self._next_channel
        while number in self._channels:
            number += 1
        self._next_channel = number + 1 if number < 2000 else 1
        channel = self._channels[number] = Channel(self, number)
        await channel.call(spec.Channel.Open())
        return channel

    def send(self, channel: int, method: Any) -> None:
        """Send a method of pika's."""
        self.write(frame.Method(channel, method).marshal())

    def write(self, data: bytes) -> None:
        """Send frames; without effect when the connection is gone."""
        if self._transport is not None and self.lost is None:
            self._said = True
            self._transport.write(data)

    def forget(self, channel: Channel) -> None:
        """A channel is closed; its number is free."""
        self._channels.pop(channel.number, None)

    async def close(self) -> None:
        """Say goodbye, and wait shortly for the answer: the broker has then read all that was written before it."""
        if self.lost is None:
            self.send(0, spec.Connection.Close(200, "done", 0, 0))
            with suppress(TimeoutError, Lost):
                async with asyncio.timeout(2.0):
                    await self._said_on_0(spec.Connection.CloseOk)
        self.abort(Lost("the connection was closed"))

    def abort(self, error: Lost) -> None:
        """Let go of it without a word."""
        if self._transport is not None:
            self._transport.abort()
        self._lose(error)

    # ---- called by the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(_MOST_WAITING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(Lost(str(exc) if exc else "the connection was cut"))

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self._heard = True
        if self._rest:
            data = self._rest + data
        at: int | None = 0
        touched: dict[int, Channel] = {}
        try:
            while at is not None:
                at = self._on_data(data, at, touched)
        except (ValueError, IndexError, KeyError, exceptions.AMQPError) as error:
            self.abort(Lost(f"the broker sent what is no AMQP: {error}"))
            return
        for channel in touched.values():
            channel.flush()

    def _on_data(self, data: bytes, at: int, touched: dict[int, Channel]) -> int | None:
        """Take what came, frame by frame; where to go on behind messages that were taken whole, None at the end."""
        for kind, number, start, end in wire.frames(data, at):
            channel = self._channels.get(number)
            if kind == wire.BODY and channel is not None:
                if channel.on_body(data[start:end]):
                    touched[number] = channel
            elif kind == wire.HEADER and channel is not None:
                (size,) = unpack_from(">Q", data, start + 4)
                if channel.on_header(size, data[start + 12 : end]):
                    touched[number] = channel
            elif kind == wire.METHOD:
                if channel is not None and data.startswith(wire.DELIVERS, start):
                    after = channel.on_whole(data, at)
                    if after > at:
                        touched[number] = channel
                        return after
                self._on_method(channel, number, data, start, end)
            at = end + 1
        self._rest = data[at:]
        return None

    def _on_method(self, channel: Channel | None, number: int, data: bytes, start: int, end: int) -> None:
        (index,) = unpack_from(">I", data, start)
        decode = partial(_decoded, index, data, start, end)
        if number == 0:
            self._on_greeting(decode())
        elif channel is not None:
            channel.on_method(index, data, start, decode)

    def _on_greeting(self, method: Any) -> None:
        if isinstance(method, spec.Connection.Close):
            self.send(0, spec.Connection.CloseOk())
            self._lose(Closed(method.reply_code, method.reply_text))
        elif isinstance(method, spec.Connection.Blocked):
            self.blocked = method.reason
            self.on_blocked()
        elif isinstance(method, spec.Connection.Unblocked):
            self.blocked = None
            self.on_blocked()
        else:
            self._greeting.put_nowait(method)

    async def _introduce(self, address: Address, heartbeat_s: int) -> None:
        self.write(frame.ProtocolHeader().marshal())
        await self._said_on_0(spec.Connection.Start)
        user, password = address.user or "guest", "guest" if address.password is None else address.password
        response = f"\0{user}\0{password}"
        properties = {"product": "millrace", "platform": "Python", "capabilities": _CAPABILITIES}
        self.send(0, spec.Connection.StartOk(properties, "PLAIN", response, "en_US"))
        tune = await self._said_on_0(spec.Connection.Tune)
        self.frame_max = min(tune.frame_max or _FRAME_MAX, _FRAME_MAX)
        heartbeat_s = min(tune.heartbeat or heartbeat_s, heartbeat_s)
        self.send(0, spec.Connection.TuneOk(tune.channel_max, self.frame_max, heartbeat_s))
        self.send(0, spec.Connection.Open(address.path or "/"))
        await self._said_on_0(spec.Connection.OpenOk)
        self._tick(heartbeat_s / 2)

    async def _said_on_0(self, kind: type) -> Any:
        method = await self._greeting.get()
        if isinstance(method, Lost):
            raise method
        if not isinstance(method, kind):
            raise Lost(f"the broker said {method.NAME} where {kind.__name__} was expected")
        return method

    def _tick(self, half_s: float) -> None:
        """Each half of the heartbeat: say something, and expect to have heard something within two whole ones."""
        if self.lost is not None:
            return
        self._silent = 0 if self._heard else self._silent + 1
        if self._silent > 4:
            self.abort(Lost(f"the broker was silent for {self._silent * half_s:.0f} s"))
            return
        if not self._said:
            self.write(wire.HEARTBEAT_FRAME)
        self._heard = self._said = False
        self._beat = asyncio.get_running_loop().call_later(half_s, self._tick, half_s)

    def _lose(self, error: Lost) -> None:
        if self.lost is not None:
            return
        self.lost = error
        if self._beat is not None:
            self._beat.cancel()
        if self._transport is not None:
            self._transport.close()
        self._greeting.put_nowait(error)
        self.writable.set()  # who waits to write learns of it
        for channel in list(self._channels.values()):
            channel.lose(error)
        self.on_lost(error)


def _decoded(index: int, data: bytes, start: int, end: int) -> Any:
    return spec.methods[index]().decode(data[start:end], 4)


def _nothing(*_: object) -> None:
    """Nobody wants to know."""
