"""How many threads preprocess: no more than help.

Beyond the cores that predict leaves free, threads that compute only take time and the interpreter lock away from it;
threads that wait for a network cost nothing. Which kind they are is seen, not asked: as long as predict waits for
preprocess while cores stand idle, the next batch gets one thread more.
"""

from __future__ import annotations

import os

_WAITING = 0.1  # of a batch's time spent waiting for preprocess: less is not worth a thread
_IDLE = 0.75  # of the cores' time in use: below it there is room
_FULL = 0.95


class Crew:
    """The number of threads, learnt batch by batch; between one and `most`."""

    def __init__(self, most: int, cores: int | None = None) -> None:
        self._cores = cores or usable_cores()
        self._most = most
        self._least = min(most, max(1, self._cores - 1))
        self.size = self._least

    def learn(self, span_s: float, waited_s: float, cpu_s: float) -> None:
        """A batch took `span_s`, of which predict `waited_s` for preprocess; this process used `cpu_s` meanwhile."""
        used = cpu_s / (self._cores * span_s) if span_s > 0 else 0.0
        waits = waited_s > _WAITING * span_s
        if waits and used < _IDLE:
            self.size = min(self._most, self.size + 1)
        elif not waits and used > _FULL:
            self.size = max(self._least, self.size - 1)


def usable_cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
