"""What a worker has handled: how many, how often, how fast, and at what cost."""

from __future__ import annotations

import statistics
import threading
import time

import msgspec
import psutil

_NUMBER = 8  # digits
_SENT = 17  # seconds since the epoch, six places
MARK = _NUMBER + _SENT  # letters at the beginning of a payload that say all that is noted


class Handled(msgspec.Struct, frozen=True):
    """A worker's report; seconds from the first message to the last, latencies from put to handled."""

    handled: int
    distinct: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: float
    memory_mib: float

    @property
    def per_s(self) -> float:
        return (self.handled - 1) / self.seconds if self.seconds else 0.0


def payload(number: int, size: int, sent_at: float = 0.0) -> str:
    """A text of `size` letters that says which message it is, and when it was sent."""
    return f"{number:0{_NUMBER}d}{sent_at:0{_SENT}.6f}".ljust(size, "x")


class Seen:
    """Counts messages until `count` different ones were seen, which sets `complete`; may be told by any thread."""

    def __init__(self, count: int) -> None:
        self.complete = threading.Event()
        self._count = count
        self._marks = bytearray(count)
        self._handled = self._distinct = 0
        self._first = self._last = self._cpu_s = 0.0
        self._spent = (0.0, 0.0)  # CPU seconds, MiB: taken at the last message, while everybody is there
        self._latencies: list[float] = []
        self._lock = threading.Lock()

    def note(self, text: str, at: float | None = None) -> None:
        """One message was handled: now, or at a moment in Unix seconds."""
        number, sent_at = int(text[:_NUMBER]), float(text[_NUMBER:MARK])
        with self._lock:
            self._last = time.time() if at is None else at
            if not self._handled:
                self._first, self._cpu_s = self._last, _cpu_s()
            self._handled += 1
            if sent_at:
                self._latencies.append(self._last - sent_at)
            if not self._marks[number]:
                self._marks[number] = 1
                self._distinct += 1
                if self._distinct == self._count:
                    self._spent = _cpu_s() - self._cpu_s, sum(each.memory_info().rss for each in _family()) / 2**20
                    self.complete.set()

    def report(self) -> Handled:
        """What was seen, once it is complete."""
        p50, p99 = _percentiles(self._latencies)
        return Handled(self._handled, self._distinct, self._last - self._first, p50, p99, *self._spent)


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    if len(latencies) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that live."""
    times = [process.cpu_times() for process in _family()]
    return sum(each.user + each.system for each in times)
