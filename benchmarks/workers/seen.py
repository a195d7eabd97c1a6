"""What a worker has handled: how many, how often, how fast, and at what cost."""

from __future__ import annotations

import bisect
import statistics
import threading
import time

import msgspec
import psutil

_NUMBER = 8  # digits
_SENT = 17  # seconds since the epoch, six places
_EDGE = 10  # the share of a run, 1/10, that is left out at either end
MARK = _NUMBER + _SENT  # letters at the beginning of a payload that say all that is noted


class Handled(msgspec.Struct, frozen=True):
    """A worker's report: messages there were, handled, and different ones, then what the middle of the run was like.

    The middle begins after the first tenth and ends before the last: what a worker took before its first message
    was handled is no part of its rate, nor is the end, where nothing more is to be taken.
    """

    wanted: int
    handled: int
    distinct: int
    per_s: float
    cpu_s: float  # a 10,000 messages
    memory_mib: float
    p50_ms: float  # from put to handled
    p99_ms: float


def payload(number: int, size: int, sent_at: float = 0.0) -> str:
    """A text of `size` letters that says which message it is, and when it was sent."""
    return f"{number:0{_NUMBER}d}{sent_at:0{_SENT}.6f}".ljust(size, "x")


class Seen:
    """Counts messages until `count` different ones were seen, which sets `complete`; may be told by any thread."""

    def __init__(self, count: int) -> None:
        self.complete = threading.Event()
        self._count = count
        self._edges = count // _EDGE, count - count // _EDGE
        self._marks = bytearray(count)
        self._distinct = 0
        self._times: list[float] = []
        self._latencies: list[float] = []
        self._cpu_s: list[float] = []  # at both edges
        self._memory_mib = 0.0  # at the second, while everybody is there
        self._lock = threading.Lock()

    def note(self, text: str, at: float | None = None) -> None:
        """One message was handled: now, or at a moment in Unix seconds."""
        number, sent_at = int(text[:_NUMBER]), float(text[_NUMBER:MARK])
        with self._lock:
            handled_at = time.time() if at is None else at
            self._times.append(handled_at)
            if sent_at:
                self._latencies.append(handled_at - sent_at)
            if len(self._times) in self._edges:
                self._spend()
            if not self._marks[number]:
                self._marks[number] = 1
                self._distinct += 1
                if self._distinct == self._count:
                    self.complete.set()

    def report(self) -> Handled:
        """What was seen, once it is complete."""
        begin, end = self._edges
        times = sorted(self._times)
        begun, ended = times[begin - 1], times[end - 1]
        # Those of one batch have one time, and all of them were handled by then.
        handled = bisect.bisect_right(times, ended) - bisect.bisect_right(times, begun)
        per_s = handled / (ended - begun) if ended > begun else 0.0
        cpu_s = (self._cpu_s[1] - self._cpu_s[0]) / (end - begin) * 10_000
        p50, p99 = _percentiles(self._latencies[begin:])
        return Handled(self._count, len(self._times), self._distinct, per_s, cpu_s, self._memory_mib, p50, p99)

    def _spend(self) -> None:
        self._cpu_s.append(_cpu_s())
        self._memory_mib = sum(each.memory_info().rss for each in _family()) / 2**20


def _percentiles(latencies: list[float]) -> tuple[float, float]:
    if len(latencies) < 2:
        return 0.0, 0.0
    cuts = statistics.quantiles(latencies, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _cpu_s() -> float:
    """CPU seconds of this process and of its children, which live."""
    times = [process.cpu_times() for process in _family()]
    return sum(each.user + each.system for each in times)
