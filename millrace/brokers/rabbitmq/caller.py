"""Calls into the I/O thread, repeated while connections are cut, and given up with a clear word after a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from millrace.brokers.rabbitmq.faults import Closed, Lost
from millrace.brokers.rabbitmq.io_thread import IoThread
from millrace.brokers.rabbitmq.link import Link
from millrace.errors import BrokerError

T = TypeVar("T")


class Caller:
    """Used in the broker's loop. Waits up to patience_s for a broker that is away."""

    def __init__(self, io: IoThread, taking: Link, putting: Link, patience_s: float) -> None:
        self._io = io
        self._taking = taking
        self._putting = putting
        self._patience_s = patience_s

    async def call(self, doing: Callable[[], Coroutine[Any, Any, T]], what: str) -> T:
        """The result of a coroutine of the I/O thread that may be run again.

        Raises BrokerError, Closed where the broker refused it.
        """
        return await self.patiently(self._insist(doing), what)

    async def patiently(self, doing: Awaitable[T], what: str) -> T:
        """The result of something that waits for the broker. Raises BrokerError when it waits for too long."""
        try:
            async with asyncio.timeout(self._patience_s):
                return await doing
        except TimeoutError:
            raise BrokerError(
                f"could not {what} within {self._patience_s:g} s: {self._why()}",
                "it is tried again by whoever asked for it; what was put may be there all the same",
            ) from None

    async def _insist(self, doing: Callable[[], Coroutine[Any, Any, T]]) -> T:
        while True:
            try:
                return await self._io.run(doing())
            except Closed:
                raise
            except Lost:
                await asyncio.sleep(0.05)

    def _why(self) -> str:
        if self._putting.blocked is not None:
            return f"the broker accepts no messages ({self._putting.blocked}): free memory or disk space there"
        if self._taking.fault or self._putting.fault:
            return f"the broker is away ({self._taking.fault or self._putting.fault})"
        return "the broker does not answer"
