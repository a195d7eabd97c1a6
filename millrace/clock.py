"""Time as a port: wall clock for what people read, monotonic for what must not jump, sleep for waiting.

Whatever waits takes a Clock, so that tests move time by hand (millrace.testing.ManualClock) and never sleep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call that is to come."""

    def cancel(self) -> object:
        """It shall not come any more; harmless when it has."""
        ...


class Clock(Protocol):
    """The uses of time; seconds throughout."""

    def now(self) -> float:
        """Unix seconds: may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some point: never jumps, means nothing outside this machine's uptime."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many monotonic seconds."""
        ...

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call `ring` in this event loop after that many monotonic seconds: what a limit costs that is rarely met."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        return asyncio.get_running_loop().call_later(seconds, ring)
