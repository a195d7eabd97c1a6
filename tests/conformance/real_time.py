"""Checks of brokers whose clock is the real one: where the machine stands still, leases run out that should not.

A check that failed while its own doing took a good part of a unit says nothing of the broker. It is run again with
longer units, as nobody's stall is as long. A failure of a check that kept up with its clock counts at once.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

_LONGER = (1.0, 4.0, 16.0)
_KEPT_UP = 0.25  # of a unit: what the test's own doing may take where a failure counts


class Timed(Protocol):
    """A bench as far as it lets time pass."""

    advance: Callable[[float], Awaitable[None]]


B = TypeVar("B", bound=Timed)


class _Watch:
    """How long the test itself took at most from one letting of time pass to the next, or was late from one."""

    def __init__(self, bench: Timed) -> None:
        self._advance, bench.advance = bench.advance, self._watched
        self._slowest_s = 0.0
        self._since = time.monotonic()

    def slowest_s(self) -> float:
        self._slowest_s = max(self._slowest_s, time.monotonic() - self._since)
        return self._slowest_s

    async def _watched(self, seconds: float) -> None:
        self.slowest_s()
        self._since = time.monotonic() + seconds
        await self._advance(seconds)
        self.slowest_s()
        self._since = time.monotonic()


async def run_in_real_time(
    opened: Callable[[float], AbstractAsyncContextManager[B]], run: Callable[[B], Awaitable[None]], unit_s: float
) -> None:
    """Run a check on a bench with units of that many seconds; with longer ones where it could not keep up."""
    for longer in _LONGER:
        async with opened(longer * unit_s) as bench:
            watch = _Watch(bench)
            try:
                await run(bench)
            except Exception:
                if longer == _LONGER[-1] or watch.slowest_s() < _KEPT_UP * longer * unit_s:
                    raise
            else:
                return
