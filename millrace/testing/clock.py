"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from millrace.clock import Alarm


class ManualClock:
    """Time by hand: `advance` lets time pass and wakes its sleepers, `jump` sets the wall clock alone.

    Works across event loops and threads. It starts at `now` Unix seconds and `monotonic` seconds.
    """

    def __init__(self, now: float = 1_700_000_000.0, monotonic: float = 1000.0) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self._watchers: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was moved that far; zero lets others run once."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._sleeper(seconds)

    def alarm(self, seconds: float, ring: Callable[[], object]) -> Alarm:
        """Call `ring` when the clock was moved that far; until then it counts as a sleeper."""
        if seconds <= 0:
            return asyncio.get_running_loop().call_soon(ring)
        sleeper = self._sleeper(seconds)
        sleeper.add_done_callback(lambda ended: None if ended.cancelled() else ring())
        return sleeper

    def _sleeper(self, seconds: float) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._sleepers = [*filter(_asleep, self._sleepers), (self._monotonic + seconds, future)]
        self._tell_watchers()
        return future

    @property
    def sleepers(self) -> int:
        """How many are asleep."""
        return sum(map(_asleep, self._sleepers))

    async def until_sleeping(self, count: int = 1) -> None:
        """Return when at least `count` are asleep, so that a test moves time only once the code waits for it."""
        if self.sleepers < count:
            watcher = (count, asyncio.get_running_loop().create_future())
            self._watchers.append(watcher)
            await watcher[1]

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks and wake whoever it was long enough for."""
        if seconds < 0:
            raise ValueError(f"time passes forwards: expected seconds >= 0, got {seconds}; `jump` moves the wall clock")
        with self._lock:
            self._now += seconds
            self._monotonic += seconds
            woken = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._monotonic]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._monotonic]
        for _, future in sorted(woken, key=lambda sleeper: sleeper[0]):
            _wake(future)

    def jump(self, seconds: float) -> None:
        """Set the wall clock forwards or backwards; no time passes."""
        self._now += seconds

    def _tell_watchers(self) -> None:
        asleep = self.sleepers
        for watcher in [watcher for watcher in self._watchers if watcher[0] <= asleep]:
            self._watchers.remove(watcher)
            _wake(watcher[1])


def _asleep(sleeper: tuple[float, asyncio.Future[None]]) -> bool:
    return not sleeper[1].done()


def _wake(future: asyncio.Future[None]) -> None:
    """Resolve a future in its own loop: at once when that is the one that runs here."""
    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    if future.get_loop() is here:
        _resolve(future)
        return
    with suppress(RuntimeError):  # its loop was closed
        future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
