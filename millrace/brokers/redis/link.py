"""A connection that comes back: for ever, with growing pauses, saying once that it went and once that it returned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import hiredis

from millrace.broker_address import Address
from millrace.brokers.redis.connection import FOREIGN, Connection
from millrace.brokers.redis.replies import Transient, error_of, is_gone
from millrace.brokers.redis.scripts import Script
from millrace.errors import BrokerError, MillraceError, not_utf8, words
from millrace.pauses import pauses

_log = logging.getLogger(__name__)
_LONGEST_RETRY_S = 0.5
_LONGEST_PAUSE_S = 1.0  # while nobody answers, or nobody is ready: a server that restarts is back in seconds
PATIENCE_S = 5.0  # how long a verb waits for a server that is away before it raises
ANSWER_S = 15.0


class Link:
    """Runs scripts. A script whose answer got lost is run again: each may be, see the verbs of RedisBroker."""

    def __init__(self, address: Address, on_wake: Callable[[str | None], None]) -> None:
        self.address = address
        self.facts: dict[str, str] = {}  # what the server says of itself (HELLO)
        self._on_wake = on_wake  # called with a channel, or with None when any may have been missed
        self._channels: set[str] = set()
        self.connection: Connection | None = None  # the one that is or was open last
        self._connected = asyncio.Event()
        self._reason = "not connected yet"
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it is connected at this moment."""
        return self._connected.is_set()

    async def open(self) -> None:
        """Connect for the first time. Raises BrokerError that says what is wrong."""
        try:
            await self._connect()
        except (OSError, Transient) as error:
            raise self._unreachable(words(error)) from error
        self._keeping = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the connection for good."""
        if self._keeping is not None:
            self._keeping.cancel()
        self._connected.clear()
        if self.connection is not None:
            self.connection.close()

    async def run(self, script: Script, key: str, *arguments: str | bytes | int) -> Any:
        """The answer of a script. Raises Refusal, BrokerError, StorageError."""
        return (await self._insist(lambda connection: _evaluate(connection, script, key, arguments)))[0]

    async def run_and_wait(
        self, script: Script, key: str, *arguments: str | bytes | int, replicas: int, ms: int
    ) -> Any:
        """The same, once so many replicas have what it wrote. Raises BrokerError where they have not within `ms`."""
        answer, count = await self._insist(
            lambda connection: _evaluate(connection, script, key, arguments, ("WAIT", replicas, ms))
        )
        if count < replicas:
            raise BrokerError(
                f"redis {self.address}: {count} of {replicas} replicas have the messages, after {ms} ms",
                "they are stored on the server that answered; the same ids put again are duplicates of these",
            )
        return answer

    async def command(self, *command: str | bytes | int) -> Any:
        """The answer of a command. Raises BrokerError, StorageError."""
        return await self._insist(lambda connection: connection.call(*command))

    def subscribe(self, channel: str) -> None:
        """Hear of a channel from here on: what is sent after the next command of this link is not missed."""
        if channel not in self._channels:
            self._channels.add(channel)
            if self.connection is not None:
                self.connection.tell("SUBSCRIBE", channel)

    async def _insist(self, ask: Callable[[Connection], Any]) -> Any:
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        waits = pauses(longest_s=_LONGEST_RETRY_S)
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._connected.wait()
                assert self.connection is not None
                connection = self.connection
                return await ask(connection)
            except TimeoutError:
                raise self._unreachable(self._reason) from None
            except hiredis.ReplyError as error:
                known = error_of(str(error), self.address)
                if not isinstance(known, Transient):
                    raise known from None
                self._reason = str(known)
                if known.elsewhere:
                    connection.close(str(known))  # after a failover the name leads to another server
            except UnicodeEncodeError as error:
                raise not_utf8(error) from None
            except ConnectionError as error:
                self._reason = str(error)
            pause_s = next(waits)
            if asyncio.get_running_loop().time() + pause_s > deadline:
                raise self._unreachable(self._reason) from None
            await asyncio.sleep(pause_s)

    async def _keep(self) -> None:
        while True:
            assert self.connection is not None
            self._reason = await self.connection.lost
            self._connected.clear()
            _log.warning("redis %s: connection lost (%s), connecting again", self.address, self._reason)
            began = asyncio.get_running_loop().time()
            await self._reconnect()
            away_s = asyncio.get_running_loop().time() - began
            _log.warning("redis %s: connected again after %.1f s", self.address, away_s)

    async def _reconnect(self) -> None:
        away, denied = pauses(longest_s=_LONGEST_PAUSE_S), pauses()
        waits = away
        while True:
            try:
                await self._connect()
                return
            except (OSError, Transient) as error:
                self._reason, waits = words(error), away
            except MillraceError as error:
                self._reason, waits = error.problem, denied
            await asyncio.sleep(next(waits))

    async def _connect(self) -> None:
        """Raises OSError and Transient for what may be better later, BrokerError for what will not."""
        connection = await Connection.to(self.address, self._pushed, ANSWER_S)
        try:
            self.facts = await self._greet(connection)
        except hiredis.ReplyError as error:
            connection.close()
            raise error_of(str(error), self.address) from error
        except BaseException:
            connection.close()
            raise
        for channel in self._channels:
            connection.tell("SUBSCRIBE", channel)
        self.connection = connection
        self._connected.set()
        self._on_wake(None)

    async def _greet(self, connection: Connection) -> dict[str, str]:
        words: list[str] = ["HELLO", "3"]
        if self.address.password is not None:
            words += ["AUTH", self.address.user or "default", self.address.password]
        found = await connection.call(*words, "SETNAME", "millrace")
        await connection.call("PING")  # -LOADING is told here
        if self.address.path:
            await connection.call("SELECT", self.address.path)
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): value.decode() for name, value in pairs if isinstance(value, bytes)}

    def _pushed(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._on_wake(push[1].decode())

    def _unreachable(self, reason: str) -> BrokerError:
        text = f"redis {self.address}{'' if reason.startswith(FOREIGN) else ' does not answer'}: {reason}"
        hint = "start it, or correct the URL: redis://USER:PASSWORD@HOST:PORT/DATABASE"
        if self.address.tls:
            hint += f"; {self.address.scheme[:-1]}:// where that port is not encrypted"
        if self.address.tls and "certfile" not in self.address.options:
            hint += "; where it asks for this client's certificate, ?certfile=&keyfile="
        return BrokerError(text, hint)


async def _evaluate(
    connection: Connection,
    script: Script,
    key: str,
    arguments: tuple[str | bytes | int, ...],
    *further: tuple[str | bytes | int, ...],
) -> list[Any]:
    """The answers of a script, by its hash or, where the server does not know that, by its text, and of commands."""
    asked = [connection.call("EVALSHA", script.hash, 1, key, *arguments)]
    asked += [connection.call(*command) for command in further]
    try:
        return list(await asyncio.gather(*asked))
    except hiredis.ReplyError as error:
        if not is_gone(str(error)):
            raise
    asked = [connection.call("EVAL", script.text, 1, key, *arguments)]
    asked += [connection.call(*command) for command in further]
    return list(await asyncio.gather(*asked))
