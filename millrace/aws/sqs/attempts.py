"""Receive attempts: a client whose receive got lost on the way asks again by the same id and gets the same messages.

Source: SQS API reference, ReceiveMessage (`ReceiveRequestAttemptId`). Kept in memory alone: after a restart a repeated
attempt is a new one, and what the lost one had taken comes back when its visibility timeout is over.
"""

from __future__ import annotations

from collections.abc import Sequence

from millrace.clock import Clock
from millrace.types import Lease

_KEEP_S = 300.0
_MOST = 1000


class Attempts:
    """The leases of the last attempts, by queue and id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, list[Lease]]] = {}

    def find(self, queue: str, id: str) -> list[Lease]:
        """What an attempt took; empty when it is none that we know."""
        at, leases = self._kept.get((queue, id), (0.0, []))
        return leases if at > self._clock.monotonic() - _KEEP_S else []

    def note(self, queue: str, id: str, leases: Sequence[Lease]) -> None:
        """Remember what an attempt took; the oldest attempts make room."""
        self._kept.pop((queue, id), None)
        self._kept[queue, id] = (self._clock.monotonic(), list(leases))
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]
