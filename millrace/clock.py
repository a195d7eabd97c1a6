"""Time as a port: wall clock for what people read, monotonic for what must not jump, sleep for waiting.

Whatever waits takes a Clock, so that tests move time by hand (millrace.testing.ManualClock) and never sleep.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The three uses of time; seconds throughout."""

    def now(self) -> float:
        """Unix seconds: may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some point: never jumps, means nothing outside this machine's uptime."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after that many monotonic seconds."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
