"""A connection that comes back: made when it is first needed, and again whenever it was lost, for as long as it takes.

There are two, since RabbitMQ reads nothing from a connection that publishes while it is short of memory or disk: the
acknowledgements of what was taken must not stand in that line.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from millrace.broker_address import Address
from millrace.brokers.rabbitmq.channel import Channel
from millrace.brokers.rabbitmq.connection import Connection
from millrace.brokers.rabbitmq.faults import Closed, Lost, Untrusted, is_denied, refused, unreachable, untrusted
from millrace.errors import BrokerError, words
from millrace.pauses import pauses

_LONGEST_PAUSE_S = 1.0  # while nobody answers, or nobody is ready: a broker that restarts is back in seconds
_log = logging.getLogger(__name__)


class Link:
    """Used in the I/O thread alone."""

    def __init__(self, address: Address, purpose: str, heartbeat_s: int) -> None:
        self.heartbeat_s = heartbeat_s
        self.on_up: list[Callable[[Connection], None]] = []
        self._address = address
        self._purpose = purpose
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._last_fault = ""
        self._closed = False

    @property
    def blocked(self) -> str | None:
        """Why the broker accepts nothing from us at the moment."""
        return self._connection.blocked if self._connection else None

    @property
    def fault(self) -> str:
        """Why there is no connection; empty while there is one, or none was needed."""
        return self._last_fault

    async def open(self) -> Connection:
        """Connect once. Raises BrokerError that says what is wrong."""
        try:
            return await self._connect()
        except Closed as error:
            raise refused(self._address, error) from error
        except Untrusted as error:
            raise untrusted(self._address, error) from error
        except (OSError, Lost, TimeoutError) as error:
            raise unreachable(self._address, error) from error

    async def connection(self) -> Connection:
        """The connection, waiting for it where there is none."""
        if self._connection is not None and self._connection.lost is None:
            return self._connection
        if self._closed:
            raise Lost("the broker was closed")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._reconnect())
        return await asyncio.shield(self._connecting)

    async def channel(self) -> Channel:
        """A new channel of it. Raises Lost."""
        return await (await self.connection()).channel()

    async def close(self) -> None:
        """Say goodbye, and come back no more."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            await self._connection.close()

    async def _reconnect(self) -> Connection:
        away, denied = pauses(longest_s=_LONGEST_PAUSE_S), pauses()
        while True:
            waits = away
            try:
                return await self._connect()
            except (OSError, Lost, TimeoutError, BrokerError) as error:  # the last for a cafile that is not there now
                self._last_fault = words(error)
                if is_denied(error):  # each try is a line in the broker's log, and none will soon be better
                    waits = denied
            await asyncio.sleep(next(waits))

    async def _connect(self) -> Connection:
        error: Exception = Lost("no host")
        for host, port in self._address.hosts:
            try:
                connection = await Connection.open(self._address, host, port, heartbeat_s=self.heartbeat_s)
            except (OSError, Lost, TimeoutError) as fault:
                error = fault
            else:
                self._up(connection)
                return connection
        raise error

    def _up(self, connection: Connection) -> None:
        if self._last_fault:
            _log.warning("the %s connection to broker %s is back", self._purpose, self._address)
        self._last_fault = ""
        self._connecting = None
        self._connection = connection
        connection.on_lost = self._down
        connection.on_blocked = self._tell_blocked
        for call in self.on_up:
            call(connection)

    def _down(self, error: Lost) -> None:
        self._connection = None
        if self._closed:
            return
        self._last_fault = str(error)
        _log.warning(
            "the %s connection to broker %s is lost, connecting again until it works: %s",
            self._purpose,
            self._address,
            error,
        )
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._reconnect())

    def _tell_blocked(self) -> None:
        if self.blocked is None:
            _log.warning("broker %s accepts messages again", self._address)
        else:
            _log.warning("broker %s accepts no messages now: %s; puts wait", self._address, self.blocked)
