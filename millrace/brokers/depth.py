"""max_depth where the broker itself keeps none, or must not: a function's outputs go in, however deep it is.

The broker is asked ten times a second at most; in between our own puts are counted. So several processes can
exceed max_depth by what they put within that time.
"""

from __future__ import annotations

from collections.abc import Mapping

from millrace.broker import Broker, Queue
from millrace.brokers.limits import queue_full
from millrace.clock import Clock

_ASK_EVERY_S = 0.1


class Depth:
    """How much room bounded queues have, as far as is known."""

    def __init__(self, inner: Broker, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._limits: dict[str, int] = {}
        self._held: dict[str, tuple[float, int]] = {}  # when to ask again (monotonic), and how many are there

    def declared(self, queue: Queue) -> None:
        """Learn a queue's bound."""
        self._held.pop(queue.name, None)
        self._limits.pop(queue.name, None)
        if queue.max_depth is not None:
            self._limits[queue.name] = queue.max_depth

    async def check(self, counts: Mapping[str, int]) -> None:
        """Raise QueueFull where so many more do not fit; else count them in."""
        bounded = {name: count for name, count in counts.items() if name in self._limits and count}
        for name, count in bounded.items():
            if await self._count(name, count) + count > self._limits[name]:
                held = self._held[name][1]
                raise queue_full(name, held=held, limit=self._limits[name], refused=count)
        for name, count in bounded.items():
            asked_again_at, held = self._held[name]
            self._held[name] = asked_again_at, held + count

    async def _count(self, name: str, more: int) -> int:
        """How many are there; asked when the answer is old or would refuse."""
        now_s = self._clock.monotonic()
        ask_at, held = self._held.get(name, (0.0, 0))
        if now_s >= ask_at or held + more > self._limits[name]:
            stats = await self._inner.stats(name)
            held = stats.depth + stats.in_flight + stats.delayed
            self._held[name] = now_s + _ASK_EVERY_S, held
        return held
