"""A thread with an event loop of its own, where all of AMQP happens: whatever the rest does, heartbeats go out."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END_S = 5.0


class IoThread:
    """Runs coroutines and calls for other threads."""

    def __init__(self, name: str) -> None:
        self.loop = _new_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    async def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there; cancelling this cancels it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, self.loop))

    async def stop(self) -> None:
        """Cancel what still runs there and end the thread."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await self.run(_cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        await asyncio.to_thread(self._thread.join, _END_S)
        if not self._thread.is_alive():
            self.loop.close()


class Mailbox(Generic[T]):
    """Values on their way into another thread's loop: many of them cost one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Callable[[list[T]], None]) -> None:
        self._loop = loop
        self._receive = receive
        self._values: deque[T] = deque()
        self._called = False

    def post(self, value: T) -> None:
        """Hand a value over, from any one thread; without effect when the other loop is closed."""
        self._values.append(value)
        if not self._called:
            self._called = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._open)

    def _open(self) -> None:
        self._called = False  # before the values are read: one that comes later rings again
        values = [self._values.popleft() for _ in range(len(self._values))]
        if values:
            self._receive(values)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
