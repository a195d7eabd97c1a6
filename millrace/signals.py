"""Who waits for which topic: commits wake them, in whichever event loop they wait."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from millrace.clock import Clock


class Signal:
    """One listener's flag: set when its topic was woken since it began to listen, or since its last wait."""

    def __init__(self, clock: Clock) -> None:
        self.loop = asyncio.get_running_loop()
        self._woken = False
        self._sleep: asyncio.Future[None] | None = None
        self._clock = clock

    def set(self) -> None:
        """Wake the listener; in its own loop's thread only."""
        self._woken = True
        self._end_sleep()

    async def wait(self, timeout_s: float) -> bool:
        """True when woken, False after `timeout_s` of the clock; a wake that came before the call counts."""
        if not self._woken and timeout_s > 0:
            self._sleep = self.loop.create_future()
            alarm = self._clock.alarm(timeout_s, self._end_sleep)
            try:
                await self._sleep
            finally:
                alarm.cancel()
        woken, self._woken = self._woken, False
        return woken

    def _end_sleep(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)


class Signals:
    """Topics and their listeners; waking is allowed from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._topics: defaultdict[str, set[Signal]] = defaultdict(set)

    @property
    def any(self) -> bool:
        """Whether anybody listens."""
        return bool(self._topics)

    @contextmanager
    def listen(self, topic: str) -> Iterator[Signal]:
        """Hear every wake of a topic from here on; look at the database after this, then wait."""
        signal = Signal(self._clock)
        with self._lock:
            self._topics[topic].add(signal)
        try:
            yield signal
        finally:
            with self._lock:
                self._topics[topic].discard(signal)
                if not self._topics[topic]:
                    del self._topics[topic]

    def wake(self, topics: Iterable[str] | None) -> None:
        """Wake the listeners of some topics, or of all (None)."""
        if not self._topics:  # who begins to listen only now has yet to look
            return
        with self._lock:
            chosen = list(self._topics) if topics is None else [topic for topic in topics if topic in self._topics]
            signals = [signal for topic in chosen for signal in self._topics[topic]]
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[Signal]] = defaultdict(list)
        for signal in signals:
            by_loop[signal.loop].append(signal)
        for loop, mine in by_loop.items():
            with suppress(RuntimeError):  # the loop was closed with its listener inside
                loop.call_soon_threadsafe(_set_all, mine)


def _set_all(signals: Iterable[Signal]) -> None:
    for signal in signals:
        signal.set()
