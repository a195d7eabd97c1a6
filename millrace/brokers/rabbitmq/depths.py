"""Queues with a max_depth: how deep they are, by a count that is asked for now and then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from millrace.broker import Queue
from millrace.brokers.limits import queue_full
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.topology import Topology
from millrace.clock import Clock
from millrace.types import Put

_AGE_S = 0.5


class Depths:
    """Refuses puts beyond max_depth, as far as is known: processes that put at once may exceed it for half a second.

    RabbitMQ's own limit (x-max-length) would refuse retries and dead letters too, so it is not used.
    """

    def __init__(self, caller: Caller, topology: Topology, clock: Clock) -> None:
        self._caller = caller
        self._topology = topology
        self._clock = clock
        self._counts: dict[str, tuple[float, int]] = {}  # when it was asked for, and what was counted since

    async def check(self, puts: Sequence[Put], settings: Mapping[str, Queue]) -> None:
        """Raise QueueFull when these are more than a queue may hold."""
        for name, count in Counter(each.queue for each in puts if settings[each.queue].max_depth is not None).items():
            limit = settings[name].max_depth
            at, depth = self._counts.get(name, (-_AGE_S, 0))
            if self._clock.monotonic() - at >= _AGE_S or (limit is not None and depth + count > limit):
                depth = await self._count(name)
                at = self._clock.monotonic()
            if limit is not None and depth + count > limit:
                self._counts[name] = (at, depth)
                raise queue_full(name, held=depth, limit=limit, refused=count)
            self._counts[name] = (at, depth + count)

    async def _count(self, name: str) -> int:
        return await self._caller.call(partial(self._topology.count, name), f"count {name}") or 0
